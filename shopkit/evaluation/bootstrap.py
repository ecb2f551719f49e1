"""Bootstrap intervals: of one predictor's metrics, and of the paired difference of two on the same rows.

A resample is a vector of weights (N,): how often each row was drawn. Where rows belong to groups (the same customer at several
cut-offs), whole groups are drawn, since their rows say the same thing more than once and intervals over rows would be too
narrow (Davison and Hinkley, "Bootstrap Methods and their Application", 1997, 3.8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from statistics import NormalDist
from typing import Literal

import numpy as np

from shopkit.progress import counted
from shopkit.tasks.base import Metric

Statistic = Callable[[np.ndarray], dict[str, float]]
"""Weights (N,) → metrics of the rows so weighted."""

Samples = dict[str, np.ndarray]
"""Metric → its value in each resample, float64 (n_bootstrap,)."""

METHOD = "bias-corrected percentile"


class Resamples:
    """A fixed series of resamples: iterating twice gives the same weights.

    Args:
        n_rows: rows of the part.
        n_bootstrap: resamples in the series.
        seed: equal seeds give equal series.
        groups: (N,) who a row belongs to; None draws rows.
        weight: (N,) sample weights, multiplied in.
    """

    def __init__(
        self, n_rows: int, n_bootstrap: int, seed: int, groups: np.ndarray | None = None, weight: np.ndarray | None = None
    ) -> None:
        self.n_rows = n_rows
        self.n_bootstrap = n_bootstrap
        self.seed = seed
        self.weight = weight
        codes = None if groups is None else np.unique(groups, return_inverse=True)[1]
        self.n_units = n_rows if codes is None else int(codes.max(initial=-1)) + 1
        self._codes = None if self.n_units == n_rows else codes

    @property
    def unit(self) -> Literal["rows", "groups"]:
        return "rows" if self._codes is None else "groups"

    @property
    def whole(self) -> np.ndarray:
        """The weights of the rows as they are."""
        return np.ones(self.n_rows) if self.weight is None else np.asarray(self.weight, np.float64)

    def __iter__(self) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(self.seed)
        for _ in range(self.n_bootstrap):
            drawn = np.bincount(rng.integers(0, self.n_units, self.n_units), minlength=self.n_units).astype(np.float64)
            counts = drawn if self._codes is None else drawn[self._codes]
            yield counts if self.weight is None else counts * self.whole


def resample(
    statistics: Mapping[str, Statistic], resamples: Resamples, described: Mapping[str, Metric] | None = None
) -> dict[str, Samples]:
    """Predictor → metric → values, every predictor on the same resamples; without the metrics that resamples say nothing of.

    Args:
        described: what is known of metrics.
    """
    series: dict[str, list[dict[str, float]]] = {name: [] for name in statistics}
    for weight in counted(resamples, "measuring on resamples", resamples.n_bootstrap):
        for name, statistic in statistics.items():
            series[name].append(statistic(weight))
    without = {name for name, metric in (described or {}).items() if not metric.resampled}
    return {
        name: {
            metric: np.array([values[metric] for values in found])
            for metric in (found[0] if found else {})
            if metric not in without
        }
        for name, found in series.items()
    }


def interval(samples: np.ndarray, value: float, confidence: float) -> tuple[float, float] | None:
    """The bias-corrected percentile interval (Efron 1981), or None where fewer than half of the resamples have a value.

    The correction shifts the percentiles by how far the median resample lies from `value`: it changes nothing for an unbiased
    statistic, and matters for one that resampling inflates, such as the calibration error.
    """
    n_resamples, samples = len(samples), samples[np.isfinite(samples)]
    total = len(samples)
    if total == 0 or 2 * total < n_resamples or not np.isfinite(value):
        return None
    below = (np.count_nonzero(samples < value) + 0.5 * np.count_nonzero(samples == value)) / total
    normal = NormalDist()
    shift = normal.inv_cdf(min(max(below, 0.5 / total), 1 - 0.5 / total))
    reach = normal.inv_cdf(0.5 + confidence / 2)
    low, high = np.quantile(samples, [normal.cdf(2 * shift - reach), normal.cdf(2 * shift + reach)])
    return float(min(low, value)), float(max(high, value))


def estimate(value: float, centre: float, samples: np.ndarray | None, confidence: float) -> dict[str, float | None]:
    """`{"value", "low", "high"}` with None for what does not exist.

    Args:
        value: the point estimate shown.
        centre: the same metric by the function that made the samples.
        samples: (n_bootstrap,), or None for no interval.
        confidence: share of resamples inside.
    """
    bounds = None if samples is None else interval(samples, centre, confidence)
    low, high = bounds or (None, None)
    return {"value": value if np.isfinite(value) else None, "low": low, "high": high}
