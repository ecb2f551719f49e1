"""Drift of new data from the training part, by statistics that an exported file carries in its metadata.

Population stability index over bins of the training part (Siddiqi, "Credit Risk Scorecards", 2006: below 0.1 stable, above
0.25 a large shift), the share of missing values, and of categories that training did not see. A shift within what chance gives
for so few rows is none: for equal distributions the index is about (1/n + 1/m) chi-squared with bins - 1 degrees (Yurdakul 2018).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from shopkit.runtime.artifact import Description, untrue
from shopkit.schema import MISSING_TIME, Schema

METADATA = "training"
"""The entry of an exported file's metadata that holds the statistics."""
N_BINS = 10
MOST_ROWS = 1_000_000
"""Rows of a training part that its statistics are made from, evenly spaced."""
N_NAMES = 200
NAME_LENGTH = 64
MODERATE, LARGE = 0.1, 0.25
"""Of the population stability index."""
SHARE_MODERATE, SHARE_LARGE = 0.05, 0.2
"""Of the rise in missing values and in unknown categories, as shares of all rows."""
ROWS_A_BATCH = 8192
"""Rows of each batch that are looked at, evenly spaced: enough for a share to a percent, and a fraction of the scoring time."""

Statistics = dict[str, Any]
Level = Literal["none", "moderate", "large"]


def statistics(values: np.ndarray, kind: str) -> Statistics:
    """What is kept of one column of the training part, as plain data.

    A number or time keeps counts between its deciles; a category its most frequent names with their counts; free text, of which
    hardly any two are equal, the deciles of its length and none of its words.

    Args:
        values: canonical column (N,), or an object array of the rows' own arrays, whose steps are then taken together.
        kind: `number`, `string` or `time`.
    """
    values = _steps(values)
    if kind == "string":
        return _of_texts(values)
    missing = _missing(values)
    return {"kind": kind, "missing": int(missing.sum()), **_binned(values[~missing].astype(np.float64))}


def _of_texts(values: np.ndarray) -> Statistics:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pa.array(values, pa.string())
    known = texts.filter(pc.not_equal(texts, ""))
    missing = len(texts) - len(known)
    counted = [(entry["values"].as_py(), entry["counts"].as_py()) for entry in _most_frequent(pc.value_counts(known))]
    kept = [(name, count) for name, count in sorted(counted, key=lambda pair: (-pair[1], pair[0])) if len(name) <= NAME_LENGTH]
    n_kept = sum(count for _, count in kept)
    if n_kept < 0.5 * len(known):
        lengths = pc.utf8_length(known).to_numpy(zero_copy_only=False).astype(np.float64)
        return {"kind": "text", "missing": missing, **_binned(lengths)}
    return {
        "kind": "string",
        "missing": missing,
        "names": [name for name, _ in kept],
        "counts": [count for _, count in kept],
        "other": len(known) - n_kept,
    }


