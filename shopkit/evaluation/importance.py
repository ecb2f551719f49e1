"""Permutation importance of raw columns, through the exported file (Breiman 2001; Fisher, Rudin and Dominici 2019)."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from shopkit.evaluation.bootstrap import Resamples, interval
from shopkit.evaluation.part import Part, Predict
from shopkit.evaluation.settings import EvaluationSettings
from shopkit.progress import counted
from shopkit.tasks.base import Metric, Task

MOST_RESAMPLES = 100
"""Resamples of rows behind an interval: enough for a bar's whiskers, and there are many columns."""


def headline(task: Task, metrics: dict[str, float]) -> str:
    """The metric that speaks for the task where one must: the monitored one, or else the first."""
    return task.monitor.name if task.monitor.name in metrics else next(iter(metrics))


def permutation_importance(
    task: Task, part: Part, predict: Predict, settings: EvaluationSettings, seed: int
) -> dict[str, Any] | None:
    """How much worse the headline metric gets when one column is shuffled among the rows, for each column.

    The interval holds both the draw of rows and the shuffle: each resample of rows is paired with one of the shuffles.
    A column's shuffles depend on the seed and its name only, so a column more or less does not change the others. Sequences run
    side by side, so they are shuffled as one.

    Returns:
        The entry `importance` of `evaluate`; None when `permutation_repeats` is 0.
    """
    if settings.permutation_repeats == 0 or len(part) == 0:
        return None
    rng = np.random.default_rng([seed, 1])
    within_groups = task.grouped_by(part.within) is not task
    part = part.take(_drawn(len(part), part.groups if within_groups else None, settings.permutation_rows, rng))
    task = task.grouped_by(part.within)
    n_bootstrap = min(settings.n_bootstrap, MOST_RESAMPLES)
    resamples = Resamples(len(part), n_bootstrap, seed, part.groups, part.weight)
    weights = list(resamples)
    whole = task.statistics(predict(part.columns), part.target)
    intact = whole(resamples.whole)
    name = headline(task, intact)
    sign = -1.0 if task.described.get(name, Metric(name, "higher", "")).better == "lower" else 1.0
    intact_samples = np.array([whole(weight)[name] for weight in weights])

    columns: list[dict[str, Any]] = []
    together = {name: [name] for name in (*part.raw, *part.images)}
    if part.sequences:
        together[f"the steps ({', '.join(part.sequences)})"] = list(part.sequences)
    for column, names in counted(together.items(), "shuffling columns", len(together)):
        rng = np.random.default_rng([seed, zlib.crc32(column.encode())])
        shuffled = []
        for _ in range(settings.permutation_repeats):
            rows = rng.permutation(len(part))
            changed = {**part.columns, **{name: part.columns[name][rows] for name in names}}
            shuffled.append(task.statistics(predict(changed), part.target))
        loss = sign * float(np.mean([intact[name] - statistic(resamples.whole)[name] for statistic in shuffled]))
        samples = np.array([shuffled[index % len(shuffled)](weight)[name] for index, weight in enumerate(weights)])
        low, high = interval(sign * (intact_samples - samples), loss, settings.confidence) or (None, None)
        columns.append({"column": column, "value": loss if np.isfinite(loss) else None, "low": low, "high": high})
    columns.sort(key=lambda entry: (-(entry["value"] or 0.0), entry["column"]))
    return {"metric": name, "n_rows": len(part), "n_repeats": settings.permutation_repeats, "columns": columns}


def _drawn(n_rows: int, groups: np.ndarray | None, most: int, rng: np.random.Generator) -> np.ndarray:
    """Rows drawn at random, ascending: `most` of them, or of whole groups as many as fit, one at least."""
    if groups is None or n_rows <= most:
        return np.sort(rng.choice(n_rows, min(n_rows, most), replace=False))
    codes = np.unique(groups, return_inverse=True)[1]
    order = rng.permutation(int(codes.max()) + 1)
    n_fitting = np.count_nonzero(np.cumsum(np.bincount(codes)[order]) <= most)
    return np.flatnonzero(np.isin(codes, order[: max(1, n_fitting)]))
