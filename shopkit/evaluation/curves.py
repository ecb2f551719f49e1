"""The numbers behind the plots: plain lists, at most `MOST_POINTS` points a curve."""

from __future__ import annotations

from typing import Any

import numpy as np

MOST_POINTS = 500
N_RELIABILITY = 10
N_HISTOGRAM = 50
QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.99)


def plain(values: np.ndarray) -> list[Any]:
    """Floats as a JSON list, with None for NaN."""
    return [None if value != value else value for value in np.asarray(values).tolist()]


def thinned(n_points: int) -> np.ndarray:
    """Indices of at most `MOST_POINTS` points, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, n_points - 1, min(n_points, MOST_POINTS)).round().astype(np.int64))


class Ranked:
    """Rows by falling score, with cumulative weights after each distinct score; index 0 flags nothing."""

    def __init__(self, score: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> None:
        order = np.argsort(-score, kind="stable")
        ranked = score[order].astype(np.float64)
        weight = np.ones(len(score)) if weight is None else weight[order].astype(np.float64)
        ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
        self.scores = ranked[ends]
        self.flagged = np.append(0.0, np.cumsum(weight)[ends])
        self.true = np.append(0.0, np.cumsum(weight * target[order])[ends])
        self.false = self.flagged - self.true
        self.exists = bool(self.true[-1] > 0 and self.false[-1] > 0)


def roc(ranked: Ranked) -> dict[str, Any]:
    """Receiver operating characteristic, without the points that lie on a straight line between their neighbours."""
    if not ranked.exists:
        return {"false_positive_rate": [], "true_positive_rate": [], "area": None}
    x, y = ranked.false / ranked.false[-1], ranked.true / ranked.true[-1]
    corner = np.ones(len(x), dtype=bool)
    corner[1:-1] = np.abs(np.diff(x, 2)) + np.abs(np.diff(y, 2)) > 1e-12
    kept = np.flatnonzero(corner)
    kept = kept[thinned(len(kept))]
    return {"false_positive_rate": plain(x[kept]), "true_positive_rate": plain(y[kept]), "area": float(np.trapezoid(y, x))}


def precision_recall(ranked: Ranked) -> dict[str, Any]:
    """Precision and recall as ever more rows are flagged; `threshold` is the least score flagged."""
    if not ranked.exists:
        return {"recall": [], "precision": [], "threshold": [], "rate": None, "area": None}
    true, flagged = ranked.true[1:], ranked.flagged[1:]
    # The first rows may weigh nothing.
    recall, precision = true / ranked.true[-1], np.divide(true, flagged, out=np.zeros_like(true), where=flagged > 0)
    area = float(np.dot(np.diff(recall, prepend=0.0), precision))
    kept = _by_value(recall)
    return {
        "recall": plain(recall[kept]),
        "precision": plain(precision[kept]),
        "threshold": plain(ranked.scores[kept]),
        "rate": float(ranked.true[-1] / ranked.flagged[-1]),
        "area": area,
    }


def _by_value(rising: np.ndarray) -> np.ndarray:
    """Indices of at most `MOST_POINTS` points, evenly spread over the range of a rising quantity."""
    wanted = np.linspace(rising[0], rising[-1], MOST_POINTS - 1)
    return np.unique(np.append(np.minimum(np.searchsorted(rising, wanted), len(rising) - 1), len(rising) - 1))


def thresholds(ranked: Ranked) -> dict[str, list[Any]]:
    """Precision, recall, F1 and flagged share by threshold, rising."""
    kept = thinned(len(ranked.scores))[::-1]
    true, flagged = ranked.true[1:][kept], ranked.flagged[1:][kept]
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "threshold": plain(ranked.scores[kept]),
            "precision": plain(true / flagged),
            "recall": plain(true / ranked.true[-1]),
            "f1": plain(2 * true / (flagged + ranked.true[-1])),
            "flagged": plain(flagged / ranked.flagged[-1]),
        }


def gains(ranked: Ranked) -> dict[str, list[Any]]:
    """Share of positives found in the best-scored share of rows; lift is the ratio of the two, None at no rows."""
    if ranked.true[-1] <= 0:
        return {"share_of_rows": [], "share_of_positives": [], "lift": []}
    rows, found = ranked.flagged / ranked.flagged[-1], ranked.true / ranked.true[-1]
    kept = _by_value(rows)
    with np.errstate(invalid="ignore"):
        return {"share_of_rows": plain(rows[kept]), "share_of_positives": plain(found[kept]), "lift": plain((found / rows)[kept])}


def deciles(score: np.ndarray, target: np.ndarray, weight: np.ndarray | None, n: int = 10) -> list[dict[str, Any]]:
    """Rows in tenths by falling score. Of rows with one score each tenth has as many positives as come of a random order."""
    weight = np.ones(len(score)) if weight is None else weight.astype(np.float64)
    order = np.argsort(-score, kind="stable")
    total = float(np.dot(weight, target))
    alike = np.unique(score, return_inverse=True)[1]
    of_score, positives = np.bincount(alike, weight), np.bincount(alike, weight * target)
    target = np.divide(positives, of_score, out=np.zeros_like(positives), where=of_score > 0)[alike]
    rate = total / weight.sum()
    cumulative, found = 0.0, []
    for number, rows in enumerate(np.array_split(order, n), start=1):
        if len(rows) == 0:
            continue
        size, positive = float(weight[rows].sum()), float(np.dot(weight[rows], target[rows]))
        cumulative += positive
        observed = positive / size if size > 0 else None
        found.append(
            {
                "decile": number,
                "n": len(rows),
                "mean_predicted": float(np.dot(weight[rows], score[rows]) / size) if size > 0 else None,
                "observed": observed,
                "lift": observed / rate if observed is not None and rate > 0 else None,
                "cumulative_share": cumulative / total if total > 0 else None,
            }
        )
    return found


def reliability(
    predicted: np.ndarray, observed: np.ndarray, weight: np.ndarray | None, z: float, groups: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """Mean prediction and mean outcome in bins of as many rows each.

    The interval of a 0/1 outcome is Wilson's score interval (1927), that of a number the normal one of its mean.

    Args:
        predicted: (N,) probabilities or amounts.
        observed: (N,) outcomes: 0/1, or amounts.
        weight: (N,) or None.
        z: half-width of the interval in standard errors, 1.96 for 95 %.
        groups: (N,) who a row belongs to, or None; the interval counts as many rows as tell as much each by itself.
    """
    weight = np.ones(len(predicted)) if weight is None else weight.astype(np.float64)
    predicted, observed = predicted.astype(np.float64), observed.astype(np.float64)
    is_rate = bool(np.isin(observed, (0, 1)).all())
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, N_RELIABILITY + 1)))
    bins = np.searchsorted(edges[1:-1], predicted, side="right")
    found = []
    for number in np.unique(bins):
        rows = bins == number
        w = weight[rows]
        if w.sum() <= 0:
            continue
        mean = float(np.average(observed[rows], weights=w))
        effective = _effective(w, observed[rows] - mean, None if groups is None else groups[rows])
        if is_rate:
            middle = (mean + z**2 / (2 * effective)) / (1 + z**2 / effective)
            reach = z * np.sqrt(mean * (1 - mean) / effective + z**2 / (4 * effective**2)) / (1 + z**2 / effective)
        else:
            middle = mean
            reach = z * np.sqrt(np.average((observed[rows] - mean) ** 2, weights=w) / effective)
        found.append(
            {
                "mean_predicted": float(np.average(predicted[rows], weights=w)),
                "observed": mean,
                "low": float(middle - reach),
                "high": float(middle + reach),
                "n": int(rows.sum()),
            }
        )
    return found


def _effective(weight: np.ndarray, error: np.ndarray, groups: np.ndarray | None) -> float:
    """The number of rows of equal weight, independent of each other, whose mean is as certain (Kish 1965): of weights, and by the
    variance between groups of rows that belong together."""
    rows = float(weight.sum() ** 2 / (weight**2).sum())
    if groups is None:
        return rows
    codes = np.unique(groups, return_inverse=True)[1]
    n = int(codes.max()) + 1
    if n == len(weight):
        return rows
    within = float(((weight * error) ** 2).sum())
    if n == 1 or within == 0:
        # Nothing varies, so that nothing tells how alike the rows of a group are: as alike as can be.
        return float(weight.sum() ** 2 / (np.bincount(codes, weight) ** 2).sum())
    between = float((np.bincount(codes, weight * error) ** 2).sum()) * n / (n - 1)
    return rows * min(1.0, within / between) if between > 0 else rows


def confusion(actual: np.ndarray, predicted: np.ndarray, classes: list[str]) -> dict[str, Any]:
    """Rows counted by actual (first index) and predicted class (second)."""
    return {"classes": list(classes), "counts": _cells(actual, predicted, len(classes), None).tolist()}


def _cells(actual: np.ndarray, predicted: np.ndarray, k: int, weight: np.ndarray | None) -> np.ndarray:
    """Rows, or their weights, of each actual and predicted class, (k, k)."""
    return np.bincount(actual.astype(np.int64) * k + predicted.astype(np.int64), weight, minlength=k * k).reshape(k, k)


def binary_curves(
    probability: np.ndarray,
    decision: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    classes: list[str],
    z: float,
    groups: np.ndarray | None = None,
) -> dict[str, Any]:
    """All curves of a binary task."""
    ranked = Ranked(probability, target, weight)
    edges = np.linspace(0, 1, N_HISTOGRAM + 1)
    counts = {name: np.histogram(probability[target == code], edges)[0].tolist() for code, name in enumerate(classes)}
    return {
        "roc": roc(ranked),
        "precision_recall": precision_recall(ranked),
        "thresholds": thresholds(ranked),
        "gains": gains(ranked),
        "deciles": deciles(probability, target, weight),
        "scores": {"edges": plain(edges), "counts": counts},
        "calibration": reliability(probability, target, weight, z, groups),
        "confusion": confusion(target, decision, classes),
    }


def multiclass_curves(
    probability: np.ndarray,
    label: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    classes: list[str],
    z: float,
    groups: np.ndarray | None = None,
) -> dict[str, Any]:
    """All curves of a multiclass task."""
    matrix = confusion(target, label, classes)
    n_rows = np.array(matrix["counts"]).sum(axis=1)
    cells = _cells(target, label, len(classes), weight)
    areas = {name: roc(Ranked(probability[:, k], target == k, weight)) for k, name in enumerate(classes)}
    right, actual, predicted = np.diag(cells), cells.sum(axis=1), cells.sum(axis=0)
    with np.errstate(invalid="ignore"):
        table = zip(right / predicted, right / actual, 2 * right / (actual + predicted), strict=True)
        by_class = [
            {
                "class": name,
                "n": int(n_rows[k]),
                **dict(zip(("precision", "recall", "f1"), plain(np.array(row)), strict=True)),
                "auroc": areas[name]["area"],
            }
            for k, (name, row) in enumerate(zip(classes, table, strict=True))
        ]
    top = probability.argmax(axis=1)
    return {
        "roc": {"by_class": areas},
        "by_class": by_class,
        "calibration": reliability(probability.max(axis=1), top == target, weight, z, groups),
        "confusion": matrix,
    }


def regression_curves(
    prediction: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray | None,
    z: float,
    seed: int,
    groups: np.ndarray | None = None,
) -> dict[str, Any]:
    """All curves of a regression task."""
    prediction, target = prediction.astype(np.float64), target.astype(np.float64)
    n = len(target)
    rows = np.sort(np.random.default_rng(seed).choice(n, min(n, MOST_POINTS), replace=False))
    residual = target - prediction
    # The outer half percent on each side would squeeze all other bins into one.
    low, high = np.quantile(residual, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, N_HISTOGRAM + 1)
    return {
        "predicted_actual": {"predicted": plain(prediction[rows]), "actual": plain(target[rows])},
        "calibration": reliability(prediction, target, weight, z, groups),
        "residuals": {"edges": plain(edges), "counts": np.histogram(residual, edges)[0].tolist()},
        "absolute_error": {"quantile": list(QUANTILES), "value": plain(np.quantile(np.abs(residual), QUANTILES))},
    }
