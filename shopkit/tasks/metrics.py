"""Weighted metrics in numpy, prepared once and evaluated for any weights: what the bootstrap and segments call.

Each class takes predictions and targets, does the sorting and binning once, and is then called with weights (N,):
integer weights equal repeating the rows. Definitions are those of torchmetrics and scikit-learn; tests compare all three.
A metric that does not exist for the weighted rows (AUROC with one class) is NaN.
"""

from __future__ import annotations

import numpy as np
import torch

from shopkit.tasks.base import Metric

N_BINS = 15
"""Equal-width bins of the expected calibration error."""

ROUNDING = 1e-12
"""Share of a sum of squares up to which a difference to it is one of rounding."""

BINARY = {
    "auroc": Metric("AUROC", "higher", "chance that a positive row is ranked above a negative one", 0, 1),
    "average_precision": Metric("Average precision", "higher", "area under the precision–recall curve", 0, 1),
    "log_loss": Metric("Log loss", "lower", "mean negative log-likelihood of the probabilities", 0),
    "brier": Metric("Brier score", "lower", "mean squared error of the probabilities", 0, 1),
    "calibration_error": Metric("Calibration error", "lower", f"mean gap of predicted and observed rate in {N_BINS} bins", 0, 1),
    "accuracy": Metric("Accuracy", "higher", "share of labels that are right", 0, 1),
    "precision": Metric("Precision", "higher", "share of flagged rows that are positive", 0, 1),
    "recall": Metric("Recall", "higher", "share of positive rows that are flagged", 0, 1),
    "f1": Metric("F1", "higher", "harmonic mean of precision and recall", 0, 1),
}
MULTICLASS = {
    "accuracy": Metric("Accuracy", "higher", "share of labels that are right", 0, 1),
    "f1_macro": Metric("F1, macro", "higher", "F1 of each class, averaged over classes", 0, 1),
    "precision_macro": Metric("Precision, macro", "higher", "precision of each class, averaged over classes", 0, 1),
    "recall_macro": Metric("Recall, macro", "higher", "recall of each class, averaged over classes", 0, 1),
    "auroc_macro": Metric("AUROC, macro", "higher", "AUROC of each class against the rest, averaged over classes", 0, 1),
    "log_loss": Metric("Log loss", "lower", "mean negative log-likelihood of the probabilities", 0),
    "calibration_error": Metric("Calibration error", "lower", f"mean gap of top probability and accuracy in {N_BINS} bins", 0, 1),
}
REGRESSION = {
    "mae": Metric("MAE", "lower", "mean absolute error, in the target's unit", 0),
    "rmse": Metric("RMSE", "lower", "root of the mean squared error, in the target's unit", 0),
    "wape": Metric("WAPE", "lower", "sum of absolute errors over the sum of absolute targets", 0),
    "r2": Metric("R²", "higher", "share of the target's variance that is explained", most=1),
}


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator > 0 else 0.0


def summed(first: np.ndarray, second: np.ndarray) -> float:
    """The sum of products of two (N,). Not by BLAS: its threads gain nothing here, and on a busy machine wait for each other ten
    times as long as the sum takes, thousands of times in a bootstrap."""
    return float(np.einsum("i,i", first, second))


class _Ranking:
    """Scores sorted once, best first, with equal scores as one step."""

    def __init__(self, scores: np.ndarray, positive: np.ndarray) -> None:
        self.order = np.argsort(-scores, kind="stable")
        ranked = scores[self.order]
        self.steps = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
        self.positive = positive[self.order].astype(np.float64)

    def __call__(self, weight: np.ndarray) -> tuple[float, float]:
        """AUROC and average precision; NaN where a class has no weight."""
        weight = weight[self.order]
        true = np.cumsum(weight * self.positive)[self.steps]
        flagged = np.cumsum(weight)[self.steps]
        false = flagged - true
        if true[-1] <= 0 or false[-1] <= 0:
            return float("nan"), (1.0 if true[-1] > 0 else float("nan"))
        true_before = np.concatenate(([0.0], true[:-1]))
        false_steps = np.diff(false, prepend=0.0)
        area = float(summed(false_steps, true + true_before) / (2 * true[-1] * false[-1]))
        precision = np.divide(true, flagged, out=np.zeros_like(true), where=flagged > 0)
        return area, float(summed(true - true_before, precision) / true[-1])


