"""Metrics by segment: the values of a column with few of them, or the quartiles of a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from shopkit.errors import DataError, nearest
from shopkit.evaluation.bootstrap import Resamples, estimate, resample
from shopkit.evaluation.part import Part, Raw
from shopkit.evaluation.settings import EvaluationSettings
from shopkit.raw import distinct_texts
from shopkit.schema import MISSING_TIME
from shopkit.tasks.base import Task

MOST_SEGMENTS = 8
"""Segments of a column that are shown by themselves; the rarest others are joined."""

MISSING = "(missing)"
OTHER = "(other)"


def segment_labels(values: np.ndarray, min_rows: int) -> tuple[list[str], np.ndarray]:
    """Segments of a column, the largest first (numbers: lowest first), and the index of each row's segment.

    Args:
        values: canonical column (N,).
        min_rows: a value with fewer rows goes to `(other)`.
    """
    if values.dtype.kind in "OUT":
        names, codes = distinct_texts(values)
        counts = np.bincount(codes, minlength=len(names))
        order = np.argsort(-counts, kind="stable")
        kept = [code for code in order if counts[code] >= min_rows][:MOST_SEGMENTS]
        labels = [str(names[code]) or MISSING for code in kept]
        position = np.full(len(names), len(kept))
        position[kept] = np.arange(len(kept))
        return labels + ([OTHER] if len(kept) < len(names) else []), position[codes]
    numbers = _as_float(values)
    finite = np.isfinite(numbers)
    distinct = np.unique(numbers[finite])
    if len(distinct) <= 4:
        labels = [f"{value:g}" for value in distinct]
        codes = np.searchsorted(distinct, numbers)
    else:
        edges = np.unique(np.quantile(numbers[finite], [0.25, 0.5, 0.75]))
        labels = [f"below {edges[0]:.4g}"]
        labels += [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
        labels += [f"from {edges[-1]:.4g}"]
        codes = np.searchsorted(edges, numbers, side="right")
    return [*labels, MISSING], np.where(finite, codes, len(labels))


def _as_float(values: np.ndarray) -> np.ndarray:
    numbers = values.astype(np.float64)
    if values.dtype.kind == "i":
        numbers[values == MISSING_TIME] = np.nan
    return numbers


def choose_columns(raw: Raw, settings: EvaluationSettings, order: Sequence[str] = ()) -> list[str]:
    """The columns asked for, or else those that part the rows into a few segments of some size, in the order given.

    Raises:
        DataError: a column asked for that does not exist.
    """
    for column in settings.segments:
        if column not in raw:
            raise DataError(f"evaluation.segments names the column '{column}', which does not exist.{nearest(column, raw)}")
    if settings.segments:
        return list(settings.segments)
    ranked = [*order, *(column for column in raw if column not in order)]
    chosen = [column for column in ranked if _serves(raw[column], settings.min_segment_rows)]
    return chosen[: settings.max_segment_columns]


def _serves(values: np.ndarray, min_rows: int) -> bool:
    if values.dtype.kind == "i":
        return False
    labels, codes = segment_labels(values, min_rows)
    counts = np.bincount(codes, minlength=len(labels))
    other = counts[labels.index(OTHER)] if OTHER in labels else 0
    return bool(np.count_nonzero(counts >= min_rows) >= 2 and other < len(values) / 2)


def segment_metrics(
    task: Task, part: Part, settings: EvaluationSettings, seed: int, order: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The entry `segments` of `evaluate`.

    Args:
        order: columns, the most interesting first, when the settings name none.
    """
    found = []
    for column in choose_columns(part.raw, settings, order):
        values = part.raw[column]
        labels, codes = segment_labels(values, settings.min_segment_rows)
        rows = [
            {"segment": label, **_measure(task, part.take(np.flatnonzero(codes == code)), len(part), settings, seed)}
            for code, label in enumerate(labels)
            if (codes == code).any()
        ]
        kind = {"O": "string", "U": "string", "T": "string", "i": "time"}.get(values.dtype.kind, "number")
        found.append({"column": column, "kind": kind, "rows": rows})
    return found


def _measure(task: Task, part: Part, n_rows: int, settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    metrics = measured(task, part, settings, seed)
    score = part.outputs.get("probability", part.outputs.get("prediction"))
    target = predicted = None
    if score is not None and score.ndim == 1 and (part.weight is None or part.weight.any()):
        target = float(np.average(part.target.astype(np.float64), weights=part.weight))
        predicted = float(np.average(score.astype(np.float64), weights=part.weight))
    return {"n": len(part), "share": len(part) / n_rows, "metrics": metrics, "target": target, "predicted": predicted}


def measured(task: Task, part: Part, settings: EvaluationSettings, seed: int) -> dict[str, dict[str, float | None]]:
    """Metric → value and interval, of one part's outputs."""
    resamples = Resamples(len(part), settings.n_bootstrap, seed, part.groups, part.weight)
    task = task.grouped_by(part.within)
    statistic: Callable[[np.ndarray], dict[str, float]] = task.statistics(part.outputs, part.target)
    centre = statistic(resamples.whole)
    samples = resample({"model": statistic}, resamples, task.described)["model"]
    values = task.metrics(part.outputs, part.target, part.weight)
    return {name: estimate(value, centre[name], samples.get(name), settings.confidence) for name, value in values.items()}
