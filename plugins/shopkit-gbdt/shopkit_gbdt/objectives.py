"""What a library is told to minimise, derived from the task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from shopkit.models.base import Arrays
from shopkit.tasks.base import Task
from shopkit.tasks.binary import Binary
from shopkit.tasks.multiclass import Multiclass
from shopkit.tasks.ranking import Ranking
from shopkit.tasks.regression import Regression

TINY = 1e-15
BLOCK_ROWS = 1 << 18
"""Rows whose loss is differentiated at once."""


@dataclass(frozen=True)
class Objective:
    """A loss that the libraries have themselves, equal to the task's up to a factor."""

    name: str
    """LightGBM's name for it."""
    label: Callable[[np.ndarray], np.ndarray]
    """Encoded target → what the loss takes."""
    class_weights: tuple[float, ...] = ()
    link: Callable[[np.ndarray], np.ndarray] = field(default=lambda predictions: predictions)
    """The library's predictions → scores."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """Further LightGBM parameters."""

    def weight(self, arrays: Arrays) -> np.ndarray | None:
        """Sample weights times class weights, float64 (N,); None if all are 1."""
        weight = None if arrays.weight is None else arrays.weight.astype(np.float64)
        if len(set(self.class_weights)) <= 1:
            return weight
        of_class = np.array(self.class_weights)[arrays.target.astype(np.int64)]
        return np.asarray(of_class if weight is None else weight * of_class)


def known(task: Task) -> Objective | None:
    """The libraries' own objective for a task, or None where they have none.

    Only the built-in tasks themselves are recognised: a subclass may have changed its loss.
    """
    kind, settings = type(task), task.settings
    if kind is Binary and settings.label_smoothing == 0 and settings.focal_gamma == 0:
        return Objective("binary", np.asarray, tuple(task.state["loss_weights"]), _logit)
    if kind is Multiclass and settings.label_smoothing == 0:
        weights = tuple(task.state["loss_weights"])
        return Objective("multiclass", np.asarray, weights, _log, {"num_class": task.n_outputs})
    if kind is Regression:
        return _regression(task)
    if kind is Ranking:
        # LightGBM advises to look a little further down than the metric does.
        return Objective("lambdarank", np.asarray, parameters={"lambdarank_truncation_level": settings.k + 3})
    return None


def _regression(task: Task) -> Objective:
    state, settings = task.state, task.settings
    centre, spread = state["centre"], state["spread"]
    if state["link"] == "log":
        parameters = {"tweedie_variance_power": settings.tweedie_power} if settings.loss == "tweedie" else {}
        return Objective(settings.loss, lambda y: y.astype(np.float64) / np.exp(centre), link=_log, parameters=parameters)
    linked = np.log1p if state["link"] == "log1p" else np.asarray
    name = {"mse": "regression", "mae": "regression_l1", "huber": "huber"}[settings.loss]
    parameters = {"alpha": settings.huber_delta} if settings.loss == "huber" else {}
    return Objective(name, lambda y: (linked(y.astype(np.float64)) - centre) / spread, parameters=parameters)


def _logit(probability: np.ndarray) -> np.ndarray:
    probability = np.clip(probability, TINY, 1 - TINY)
    return np.asarray(np.log(probability) - np.log1p(-probability))


def _log(prediction: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(prediction, TINY)))


def derivatives(task: Task, scores: np.ndarray, arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """First and second derivatives of the task's summed loss in every score, each (N, n_outputs) float64, by autograd.

    Rows must not depend on each other: they are gone through in blocks. A loss that is not convex gets the absolute curvature
    (Dauphin et al. 2014), a loss that has none the curvature 1, which makes the step a gradient step (Friedman 2001).
    """
    gradient, curvature = np.zeros(scores.shape), np.zeros(scores.shape)
    for start in range(0, len(scores), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        weight = None if arrays.weight is None else arrays.weight[rows].astype(np.float64)
        if weight is None or weight.any():
            gradient[rows], curvature[rows] = _of_block(task, scores[rows], arrays.target[rows], weight)
    if not curvature.any():
        curvature[:] = 1 if arrays.weight is None else arrays.weight[:, None]
    return gradient, curvature.clip(min=1e-6)


def _of_block(task: Task, scores: np.ndarray, target: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    variable = torch.tensor(scores, dtype=torch.float64, requires_grad=True)
    weight = None if weights is None else torch.from_numpy(weights)
    total = len(scores) if weight is None else float(weight.sum())
    loss = task.loss(variable, torch.from_numpy(np.array(target)), weight)
    (gradient,) = torch.autograd.grad(loss * total, variable, create_graph=True)
    curvature = torch.zeros_like(gradient)
    if gradient.requires_grad:
        for k in range(scores.shape[1]):
            (row,) = torch.autograd.grad(gradient[:, k].sum(), variable, retain_graph=True, materialize_grads=True)
            curvature[:, k] = row[:, k].abs()
    return gradient.detach().numpy(), curvature.numpy()