class _Reliability:
    """Expected calibration error over equal-width bins of the confidence (Naeini et al. 2015).

    Binned as torchmetrics does, to the last bit of the edges; a confidence of exactly 1 has a bin of its own there.
    """

    def __init__(self, confidence: np.ndarray, correct: np.ndarray) -> None:
        edges = torch.linspace(0, 1, N_BINS + 1).numpy()
        self.bins = np.searchsorted(edges, confidence.astype(np.float32), side="right") - 1
        self.gap = confidence.astype(np.float64) - correct

    def __call__(self, weight: np.ndarray) -> float:
        gaps = np.bincount(self.bins, weight * self.gap, minlength=N_BINS + 1)
        return float(np.abs(gaps).sum() / weight.sum())


class BinaryStatistics:
    """Metrics of probabilities (N,), decisions (N,) bool and targets (N,) 0/1."""

    def __init__(self, probability: np.ndarray, decision: np.ndarray, target: np.ndarray) -> None:
        target = target.astype(np.float64)
        clipped = np.clip(probability, np.finfo(np.float32).eps, 1 - np.finfo(np.float32).eps).astype(np.float64)
        self.ranking = _Ranking(probability, target)
        self.reliability = _Reliability(probability, target)
        self.losses = np.stack(
            [
                -np.where(target == 1, np.log(clipped), np.log1p(-clipped)),
                (probability.astype(np.float64) - target) ** 2,
                decision * target,
                decision * (1 - target),
                ~decision * target,
            ]
        )

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        total = float(weight.sum())
        if total <= 0:
            return dict.fromkeys(BINARY, float("nan"))
        auroc, average_precision = self.ranking(weight)
        log_loss, brier, tp, fp, fn = self.losses @ weight
        return {
            "auroc": auroc,
            "average_precision": average_precision,
            "log_loss": float(log_loss / total),
            "brier": float(brier / total),
            "calibration_error": self.reliability(weight),
            "accuracy": float((total - fp - fn) / total),
            "precision": _ratio(tp, tp + fp),
            "recall": _ratio(tp, tp + fn),
            "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        }


class MulticlassStatistics:
    """Metrics of probabilities (N, K), labels (N,) int and targets (N,) int. Macro means are over classes that occur."""

    def __init__(self, probability: np.ndarray, label: np.ndarray, target: np.ndarray) -> None:
        self.n_classes = probability.shape[1]
        of_target = probability[np.arange(len(target)), target]
        self.loss = -np.log(np.clip(of_target, np.finfo(np.float32).eps, 1).astype(np.float64))
        self.cells = target * self.n_classes + label
        self.rankings = [_Ranking(probability[:, k], target == k) for k in range(self.n_classes)]
        self.reliability = _Reliability(probability.max(axis=1), (probability.argmax(axis=1) == target).astype(np.float64))

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        total = float(weight.sum())
        if total <= 0:
            return dict.fromkeys(MULTICLASS, float("nan"))
        confusion = np.bincount(self.cells, weight, minlength=self.n_classes**2).reshape(self.n_classes, self.n_classes)
        right, actual, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
        occurs = actual + predicted > 0
        areas = np.array([ranking(weight)[0] for ranking in self.rankings])
        areas = areas[np.isfinite(areas)]

        def macro(numerator: np.ndarray, denominator: np.ndarray) -> float:
            return float(np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)[occurs].mean())

        return {
            "accuracy": float(right.sum() / total),
            "f1_macro": macro(2 * right, actual + predicted),
            "precision_macro": macro(right, predicted),
            "recall_macro": macro(right, actual),
            "auroc_macro": float(areas.mean()) if len(areas) else float("nan"),
            "log_loss": float(summed(self.loss, weight) / total),
            "calibration_error": self.reliability(weight),
        }


class RegressionStatistics:
    """Metrics of predictions (N,) and targets (N,)."""

    def __init__(self, prediction: np.ndarray, target: np.ndarray) -> None:
        target = target.astype(np.float64)
        error = prediction.astype(np.float64) - target
        # Centred first, so that the variance below does not drown in a large mean.
        self.centred = target - target.mean()
        self.sums = np.stack([np.abs(error), error**2, np.abs(target), self.centred, self.centred**2])

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        total = float(weight.sum())
        if total <= 0:
            return dict.fromkeys(REGRESSION, float("nan"))
        absolute, squared, size, first, second = self.sums @ weight
        variation = second - first**2 / total
        if variation <= ROUNDING * second:
            variation = 0.0
        return {
            "mae": float(absolute / total),
            "rmse": float(np.sqrt(squared / total)),
            "wape": float(absolute / size) if size > 0 else float("nan"),
            "r2": float(1 - squared / variation) if variation > 0 else float("nan"),
        }
