"""Means over the folds of a cross-validation, with intervals that mind that the folds' training rows overlap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

CONFIDENCE = 0.95


def mean_of_folds(
    estimates: Sequence[Mapping[str, Any]], test_to_train: float, least: float | None = None, most: float | None = None
) -> dict[str, Any]:
    """Mean of a metric over folds: `value`, `low`, `high`, `sd`, and each fold's own estimate in `folds`.

    The interval is the corrected resampled t (Nadeau & Bengio, "Inference for the generalization error", Machine Learning 52,
    2003): the variance of the folds is multiplied by 1/k + n_test/n_train instead of by 1/k.

    Args:
        estimates: of each fold: `value`, and perhaps `low` and `high`.
        test_to_train: rows of a test part for each row of its training part.
        least: what no value of the metric is below; the interval ends there. None is no such end.
        most: what none is above.
    """
    values = [float(estimate["value"]) for estimate in estimates if estimate.get("value") is not None]
    folds = [dict(estimate) for estimate in estimates]
    n = len(values)
    if n == 0:
        return {"value": None, "low": None, "high": None, "sd": None, "folds": folds}
    mean = sum(values) / n
    if n == 1:
        return {"value": mean, "low": None, "high": None, "sd": None, "folds": folds}
    variance = sum((value - mean) ** 2 for value in values) / (n - 1)
    half = student_quantile((1 + CONFIDENCE) / 2, n - 1) * math.sqrt(variance * (1 / n + test_to_train))
    low = mean - half if least is None else max(mean - half, least)
    high = mean + half if most is None else min(mean + half, most)
    return {"value": mean, "low": low, "high": high, "sd": math.sqrt(variance), "folds": folds}


def student_quantile(share: float, degrees: int) -> float:
    """Quantile of Student's t distribution, for a share of at least one half, to nine digits.

    >>> round(student_quantile(0.975, 4), 4)
    2.7764
    """
    low, high = 0.0, 1.0
    while _student_cdf(high, degrees) < share:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_cdf(middle, degrees) < share else (low, middle)
    return (low + high) / 2


def _student_cdf(t: float, degrees: int) -> float:
    """For t of at least 0: the finite sums of Abramowitz & Stegun 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    if degrees % 2:
        term, total = cosine, 0.0
        for i in range(1, degrees - 1, 2):
            total += term
            term *= cosine * cosine * (i + 1) / (i + 2)
        return 0.5 + (angle + sine * total) / math.pi
    term, total = 1.0, 0.0
    for i in range(0, degrees, 2):
        total += term
        term *= cosine * cosine * (i + 1) / (i + 2)
    return 0.5 + sine * total / 2
