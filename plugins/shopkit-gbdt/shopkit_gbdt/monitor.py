"""The validation figure that decides how many trees are kept."""

from __future__ import annotations

import math

import numpy as np
import torch
from shopkit.models.base import Arrays
from shopkit.tasks.base import Task


class Monitor:
    """The task's metric, or its loss where the validation part cannot tell the metric (one class only, say)."""

    def __init__(self, task: Task, validation: Arrays) -> None:
        self._task = task.grouped_by(validation.groups)
        self._target = torch.from_numpy(np.array(validation.target))
        self._weight = None if validation.weight is None else torch.from_numpy(np.array(validation.weight))
        self.name, self.is_higher_better = task.monitor.name, task.monitor.mode == "max"
        if math.isnan(self(np.tile(task.initial_bias(), (len(validation), 1)))):
            self.name, self.is_higher_better = "loss", False

    def __call__(self, scores: np.ndarray) -> float:
        """Scores (N, n_outputs) → the figure."""
        tensor = torch.from_numpy(np.asarray(scores, np.float32))
        if self.name == "loss":
            return float(self._task.loss(tensor, self._target, self._weight))
        return self._task.validation_metrics(tensor, self._target, self._weight)[self.name]
