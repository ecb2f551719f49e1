"""Regression: a number in the target's own unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.v21 as op
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torchmetrics.functional.regression import (
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    weighted_mean_absolute_percentage_error,
)

from shopkit.errors import DataError
from shopkit.tasks.base import Monitor, Output, Task, mean_loss
from shopkit.tasks.calibration import require_scores
from shopkit.tasks.metrics import REGRESSION, RegressionStatistics
from shopkit.tasks.settings import RegressionSettings

HEADROOM = 2.0
"""A prediction made by exp is held below e² times the largest training target: beyond it a float32 soon overflows."""


class Regression(Task):
    """Scores (N, 1) → `prediction` float32 (N,).

    The encoded target is the raw number: losses scale it, and metrics are in its unit. State: `link` (`linear`, `log1p` or
    `log`), `centre` and `spread` (linked target = centre + spread·score), `largest`, `factor` (smearing), `not_smeared` where
    that could not be done (why), `constant` (the trivial prediction), `initial` (its score).
    """

    settings: RegressionSettings
    described = REGRESSION

    def __init__(self, settings: RegressionSettings) -> None:
        super().__init__(settings)
        self.monitor = Monitor(settings.monitor, "min")

    def fit_target(self, values: np.ndarray, weight: np.ndarray | None = None) -> None:
        target = _numbers(values).astype(np.float64)
        if weight is not None:
            target, weight = target[weight > 0], weight[weight > 0]
        if target.min() == target.max():
            raise DataError(
                f"The target is {target[0]:g} in all {len(target):,} training rows: there is nothing to predict. "
                "Look at the view's target and at the split."
            )
        settings = self.settings
        link = "log" if settings.loss in ("poisson", "tweedie") else "log1p" if settings.target_scale == "log1p" else "linear"
        if link != "linear" and target.min() < 0:
            cause = f"task.loss={settings.loss}" if link == "log" else "task.target_scale=log1p"
            raise DataError(
                f"{cause} needs targets from 0, but row {int(target.argmin())} of the training part has {target.min():g}. "
                "Use task.loss=mse with task.target_scale=standard, or leave such rows out in the view."
            )
        weight = np.ones(len(target)) if weight is None else weight.astype(np.float64)
        mean, median = float(np.average(target, weights=weight)), _weighted_median(target, weight)
        if settings.calibration == "smearing" and mean <= 0:
            raise DataError(
                "task.calibration=smearing multiplies predictions so that their mean is the target's, which must be above 0, and "
                f"over the training part it is {mean:g}. Use task.calibration=none."
            )
        constant = median if settings.loss == "mae" else mean
        if link == "log":
            centre, spread, initial = float(np.log(mean)), 1.0, 0.0
        else:
            linked = np.log1p(target) if link == "log1p" else target
            centre, spread = 0.0, 1.0
            if settings.target_scale != "none":
                centre = float(np.average(linked, weights=weight))
                spread = float(np.sqrt(np.average((linked - centre) ** 2, weights=weight)))
            best = np.average(linked, weights=weight) if settings.loss == "mse" else _weighted_median(linked, weight)
            initial = float((best - centre) / spread)
        self.state = {
            "link": link,
            "centre": centre,
            "spread": spread,
            "largest": float(target.max()),
            "factor": 1.0,
            "constant": constant,
            "initial": initial,
        }

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Raw target (N,) → float32 (N,), unscaled.

        Raises:
            DataError: text, missing or infinite values.
        """
        return _numbers(values).astype(np.float32)

    @property
    def n_outputs(self) -> int:
        return 1

    def loss(self, scores: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        score = scores.squeeze(-1)
        target = target.to(score.dtype)
        state, kind = self.state, self.settings.loss
        if state["link"] == "log":
            scaled = target / float(np.exp(state["centre"]))
        else:
            linked = torch.log1p(target) if state["link"] == "log1p" else target
            scaled = (linked - state["centre"]) / state["spread"]
        if score.ndim == 2:
            scaled = scaled[:, None].expand_as(score)  # (batch, members)
        if kind == "mse":
            losses = (score - scaled) ** 2
        elif kind == "mae":
            losses = (score - scaled).abs()
        elif kind == "huber":
            losses = F.huber_loss(score, scaled, reduction="none", delta=self.settings.huber_delta)
        elif kind == "poisson":
            losses = F.poisson_nll_loss(score, scaled, log_input=True, reduction="none")
        else:
            power = self.settings.tweedie_power
            losses = torch.exp((2 - power) * score) / (2 - power) - scaled * torch.exp((1 - power) * score) / (1 - power)
        if losses.ndim == 2:
            losses = losses.mean(dim=1)
        return mean_loss(losses, weight)

    def initial_bias(self) -> np.ndarray:
        return np.array([self.state["initial"]], dtype=np.float32)

    def validation_metrics(self, scores: Tensor, target: Tensor, weight: Tensor | None) -> dict[str, float]:
        weights = np.ones(len(target)) if weight is None else weight.double().cpu().numpy()
        found = RegressionStatistics(self._predict(scores.float().cpu().numpy()), target.cpu().numpy())(weights)
        loss = float(self.loss(scores.float(), target, weight))
        return {"loss": loss, **{name: found[name] for name in ("rmse", "mae", "wape")}}

    def _highest(self) -> float:
        """The largest linked prediction, for the links that undo a logarithm."""
        return float(np.log1p(self.state["largest"]) + HEADROOM)

    def _predict(self, scores: np.ndarray) -> np.ndarray:
        """What `decide` says, in numpy."""
        state = self.state
        linked = scores[:, 0].astype(np.float32) * np.float32(state["spread"]) + np.float32(state["centre"])
        if state["link"] == "log1p":
            linked = np.expm1(np.clip(linked, 0, self._highest()))
        elif state["link"] == "log":
            linked = np.exp(np.minimum(linked, self._highest()))
        return np.asarray(linked * np.float32(state["factor"]), np.float32)

    @property
    def _smears(self) -> bool:
        """Whether it is asked for, and was not found impossible."""
        falls_short = self.settings.loss == "mse" and self.state["link"] == "log1p"
        asked = self.settings.calibration == "smearing" or (self.settings.calibration == "auto" and falls_short)
        return asked and "not_smeared" not in self.state

    def fit_decision(self, scores: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> None:
        require_scores(scores)
        self.state["factor"] = 1.0
        self.state.pop("not_smeared", None)
        if self._smears:
            actual = float(np.average(target.astype(np.float64), weights=weight))
            predicted = float(np.average(self._predict(scores).astype(np.float64), weights=weight))
            if predicted > 0 and actual > 0:
                self.state["factor"] = float(np.float32(actual / predicted))
            else:
                self.state["not_smeared"] = (
                    "predictions are left as they are: no factor above 0 makes of their mean over the validation part, "
                    f"{predicted:g}, that of the target there, {actual:g}"
                )

    @property
    def told(self) -> Mapping[str, str]:
        return {"Smearing": self.state["not_smeared"]} if "not_smeared" in self.state else {}

    def decide(self, scores: ndx.Array) -> dict[str, ndx.Array]:
        state = self.state

        def number(value: float) -> Any:
            return op.const(np.float32(value))

        score = op.squeeze(scores.unwrap_spox(), op.const(np.array([1], np.int64)))
        linked = op.add(op.mul(score, number(state["spread"])), number(state["centre"]))
        if state["link"] == "log1p":
            linked = op.sub(op.exp(op.clip(linked, number(0), number(self._highest()))), number(1))
        elif state["link"] == "log":
            linked = op.exp(op.min([linked, number(self._highest())]))
        if state["factor"] != 1:
            linked = op.mul(linked, number(state["factor"]))
        return {"prediction": ndx.asarray(linked)}

    @property
    def outputs(self) -> tuple[Output, ...]:
        return (Output("prediction", "float32", f"predicted {self._predicted}", unit=self.settings.unit),)

    @property
    def _predicted(self) -> str:
        """What of the target's distribution the loss makes the prediction."""
        loss = self.settings.loss
        if loss in ("poisson", "tweedie") or (loss == "mse" and (self.state["link"] == "linear" or self._smears)):
            return "mean"
        if loss == "mse":
            return "mean of log(1 + target), undone: below the mean"
        between = "median" if loss == "mae" else "value between median and mean"
        return f"{between}, scaled to the mean of the validation part" if self._smears else between

    def statistics(self, outputs: dict[str, np.ndarray], target: np.ndarray) -> Callable[[np.ndarray], dict[str, float]]:
        return RegressionStatistics(outputs["prediction"], target)

    def metrics(self, outputs: dict[str, np.ndarray], target: np.ndarray, weight: np.ndarray | None = None) -> dict[str, float]:
        """Errors in the target's unit.

        torchmetrics knows no row weights; weighted rows go through `statistics`, which is tested to be its equal.
        """
        if weight is not None:
            return self.statistics(outputs, target)(np.asarray(weight, np.float64))
        prediction = torch.from_numpy(np.asarray(outputs["prediction"], np.float64))
        truth = torch.from_numpy(np.asarray(target, np.float64))
        varies = len(truth) > 1 and bool((truth != truth[0]).any())
        found: dict[str, Any] = {
            "mae": mean_absolute_error(prediction, truth),
            "rmse": mean_squared_error(prediction, truth, squared=False),
            "wape": weighted_mean_absolute_percentage_error(prediction, truth) if truth.any() else float("nan"),
            "r2": r2_score(prediction, truth) if varies else float("nan"),
        }
        return {name: float(value) for name, value in found.items()}

    def constant_outputs(self, n_rows: int) -> dict[str, np.ndarray]:
        """The training part's mean (its median for `loss=mae`) for every row."""
        return {"prediction": np.full(n_rows, self.state["constant"], np.float32)}


def _numbers(values: np.ndarray) -> np.ndarray:
    """The target as finite numbers (N,), or a sentence why it is none."""
    if len(values) == 0:
        raise DataError("The target has no rows: nothing is left to learn from.")
    if values.dtype.kind in "OUT":
        classes = len(np.unique(values.astype(str)))
        raise DataError(
            f"task=regression needs numbers, but the target is text (row 0: '{values[0]}'). "
            f"It has {classes:,} different values: use task={'binary' if classes == 2 else 'multiclass'}, "
            "or cast the column to a number in the view if it is an amount."
        )
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"The target is {'missing' if np.isnan(values[row]) else 'infinite'} in row {row} ({bad.sum():,} such rows); "
            "rows without a finite target must be set aside before the task."
        )
    return values


def _weighted_median(values: np.ndarray, weight: np.ndarray) -> float:
    order = np.argsort(values)
    cumulative = np.cumsum(weight[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])
