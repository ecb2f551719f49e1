"""The contract of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import ndonnx as ndx
import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Output:
    """One named output of the exported file."""

    name: str
    dtype: Literal["float32", "int64", "string", "bool"]
    meaning: str
    unit: str = ""
    classes: tuple[str, ...] = ()
    """For an output with one value per class, (N, n_classes): the classes in order. Otherwise the output is (N,)."""


@dataclass(frozen=True)
class Monitor:
    """The validation metric that early stopping and the choice of checkpoint watch."""

    name: str
    mode: Literal["min", "max"]


@dataclass(frozen=True)
class Metric:
    """How a metric is printed and read."""

    title: str
    better: Literal["higher", "lower"]
    meaning: str


class Task(ABC):
    """Built as `Class(settings)`. `fit_target` and `fit_decision` fill `state`, plain JSON data; nothing else is remembered."""

    monitor: Monitor
    described: Mapping[str, Metric] = {}
    """Name → how to print and read it, for the metrics that `metrics` gives."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.state: dict[str, Any] = {}

    # -- the target ---------------------------------------------------------------------------------------------

    @abstractmethod
    def fit_target(self, values: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Learn classes or scale from the training part's raw target (float64 (N,), or object array of str).

        Raises:
            DataError: one class only, a constant target, a target of the wrong kind; says what to do.
        """

    @abstractmethod
    def encode(self, values: np.ndarray) -> np.ndarray:
        """Raw target (N,) → what the loss takes: float32 or int64 (N,)."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Scores a model gives for each row."""

    # -- training -----------------------------------------------------------------------------------------------

    @abstractmethod
    def loss(self, scores: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Mean weighted loss of scores (N, n_outputs), or (N, members, n_outputs) averaged over members; a scalar."""

    @abstractmethod
    def initial_bias(self) -> np.ndarray:
        """float32 (n_outputs,): the scores of the best constant prediction, to start training from."""

    @abstractmethod
    def validation_metrics(self, scores: Tensor, target: Tensor, weight: Tensor | None) -> dict[str, float]:
        """Metrics of the whole validation part after an epoch, from scores (N, n_outputs); includes `monitor.name`."""

    # -- the decision -------------------------------------------------------------------------------------------

    @abstractmethod
    def fit_decision(self, scores: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> None:
        """Fit calibration, then the threshold, on validation scores (N, n_outputs) and encoded target (N,)."""

    @abstractmethod
    def decide(self, scores: ndx.Array) -> dict[str, ndx.Array]:
        """The last piece of graph: scores (N, n_outputs) float32 → the named outputs. Traced."""

    @property
    @abstractmethod
    def outputs(self) -> tuple[Output, ...]:
        """What `decide` gives, in order."""

    # -- groups -------------------------------------------------------------------------------------------------

    def grouped_by(self, groups: np.ndarray | None) -> Task:
        """The task to measure rows of these groups (N,) with: itself, where groups do not matter.

        A task that measures within groups (ranking) gives a copy that holds them, or raises DataError if there are none.
        `validation_metrics`, `metrics` and `statistics` are called on what this gives, with the same rows.
        """
        return self

    # -- evaluation ---------------------------------------------------------------------------------------------

    @abstractmethod
    def metrics(self, outputs: dict[str, np.ndarray], target: np.ndarray, weight: np.ndarray | None = None) -> dict[str, float]:
        """Metrics (torchmetrics) of the file's outputs against the encoded target, best-known names, in print order."""

    def statistics(self, outputs: dict[str, np.ndarray], target: np.ndarray) -> Callable[[np.ndarray], dict[str, float]]:
        """Weights (N,) → `metrics` of the rows so weighted. Called for each bootstrap resample: override to sort only once."""
        return lambda weight: self.metrics(outputs, target, weight)

    @abstractmethod
    def constant_outputs(self, n_rows: int) -> dict[str, np.ndarray]:
        """The outputs of the trivial baseline (training prior or mean) for n rows."""

    # -- conformance --------------------------------------------------------------------------------------------

    def example_target(self, rng: np.random.Generator, n_rows: int) -> np.ndarray | None:
        """A raw target (n_rows,) that suits the task, for the conformance suite; None lets it try classes and amounts."""
        return None