def _most_frequent(counted: Any) -> Any:
    """The entries of Arrow's `value_counts` that are kept, those of equal count by name."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.Table.from_arrays(counted.flatten(), ["values", "counts"])
    return counted.take(pc.sort_indices(table, sort_keys=[("counts", "descending"), ("values", "ascending")])[:N_NAMES])


def _binned(known: np.ndarray) -> Statistics:
    edges = np.unique(np.quantile(known, np.linspace(0, 1, N_BINS + 1)[1:-1])) if len(known) else np.zeros(0)
    counts = np.bincount(np.searchsorted(edges, known, side="right"), minlength=len(edges) + 1)
    return {"edges": [float(edge) for edge in edges], "counts": [int(count) for count in counts]}


class DriftMonitor:
    """Counts new data as they stream by, in the bins of the training part.

    Args:
        training: column → its `statistics`.
    """

    def __init__(self, training: Mapping[str, Statistics]) -> None:
        self.training = training
        self.n_rows = 0
        self.n_looked_at = 0
        self._counts = {name: np.zeros(_n_bins(entry), np.int64) for name, entry in training.items()}
        self._values: dict[str, Any] = {}

    @classmethod
    def of(cls, description: Description, path: Path) -> DriftMonitor | None:
        """Of what the exported file at `path` says of itself; None for one that was made before statistics were kept in it.

        Raises:
            ArtifactError: statistics that are damaged, or of other columns.
        """
        if METADATA not in description.facts:
            return None
        try:
            _check(training := description.facts[METADATA], description.schema)
        except ValueError as error:
            raise untrue(path, f"cannot be read ({error})") from error
        return cls(training)

    def update(self, columns: Mapping[str, np.ndarray]) -> None:
        """Take in canonical columns, each (N,)."""
        n_rows = len(next(iter(columns.values()), ()))
        stride = max(1, n_rows // ROWS_A_BATCH)
        self.n_rows += n_rows
        self.n_looked_at += len(range(0, n_rows, stride))
        for name, entry in self.training.items():
            if name in columns:
                bins = self._bins(name, entry, _steps(columns[name][::stride]))
                self._counts[name] += np.bincount(bins, minlength=len(self._counts[name]))

    def _bins(self, name: str, entry: Statistics, values: np.ndarray) -> np.ndarray:
        """Bin of each value; the last is that of missing ones, and of a category the last but one that of names not kept."""
        last = len(self._counts[name]) - 1
        if entry["kind"] == "string":
            import pyarrow as pa
            import pyarrow.compute as pc

            names = self._values.setdefault(name, pa.array(entry["names"], pa.string()))
            texts = pa.array(values, pa.string())
            places = pc.fill_null(pc.index_in(texts, value_set=names), last - 1).to_numpy(zero_copy_only=False)
            return np.where(values == "", last, places).astype(np.int64)
        edges = np.asarray(entry["edges"])
        if entry["kind"] == "text":
            lengths = np.array([len(text) for text in values], np.float64)
            return np.where(lengths == 0, last, np.searchsorted(edges, lengths, side="right"))
        return np.where(_missing(values), last, np.searchsorted(edges, values.astype(np.float64), side="right"))

    def report(self) -> dict[str, Any]:
        """Plain data: `n_rows`, `n_looked_at`, and `columns`, the most drifted first, each with
        `column, kind, psi, missing, missing_train, unseen, unseen_train, level`."""
        columns = [
            _compared(name, entry, self._counts[name]) for name, entry in self.training.items() if self._counts[name].sum()
        ]
        order = ("large", "moderate", "none")
        columns.sort(key=lambda entry: (order.index(entry["level"]), -entry["psi"], entry["column"]))
        return {"n_rows": self.n_rows, "n_looked_at": self.n_looked_at, "columns": columns}


def _check(training: Any, schema: Schema) -> None:
    """
    Raises:
        ValueError: not the statistics of feature columns of the schema.
    """
    if not isinstance(training, Mapping):
        raise ValueError(f"{METADATA}: {training!r} is not an object")
    kinds = {column.name: column.kind for column in schema.of_role("feature")}
    for name, entry in training.items():
        kind = entry.get("kind") if isinstance(entry, Mapping) else None
        if name not in kinds or ("string" if kind == "text" else kind) != kinds[name]:
            raise ValueError(f"{METADATA}: the statistics of '{name}' are of kind {kind!r}, the column of {kinds.get(name)!r}")
        whole = ["missing", *(["other"] if kind == "string" else [])]
        marks, wanted, n_more = ("names", str, 0) if kind == "string" else ("edges", float, 1)
        for key, one in ((marks, wanted), ("counts", int)):
            if not isinstance(values := entry.get(key), list) or any(type(value) is not one for value in values):
                raise ValueError(f"{METADATA}: the {key} of '{name}' are no list of {one.__name__}")
        for count in [*entry["counts"], *(entry.get(key) for key in whole)]:
            if type(count) is not int or not 0 <= count < 1 << 48:  # the sum of them is an int64
                raise ValueError(f"{METADATA}: a count of '{name}' is {count!r}")
        if len(entry["counts"]) != len(entry[marks]) + n_more:
            raise ValueError(f"{METADATA}: '{name}' has {len(entry[marks])} {marks} and {len(entry['counts'])} counts")
        if kind == "string":
            "".join(entry[marks]).encode()  # a lone surrogate, which JSON may hold, is no text


def _n_bins(entry: Statistics) -> int:
    return len(entry["counts"]) + (2 if entry["kind"] == "string" else 1)


def _compared(name: str, entry: Statistics, new: np.ndarray) -> dict[str, Any]:
    train = np.array([*entry["counts"], *([entry["other"]] if entry["kind"] == "string" else []), entry["missing"]], np.int64)
    n_train, n_new = int(train.sum()), int(new.sum())
    psi = population_stability(train, new)
    missing, missing_train = float(new[-1] / n_new), float(train[-1] / max(n_train, 1))
    unseen = unseen_train = None
    rises = [missing - missing_train]
    if entry["kind"] == "string":
        unseen, unseen_train = float(new[-2] / n_new), float(train[-2] / max(n_train, 1))
        rises.append(unseen - unseen_train)
    level: Level = "none"
    if psi > by_chance(train, new):
        rise = max(rises)
        level = "moderate" if psi >= MODERATE or rise >= SHARE_MODERATE else level
        level = "large" if psi >= LARGE or rise >= SHARE_LARGE else level
    return {
        "column": name,
        "kind": entry["kind"],
        "psi": psi,
        "missing": missing,
        "missing_train": missing_train,
        "unseen": unseen,
        "unseen_train": unseen_train,
        "level": level,
    }


def population_stability(train: np.ndarray, test: np.ndarray) -> float:
    """Population stability index of two histograms over the same bins, half a row added to each bin that either of them uses."""
    used = (train + test) > 0
    p, q = train[used] + 0.5, test[used] + 0.5
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((q - p) * np.log(q / p)))


def by_chance(train: np.ndarray, test: np.ndarray) -> float:
    """The index of these two histograms that equal distributions exceed in one case of twenty."""
    free = int(((train + test) > 0).sum()) - 1
    return float((1 / max(train.sum(), 1) + 1 / max(test.sum(), 1)) * (free + 1.645 * math.sqrt(2 * free)))


def training_statistics(schema: Schema, read: Any) -> dict[str, Statistics]:
    """Statistics of every feature column but images.

    Args:
        read: column name → canonical values of the training part; asked for one column at a time.
    """
    found = {}
    for column in schema.of_role("feature"):
        if column.kind == "image":
            continue
        values = read(column.name)
        found[column.name] = statistics(values, column.kind)
    return found


def _steps(values: np.ndarray) -> np.ndarray:
    """The steps of a sequence column, one after another; any other column as it is."""
    if values.dtype == object and len(values) and isinstance(values[0], np.ndarray):
        return np.concatenate([np.asarray(row) for row in values])
    return values


def _missing(values: np.ndarray) -> np.ndarray:
    return np.asarray(values == MISSING_TIME if values.dtype.kind == "i" else np.isnan(values.astype(np.float64)))
