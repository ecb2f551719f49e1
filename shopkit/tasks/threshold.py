"""The least probability that is flagged, chosen on calibrated validation probabilities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Gain = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Weighted true positives, false positives, false negatives and true negatives of each candidate → what to maximise."""


def best_threshold(probability: np.ndarray, target: np.ndarray, weight: np.ndarray | None, gain: Gain) -> float:
    """The threshold with the largest gain among all that differ on these rows, from flagging none to flagging all.

    Equal gains go to the one that flags fewer. It lies halfway between the two probabilities it parts, so that
    rounding elsewhere does not move a row across it.

    Args:
        probability: float32 (N,).
        target: 0/1 (N,).
        weight: (N,) or None.
        gain: see `Gain`.
    """
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order].astype(np.float64)
    weight = np.ones(len(ranked)) if weight is None else weight[order].astype(np.float64)
    positive = weight * target[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    tp = np.append(0.0, np.cumsum(positive)[ends])
    fp = np.append(0.0, np.cumsum(weight)[ends]) - tp
    best = int(np.argmax(gain(tp, fp, tp[-1] - tp, fp[-1] - fp)))
    above = ranked[ends[best - 1]] if best > 0 else np.nextafter(np.float32(1), np.float32(2))
    below = ranked[ends[best]] if best < len(ends) else 0.0
    middle = np.float32((above + below) / 2)
    return float(middle if middle > below else np.float32(above)) if best < len(ends) else 0.0


def f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall; 0 where nothing is positive."""
    size = 2 * tp + fp + fn
    return np.asarray(np.divide(2 * tp, size, out=np.zeros_like(tp), where=size > 0))


def saving(false_positive: float, false_negative: float, true_positive: float, true_negative: float) -> Gain:
    """Minus the cost of the decisions by a table of costs (Elkan 2001)."""
    return lambda tp, fp, fn, tn: -(fp * false_positive + fn * false_negative + tp * true_positive + tn * true_negative)


def nearest_rate(rate: float) -> Gain:
    """Minus the distance of the flagged share from `rate`."""
    return lambda tp, fp, fn, tn: -np.abs((tp + fp) / (tp + fp + fn + tn) - rate)
