"""Binary classification: the probability of one of two classes, calibrated, and a label by a threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.v21 as op
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_accuracy,
    binary_auroc,
    binary_average_precision,
    binary_calibration_error,
    binary_f1_score,
    binary_precision,
    binary_recall,
)
from torchmetrics.functional.regression import mean_squared_error

from shopkit.errors import DataError, nearest
from shopkit.tasks import threshold
from shopkit.tasks.base import Monitor, Output, Task, mean_loss
from shopkit.tasks.calibration import fit_scaling, require_scores
from shopkit.tasks.metrics import BINARY, N_BINS, BinaryStatistics
from shopkit.tasks.settings import BinarySettings
from shopkit.tasks.targets import as_classes, class_shares, encode_classes, listed, loss_weights

TRUTHS = ("1", "true", "yes", "y", "t")
"""Class names, in lower case, that are taken as the positive class unless the settings say otherwise."""

FALSEHOODS = ("0", "false", "no", "n", "f")
"""Their opposites: YAML reads an unquoted yes or no as true or false."""


class Binary(Task):
    """Logits (N, 1) → `probability` float32 (N,) of the positive class and `label` string (N,).

    State: `classes` (negative, positive), `prior`, `loss_weights` (per class), `scale` and `bias` (probability =
    sigmoid(scale·score + bias)), `threshold` (label is positive from there), `note`.
    """

    settings: BinarySettings
    described = BINARY

    def __init__(self, settings: BinarySettings) -> None:
        super().__init__(settings)
        self.monitor = Monitor(settings.monitor, "min" if settings.monitor == "log_loss" else "max")

    def fit_target(self, values: np.ndarray, weight: np.ndarray | None = None) -> None:
        names, counts = np.unique(as_classes(values), return_counts=True)
        found = [str(name) for name in names]
        if len(found) == 1:
            raise DataError(
                f"The target has one class in the training part, {listed(found)}, in all {counts[0]:,} rows: nothing tells a yes "
                "from a no. Look at the view's target and at the split."
            )
        if len(found) > 2:
            raise DataError(
                f"task=binary needs two classes, but the target has {len(found)}: {listed(found)}. "
                "Use task=multiclass, or task=regression if the target is an amount."
            )
        positive, note = self._positive(found, counts)
        classes = [name for name in found if name != positive] + [positive]
        prior = float(class_shares(encode_classes(values, classes), weight, 2)[1])
        if prior in (0.0, 1.0):
            raise DataError(
                f"All training rows of the class '{classes[int(prior == 0)]}' have weight 0: nothing tells a yes from a no. "
                "Look at view.weight and at the split."
            )
        shares = np.array([1 - prior, prior])
        weights = loss_weights(shares, self.settings.class_weights == "balanced", [1.0, self.settings.positive_weight])
        self.state = {
            "classes": classes,
            "prior": prior,
            "loss_weights": weights.tolist(),
            "scale": 1.0,
            "bias": 0.0,
            "threshold": 0.5,
            "note": note,
        }

    def _positive(self, found: list[str], counts: np.ndarray) -> tuple[str, str]:
        asked = self.settings.positive
        if asked == "auto" or isinstance(asked, bool):
            named = [name for name in found if name.lower() in (FALSEHOODS if asked is False else TRUTHS)]
            if len(named) == 1:
                return named[0], ""
        if asked != "auto":
            asked = str(asked)
            if asked not in found:
                raise DataError(
                    f"task.positive is '{asked}', but the target's classes are {listed(found)}.{nearest(asked, found)}"
                )
            return asked, ""
        rarer = found[int(np.argmin(counts))]
        return rarer, f"'{rarer}' is taken as the positive class, as it is the rarer one; task.positive names another."

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Raw target (N,) → float32 (N,): 1 for the positive class.

        Raises:
            DataError: a class that the training part does not have.
        """
        return encode_classes(values, self.state["classes"]).astype(np.float32)

    @property
    def n_outputs(self) -> int:
        return 1

    def loss(self, scores: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        logits = scores.squeeze(-1)
        target = target.to(logits.dtype)
        if logits.ndim == 2:
            target = target[:, None].expand_as(logits)  # (batch, members)
        smoothing = self.settings.label_smoothing
        losses = F.binary_cross_entropy_with_logits(logits, target * (1 - smoothing) + smoothing / 2, reduction="none")
        if self.settings.focal_gamma > 0:
            losses = losses * torch.sigmoid(torch.where(target > 0, -logits, logits)) ** self.settings.focal_gamma
        negative, positive = self.state["loss_weights"]
        if negative != positive:
            losses = losses * torch.where(target > 0, positive, negative)
        if losses.ndim == 2:
            losses = losses.mean(dim=1)
        return mean_loss(losses, weight)

    def initial_bias(self) -> np.ndarray:
        rate = self.state["prior"] * self.state["loss_weights"][1]
        rate = rate * (1 - self.settings.label_smoothing) + self.settings.label_smoothing / 2
        return np.array([np.log(rate / (1 - rate))], dtype=np.float32)

    def validation_metrics(self, scores: Tensor, target: Tensor, weight: Tensor | None) -> dict[str, float]:
        probability = torch.sigmoid(scores.squeeze(-1).float()).cpu().numpy()
        weights = np.ones(len(probability)) if weight is None else weight.double().cpu().numpy()
        found = BinaryStatistics(probability, probability >= 0.5, target.cpu().numpy())(weights)
        return {name: found[name] for name in ("auroc", "average_precision", "log_loss")}

    def fit_decision(self, scores: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> None:
        require_scores(scores)
        if self.settings.calibration == "platt":
            scale, bias = fit_scaling(scores, target.astype(np.int64), weight, [1 - self.state["prior"], self.state["prior"]])
            self.state.update(scale=float(np.float32(scale)), bias=float(np.float32(bias[0])))
        if len(np.unique(target)) < 2 and self.settings.threshold in ("f1", "cost"):
            only = self.state["classes"][int(target[0])]
            note = f"The validation part has only '{only}': nothing to calibrate on, and the threshold stays 0.5."
            self.state["note"] = f"{self.state['note'].removesuffix(note)} {note}".strip()
            return
        self.state["threshold"] = self._threshold(self._probability(scores), target, weight)

    def _probability(self, scores: np.ndarray) -> np.ndarray:
        logits = scores[:, 0].astype(np.float32) * np.float32(self.state["scale"]) + np.float32(self.state["bias"])
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-logits)), np.float32)

    def _threshold(self, probability: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> float:
        settings = self.settings
        if settings.threshold == "fixed":
            return float(np.float32(settings.fixed_threshold))
        gain: threshold.Gain = threshold.f1
        if settings.threshold == "cost":
            gain = threshold.saving(
                settings.cost_false_positive,
                settings.cost_false_negative,
                settings.cost_true_positive,
                settings.cost_true_negative,
            )
        elif settings.threshold == "rate":
            gain = threshold.nearest_rate(settings.target_rate)
        return threshold.best_threshold(probability, target, weight, gain)

    def decide(self, scores: ndx.Array) -> dict[str, ndx.Array]:
        logits = op.squeeze(scores.unwrap_spox(), op.const(np.array([1], np.int64)))
        scaled = op.add(op.mul(logits, op.const(np.float32(self.state["scale"]))), op.const(np.float32(self.state["bias"])))
        probability = op.sigmoid(scaled)
        flagged = op.greater_or_equal(probability, op.const(np.float32(self.state["threshold"])))
        negative, positive = (op.const(np.array(name)) for name in self.state["classes"])
        return {"probability": ndx.asarray(probability), "label": ndx.asarray(op.where(flagged, positive, negative))}

    @property
    def outputs(self) -> tuple[Output, ...]:
        negative, positive = self.state["classes"]
        return (
            Output("probability", "float32", f"calibrated probability of '{positive}'"),
            Output("label", "string", f"'{positive}' from probability {self.state['threshold']:.4g}, else '{negative}'"),
        )

    def _decision(self, outputs: dict[str, np.ndarray]) -> np.ndarray:
        return np.asarray(outputs["label"] == self.state["classes"][1], bool)

    def statistics(self, outputs: dict[str, np.ndarray], target: np.ndarray) -> Callable[[np.ndarray], dict[str, float]]:
        return BinaryStatistics(outputs["probability"], self._decision(outputs), target)

    def metrics(self, outputs: dict[str, np.ndarray], target: np.ndarray, weight: np.ndarray | None = None) -> dict[str, float]:
        """Metrics of the positive class: ranking and probabilities, then the labels at the threshold.

        torchmetrics knows no row weights; weighted rows go through `statistics`, which is tested to be its equal.
        """
        if weight is not None:
            return self.statistics(outputs, target)(np.asarray(weight, np.float64))
        probability = torch.from_numpy(np.asarray(outputs["probability"], np.float32))
        label = torch.from_numpy(self._decision(outputs).astype(np.int64))
        truth = torch.from_numpy(np.asarray(target).astype(np.int64))
        both = 0 < int(truth.sum()) < len(truth)
        clipped = probability.double().clamp(torch.finfo(torch.float32).eps, 1 - torch.finfo(torch.float32).eps)
        found: dict[str, Any] = {
            "auroc": binary_auroc(probability, truth) if both else float("nan"),
            "average_precision": binary_average_precision(probability, truth) if truth.any() else float("nan"),
            "log_loss": F.binary_cross_entropy(clipped, truth.double()),
            "brier": mean_squared_error(probability, truth.float()),
            "calibration_error": binary_calibration_error(probability, truth, n_bins=N_BINS),
            "accuracy": binary_accuracy(label, truth),
            "precision": binary_precision(label, truth),
            "recall": binary_recall(label, truth),
            "f1": binary_f1_score(label, truth),
        }
        return {name: float(value) for name, value in found.items()}

    def constant_outputs(self, n_rows: int) -> dict[str, np.ndarray]:
        """The training part's rate for every row, labelled as the file would label it."""
        prior = np.float32(self.state["prior"])
        label = self.state["classes"][int(prior >= np.float32(self.state["threshold"]))]
        return {
            "probability": np.full(n_rows, prior, np.float32),
            "label": np.full(n_rows, label, dtype=object),
        }
