"""A few test rows with what moved their answers: the most confident right ones and the most confident wrong ones; of numbers,
those that were met best and those that were missed by most.

`explained_cases` returns plain JSON data, for `cases.json` and the report:

    {
      "method": "integrated gradients",         # or "exact"
      "cases": [{
        "row": {"review_id": "17"},             # the key columns
        "right": false, "target": "1", "label": "0", "confidence": 0.97,     # of numbers: "target": 12.5, "prediction": 11.9
        "score": 3.2, "reference": -0.4,        # of the label, before calibration; of a row in which nothing is known
        "gap": 0.01,                            # how far the shares miss the difference of the two
        "texts": [{"column": "review", "pieces": [["Too", 0.1], [" ", 0.0], ...], "rest": 0.02,
                   "attention": [["Too", 0.02], ...]}],          # attention: where the model has it
        "columns": [{"column": "age", "value": 41.0, "share": 0.02}, ...],   # falling, the plain columns
        "steps": {"columns": ["item"],                                       # where there are sequences
                  "rows": [{"values": ["tea"], "share": 0.3, "attention": 0.1}, ...]},
        "image": {"pixels": [[[0, ...]]], "shares": [[0.0, ...]]},           # where there is an image: (C, H, W) and (H, W)
      }],
    }

All shares are of the score for the label that was given: above 0 they speak for it, below 0 against it. Of numbers they are of
the score itself: above 0 they speak for more, below 0 for less.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from shopkit.evaluation.attributions import Arrays, explainer
from shopkit.evaluation.part import Part, Raw
from shopkit.evaluation.texts import Marked, is_special, mark_terms, mark_tokens
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.base import Estimator, Model
from shopkit.raw import readable
from shopkit.schema import Schema
from shopkit.tasks.base import Task

MOST_COLUMNS = 12
"""Plain columns that are shown; the others are summed up."""
MOST_CHARACTERS = 2_000
"""Of a text that are shown."""
OTHERS = "(all others)"


class Described(Protocol):
    """Fitted features, as far as they are needed here."""

    @property
    def schema(self) -> Schema: ...
    @property
    def spec(self) -> FeatureSpec: ...
    @property
    def description(self) -> list[dict[str, Any]]: ...


def explained_cases(
    task: Task,
    test: Part,
    features: Described,
    transform: Callable[[Raw], Arrays],
    model: Model | Estimator,
    n_cases: int,
    keep: str = "latest",
) -> dict[str, Any] | None:
    """The module's data; None for tasks with neither labels nor numbers, for models that cannot be explained, and if none are
    asked for.

    Args:
        test: with the file's outputs.
        transform: raw columns → arrays of features, through the graph.
        keep: which end of a longer sequence the features read.
    """
    if not n_cases or (picked := _picked(task, test, n_cases)) is None:
        return None
    rows, said, towards = picked
    method, explain, look = explainer(model)
    schema, spec = features.schema, features.spec
    chosen = test.take(rows)
    arrays = transform(chosen.columns)
    found = explain(arrays, blank(arrays, spec), towards)
    if found is None or not found.places:
        return None
    looks = look(arrays)
    analyzers = _analyzers(spec, features.description)
    cases = []
    for i in range(len(rows)):
        places = {name: values[i] for name, values in found.places.items()}
        raw = {name: values[i] for name, values in chosen.columns.items()}
        row = {name: values[i] for name, values in arrays.items()}
        looked = {name: weights[i] for name, weights in looks.items()}
        sequences = {name: values[i] for name, values in chosen.sequences.items()}
        cases.append(
            {
                "row": {name: str(readable(values[i : i + 1], schema[name])[0]) for name, values in chosen.keys.items()},
                **said[i],
                "score": _rounded(found.score[i]),
                "reference": _rounded(found.reference[i]),
                "gap": _rounded(found.gap[i]),
                "texts": _texts(spec, places, row, looked.get("tokens"), raw, analyzers),
                "columns": _columns(spec, places, raw, schema),
                "steps": _steps(spec, places, row, looked.get("steps"), sequences, keep),
                "image": _image(places, row),
            }
        )
    return {"method": method, "cases": cases}


def _picked(task: Task, test: Part, n_cases: int) -> tuple[np.ndarray, list[dict[str, Any]], np.ndarray] | None:
    """Row numbers, what was said of each and is true, and the direction (n, n_outputs) in which shares count."""
    if "label" in test.outputs and "classes" in task.state:
        classes = task.state["classes"]
        rows, labels, confidence = choose(test, classes, n_cases)
        said = [
            {"right": label == target, "target": classes[target], "label": classes[label], "confidence": _rounded(sure)}
            for label, target, sure in zip(labels.tolist(), test.target[rows].astype(int).tolist(), confidence, strict=True)
        ]
        return rows, said, direction(labels, task.n_outputs)
    if "prediction" in test.outputs and task.n_outputs == 1:
        rows = choose_numbers(test, n_cases)
        pairs = zip(test.target[rows], test.outputs["prediction"][rows], strict=True)
        return rows, [{"target": _rounded(is_), "prediction": _rounded(says)} for is_, says in pairs], np.ones((len(rows), 1))
    return None


def choose_numbers(test: Part, n_cases: int) -> np.ndarray:
    """Row numbers: half of them met best, the best first, half missed by most, the worst first."""
    order = np.argsort(np.abs(test.outputs["prediction"] - test.target), kind="stable")
    n_missed = min(n_cases // 2, len(order) // 2)
    return np.concatenate([order[: min(n_cases, len(order)) - n_missed], order[::-1][:n_missed]])


def choose(test: Part, classes: Sequence[str], n_cases: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row numbers, label index and confidence: half of them right, half wrong, of every label in turn, the surest first."""
    code = {name: index for index, name in enumerate(classes)}
    labels = np.array([code[str(name)] for name in test.outputs["label"]], np.int64)
    probability = np.asarray(test.outputs["probability"], np.float64)
    if probability.ndim == 1:
        probability = np.column_stack([1 - probability, probability])
    confidence = probability[np.arange(len(labels)), labels]
    right = labels == test.target.astype(np.int64)
    surest = [_in_turn(np.flatnonzero(right), labels, confidence), _in_turn(np.flatnonzero(~right), labels, confidence)]
    n_wrong = min(n_cases // 2, len(surest[1]))
    rows = np.concatenate([surest[0][: n_cases - n_wrong], surest[1][:n_wrong]])
    return rows, labels[rows], confidence[rows]


def _in_turn(rows: np.ndarray, labels: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """The rows, the surest of each label first, then every label's second, …"""
    rows = rows[np.argsort(-confidence[rows], kind="stable")]
    place = np.zeros(len(rows), np.int64)
    for label in np.unique(labels[rows]):
        of_label = labels[rows] == label
        place[of_label] = np.arange(of_label.sum())
    return np.asarray(rows[np.argsort(place, kind="stable")])


def direction(labels: np.ndarray, n_outputs: int) -> np.ndarray:
    """(N, n_outputs): the score of the label, above the mean of all classes; of two classes with one score, that score's sign."""
    if n_outputs == 1:
        return np.where(labels == 1, 1.0, -1.0)[:, None]
    return np.asarray(np.eye(n_outputs)[labels] - 1 / n_outputs)


def blank(arrays: Arrays, spec: FeatureSpec) -> Arrays:
    """The arrays of rows in which nothing is known, of the same lengths; tokens that stand for no text stay."""
    nothing = {name: np.zeros_like(values) for name, values in arrays.items() if "lengths" not in name and name != "bag_ids"}
    if spec.tokens is not None and spec.tokens.names:
        special = np.array([is_special(token) for token in spec.tokens.names])
        nothing["tokens"] = np.where(special[arrays["tokens"]], arrays["tokens"], 0)
    return nothing


# -- what of a row a share belongs to -------------------------------------------------------------------------------


def _of(spec: FeatureSpec, tensor: str) -> list[FeatureBlock]:
    return [block for block in spec.blocks if block.tensor == tensor]


def _texts(
    spec: FeatureSpec, places: Arrays, row: Arrays, looks: np.ndarray | None, raw: Mapping[str, Any], analyzers: Sequence[str]
) -> list[dict[str, Any]]:
    """Every text column, with the shares of all that is made of it."""
    marked: dict[str, list[Marked]] = {}
    for block, analyzer in zip(_of(spec, "bag"), analyzers, strict=True) if "bag_weights" in places else ():
        inside = (row["bag_ids"] >= block.start) & (row["bag_ids"] < block.start + block.width) & (row["bag_weights"] != 0)
        names = [block.names[term] if block.names else "" for term in row["bag_ids"][inside] - block.start]
        shares = places["bag_weights"][inside].tolist()
        terms = [(name.removeprefix(f"{block.column}: "), share) for name, share in zip(names, shares, strict=True)]
        marked.setdefault(block.column, []).append(mark_terms(raw[block.column], terms, analyzer))
    attention: dict[str, Marked] = {}
    for column, tokens in _streams(spec, row) if "tokens" in places else ():
        of_token = [(name, float(places["tokens"][place])) for place, name in tokens]
        marked.setdefault(column, []).append(mark_tokens(raw[column], of_token))
        if looks is not None:
            attention[column] = mark_tokens(raw[column], [(name, float(looks[place])) for place, name in tokens])
    return [_text(column, parts, attention.get(column)) for column, parts in marked.items()]


def _analyzers(spec: FeatureSpec, described: Sequence[Mapping[str, Any]]) -> list[str]:
    """How the terms of each bag were made, in the order of the bags: columns of equal settings stand side by side."""
    extractors = {block.extractor for block in _of(spec, "bag")}
    alike: dict[str, list[str]] = {}
    for entry in described:
        if entry["extractor"] in extractors:
            like = json.dumps([entry["kind"], entry["extractor"], entry["settings"]], sort_keys=True)
            alike.setdefault(like, []).append(str(entry["settings"].get("analyzer", "word")))
    return [analyzer for of_settings in alike.values() for analyzer in of_settings]


def _streams(spec: FeatureSpec, row: Arrays) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Column → place and name of its tokens: the stream is cut where one text ends and the next one begins."""
    blocks = _of(spec, "tokens")
    names = blocks[0].names
    streams: list[list[tuple[int, str]]] = [[]]
    for place, token in enumerate(row["tokens"]):
        if token and names and is_special(names[token]):
            streams.append([])
        elif token and names:
            streams[-1].append((place, names[token]))
    # What stands before the first special token is a text only where no special token opens the stream.
    opened = len(streams) > len(blocks)
    yield from zip([block.column for block in blocks], streams[opened:], strict=False)


def _text(column: str, parts: Sequence[Marked], attention: Marked | None) -> dict[str, Any]:
    names = [piece for piece, _ in parts[0].pieces]
    shares = np.sum([[share for _, share in marked.pieces] for marked in parts], axis=0)
    pieces = [[name, _rounded(share)] for name, share in zip(names, shares, strict=True)]
    n_shown = int(np.searchsorted(np.cumsum([len(name) for name in names]), MOST_CHARACTERS, side="right"))
    text: dict[str, Any] = {
        "column": column,
        "pieces": pieces[:n_shown],
        "rest": _rounded(sum(marked.rest for marked in parts) + float(np.sum(shares[n_shown:]))),
        "is_cut": n_shown < len(pieces),
    }
    if attention is not None:
        text["attention"] = [[piece, _rounded(weight)] for piece, weight in attention.pieces[:n_shown]]
    return text


def _columns(spec: FeatureSpec, places: Arrays, raw: Mapping[str, Any], schema: Schema) -> list[dict[str, Any]]:
    shares: dict[str, float] = {}
    for tensor in ("dense", "ids"):
        for block in _of(spec, tensor) if tensor in places else ():
            value = places[tensor][block.start : block.start + block.width].sum()
            shares[block.column] = shares.get(block.column, 0.0) + float(value)
    order = sorted(shares, key=lambda name: (-abs(shares[name]), name))
    rows = [{"column": name, "value": _value(raw[name], schema, name), "share": _rounded(shares[name])} for name in order]
    if len(rows) <= MOST_COLUMNS:
        return rows
    others = sum(shares[name] for name in order[MOST_COLUMNS:])
    return [*rows[:MOST_COLUMNS], {"column": OTHERS, "value": None, "share": _rounded(others)}]


def _value(value: Any, schema: Schema, column: str) -> Any:
    if schema[column].kind == "time":
        return str(readable(np.array([value]), schema[column])[0])
    return _step(value)


def _steps(
    spec: FeatureSpec,
    places: Arrays,
    row: Arrays,
    looks: np.ndarray | None,
    sequences: Mapping[str, np.ndarray],
    keep: str,
) -> dict[str, Any] | None:
    found = [values.sum(1) for name, values in places.items() if name.startswith("sequence_")]
    if not found:
        return None
    read = dict.fromkeys(block.column for block in spec.blocks if block.tensor.startswith("sequence_"))
    columns = [name for name in sequences if name in read]
    n_read, n_steps = int(row["lengths"]), len(next(iter(sequences.values()), ()))
    first = n_steps - n_read if keep == "latest" else 0
    total = np.sum(found, axis=0)
    rows = [
        {
            "values": [_step(sequences[name][first + t]) for name in columns],
            "share": _rounded(total[t]),
            **({} if looks is None else {"attention": _rounded(looks[t])}),
        }
        for t in range(n_read)
    ]
    return {"columns": columns, "rows": rows}


def _step(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return _rounded(float(value)) if np.isfinite(value) else None


def _image(places: Arrays, row: Arrays) -> dict[str, Any] | None:
    if "image" not in places:
        return None
    return {"pixels": row["image"].tolist(), "shares": [[_rounded(v) for v in line] for line in places["image"]]}


def _rounded(value: float) -> float:
    return round(float(value), 6)
