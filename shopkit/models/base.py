"""The contracts of a model trained by gradients and of an estimator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from shopkit.features.base import FeatureSpec

if TYPE_CHECKING:
    import onnx

    from shopkit.tasks.base import Task

Batch = dict[str, Tensor]
"""`dense` float32 (batch, n_dense) and `ids` int64 (batch, n_ids); a tensor of width 0 is left out.

A model with the tag `features:sequences` is also given `sequence_dense` float32 (batch, length, n_sequence_dense), `sequence_ids`
int64 (batch, length, n_sequence_ids) and `lengths` int64 (batch,). Rows are padded on the right with 0, to any length: padding
changes no score.
"""


class Model(nn.Module, ABC):
    """Built as `Class(settings, features, n_outputs)`."""

    def __init__(self, settings: Any, features: FeatureSpec, n_outputs: int) -> None:
        super().__init__()
        self.settings = settings
        self.features = features
        self.n_outputs = n_outputs

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Scores: (batch, n_outputs); an ensemble may give (batch, members, n_outputs) while training."""

    def start_from(self, bias: Tensor) -> None:
        """Set the output bias to `bias` (n_outputs,), the scores of the best constant prediction; called before training."""

    def for_export(self) -> nn.Module:
        """The module that `to_onnx` traces, in eval mode: override to fold what need not be computed for each row."""
        return self

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Optimiser groups; override to decay or scale some parameters differently."""
        return [{"params": list(self.parameters()), "lr": lr, "weight_decay": weight_decay}]


@dataclass(frozen=True)
class Arrays:
    """One part of the examples as features and target, in memory or memory-mapped."""

    features: dict[str, np.ndarray]
    """`dense` float32 (N, n_dense), `ids` int64 (N, n_ids), and what sequences become, as in `Batch`."""
    target: np.ndarray
    """float32 or int64 (N,), as the task encodes it."""
    weight: np.ndarray | None = None
    """float32 (N,)."""
    groups: np.ndarray | None = None
    """int64 (N,): the group a row belongs to, for tasks that measure within groups."""

    def __len__(self) -> int:
        return len(self.target)

    def tensors(self) -> Batch:
        return {name: torch.from_numpy(values) for name, values in self.features.items()}


class Estimator(ABC):
    """A model that is not trained by the Learner. Built as `Class(settings, features, task)`."""

    def __init__(self, settings: Any, features: FeatureSpec, task: Task) -> None:
        self.settings = settings
        self.features = features
        self.task = task

    @abstractmethod
    def fit(self, train: Arrays, validation: Arrays, seed: int) -> dict[str, Any]:
        """Fit, and return plain facts for the report (iterations, loss, …)."""

    @abstractmethod
    def scores(self, features: dict[str, np.ndarray]) -> np.ndarray:
        """float32 (N, n_outputs): what the exported graph must answer."""

    @abstractmethod
    def to_onnx(self) -> onnx.ModelProto:
        """A graph with inputs `dense` (N, n_dense) and/or `ids` (N, n_ids) and the output `scores` (N, n_outputs)."""

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Everything learnt, as plain arrays (never a pickle)."""

    @abstractmethod
    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Take back what `state` gave."""
