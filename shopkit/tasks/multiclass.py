"""Multiclass classification: a calibrated probability for each class, and the label of the most likely."""

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
    binary_auroc,
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from shopkit.errors import DataError
from shopkit.tasks.base import Monitor, Output, Task, mean_loss
from shopkit.tasks.calibration import fit_scaling, require_scores
from shopkit.tasks.metrics import MULTICLASS, N_BINS, MulticlassStatistics
from shopkit.tasks.settings import MulticlassSettings
from shopkit.tasks.targets import as_classes, class_shares, encode_classes, listed, loss_weights

MANY = 20
"""Up to so many classes a target is never taken for an identifier."""


class Multiclass(Task):
    """Logits (N, K) → `probability` float32 (N, K) and `label` string (N,).

    State: `classes` (in number or text order), `prior` and `loss_weights` (per class), `scale` and `bias` (per class;
    probability = softmax(scale·scores + bias)).
    """

    settings: MulticlassSettings
    described = MULTICLASS

    def __init__(self, settings: MulticlassSettings) -> None:
        super().__init__(settings)
        self.monitor = Monitor(settings.monitor, "min" if settings.monitor == "log_loss" else "max")

    def fit_target(self, values: np.ndarray, weight: np.ndarray | None = None) -> None:
        classes = [str(name) for name in np.unique(as_classes(values))]
        if values.dtype.kind not in "OUT":
            classes.sort(key=float)
        if len(classes) == 1:
            raise DataError(
                f"The target has one class in the training part, {listed(classes)}, in all {len(values):,} rows: nothing tells "
                "classes apart. Look at the view's target and at the split."
            )
        if len(classes) > max(MANY, len(values) // 2):
            raise DataError(
                f"The target has {len(classes):,} classes in {len(values):,} training rows, such as {listed(classes)}: it looks "
                "like an identifier or an amount. Use task=regression for an amount, or take another column as the target."
            )
        shares = class_shares(encode_classes(values, classes), weight, len(classes))
        self.state = {
            "classes": classes,
            "prior": shares.tolist(),
            "loss_weights": loss_weights(shares, self.settings.class_weights == "balanced").tolist(),
            "scale": 1.0,
            "bias": [0.0] * len(classes),
        }

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Raw target (N,) → int64 (N,) class index.

        Raises:
            DataError: a class that the training part does not have.
        """
        return encode_classes(values, self.state["classes"])

    @property
    def n_outputs(self) -> int:
        return len(self.state["classes"])

    def loss(self, scores: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        log_probability = F.log_softmax(scores, dim=-1)
        index = target.long()
        if scores.ndim == 3:
            index = index[:, None].expand(scores.shape[:2])  # (batch, members)
        smoothing = self.settings.label_smoothing
        losses = -(1 - smoothing) * log_probability.gather(-1, index[..., None]).squeeze(-1)
        if smoothing > 0:
            losses = losses - smoothing * log_probability.mean(dim=-1)
        if self.settings.class_weights == "balanced":
            losses = losses * torch.tensor(self.state["loss_weights"], dtype=losses.dtype, device=losses.device)[index]
        if losses.ndim == 2:
            losses = losses.mean(dim=1)
        return mean_loss(losses, weight)

    def initial_bias(self) -> np.ndarray:
        shares = np.array(self.state["prior"]) * np.array(self.state["loss_weights"])
        smoothing = self.settings.label_smoothing
        logits = np.log(np.maximum(shares * (1 - smoothing) + smoothing / self.n_outputs, 1e-12))
        return np.asarray(logits - logits.mean(), np.float32)

    def validation_metrics(self, scores: Tensor, target: Tensor, weight: Tensor | None) -> dict[str, float]:
        probability = torch.softmax(scores.float(), dim=-1).cpu().numpy()
        weights = np.ones(len(probability)) if weight is None else weight.double().cpu().numpy()
        found = MulticlassStatistics(probability, probability.argmax(axis=1), target.cpu().numpy().astype(np.int64))(weights)
        return {name: found[name] for name in ("log_loss", "accuracy", "f1_macro", "auroc_macro")}

    def fit_decision(self, scores: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> None:
        require_scores(scores)
        if self.settings.calibration == "temperature":
            scale, bias = fit_scaling(scores, target.astype(np.int64), weight, self.state["prior"])
            self.state.update(scale=float(np.float32(scale)), bias=bias.astype(np.float32).tolist())

    def decide(self, scores: ndx.Array) -> dict[str, ndx.Array]:
        scaled = op.mul(scores.unwrap_spox(), op.const(np.float32(self.state["scale"])))
        probability = op.softmax(op.add(scaled, op.const(np.array(self.state["bias"], np.float32))), axis=1)
        likeliest = op.arg_max(probability, axis=1, keepdims=0)
        label = op.gather(op.const(np.array(self.state["classes"])), likeliest)
        return {"probability": ndx.asarray(probability), "label": ndx.asarray(label)}

    @property
    def outputs(self) -> tuple[Output, ...]:
        classes = tuple(self.state["classes"])
        return (
            Output("probability", "float32", "calibrated probability of each class", classes=classes),
            Output("label", "string", "the most likely class"),
        )

    def _label(self, outputs: dict[str, np.ndarray]) -> np.ndarray:
        return encode_classes(outputs["label"], self.state["classes"])

    def statistics(self, outputs: dict[str, np.ndarray], target: np.ndarray) -> Callable[[np.ndarray], dict[str, float]]:
        return MulticlassStatistics(outputs["probability"], self._label(outputs), target.astype(np.int64))

    def metrics(self, outputs: dict[str, np.ndarray], target: np.ndarray, weight: np.ndarray | None = None) -> dict[str, float]:
        """Metrics of labels and probabilities; macro means are over the classes that occur.

        torchmetrics knows no row weights; weighted rows go through `statistics`, which is tested to be its equal.
        """
        if weight is not None:
            return self.statistics(outputs, target)(np.asarray(weight, np.float64))
        probability = torch.from_numpy(np.asarray(outputs["probability"], np.float32))
        label = torch.from_numpy(self._label(outputs))
        truth = torch.from_numpy(np.asarray(target, np.int64))
        k = self.n_outputs
        counts = torch.bincount(truth, minlength=k).tolist()
        ranked = [index for index, count in enumerate(counts) if 0 < count < len(truth)]
        areas = [float(binary_auroc(probability[:, index], (truth == index).long())) for index in ranked]
        of_target = probability.gather(1, truth[:, None]).double().clamp(torch.finfo(torch.float32).eps, 1)
        found: dict[str, Any] = {
            "accuracy": multiclass_accuracy(label, truth, k, average="micro"),
            "f1_macro": multiclass_f1_score(label, truth, k, average="macro"),
            "precision_macro": multiclass_precision(label, truth, k, average="macro"),
            "recall_macro": multiclass_recall(label, truth, k, average="macro"),
            "auroc_macro": np.mean(areas) if areas else float("nan"),
            "log_loss": -of_target.log().mean(),
            "calibration_error": multiclass_calibration_error(probability, truth, k, n_bins=N_BINS),
        }
        return {name: float(value) for name, value in found.items()}

    def constant_outputs(self, n_rows: int) -> dict[str, np.ndarray]:
        """The training part's shares and its most frequent class for every row."""
        prior = np.array(self.state["prior"], np.float32)
        return {
            "probability": np.tile(prior, (n_rows, 1)),
            "label": np.full(n_rows, self.state["classes"][int(prior.argmax())], dtype=object),
        }
