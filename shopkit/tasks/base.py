"""The contract of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import ndonnx as ndx
import numpy as np
import torch
from torch import Tensor

from shopkit.split.base import Rows

Decide = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Scores (N, n_outputs) → the named outputs."""


@dataclass(frozen=True)
class Output:
    """One named output of the exported file."""

    name: str
    dtype: Literal["float32", "int64", "string", "bool"]
    meaning: str
    unit: str = ""
    classes: tuple[str, ...] = ()
    """For an output with one value per class, (N, n_classes): the classes in order."""
    per: str = ""
    """For an output with several values a row, (N, …), that are not of classes: what there is one of each for, e.g. `rank`.
    Otherwise the output is (N,)."""


@dataclass(frozen=True)
class Input:
    """An input of the exported file beside the columns: what a caller may ask for, the same for all rows of a call."""

    name: str
    dtype: Literal["float32", "int64", "string", "bool"]
    meaning: str
    default: Any
    """What holds when the caller says nothing, or None: a number or text, or for a list (`shape`) a list."""
    shape: tuple[str | int, ...] = ()
    """Its dimensions, names or numbers; none is a single value."""
    column: str = ""
    """The column whose values these are, for text: they are then read as the column's own, whole numbers where it has those."""


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
    least: float | None = None
    """What no value of it is below; None is no such end."""
    most: float | None = None
    """What no value of it is above."""
    resampled: bool = True
    """Whether resamples of the rows tell how sure it is. Of a count of different things they do not: a row drawn twice adds
    nothing, so every resample has fewer."""


@dataclass(frozen=True)
class Detail:
    """A table or curve of the report that only this task knows to make; plain JSON data."""

    title: str
    reading: str
    """How to read it, in a sentence."""
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    curve: bool = False
    """Draw the first column across and the others up, as numbers."""


class Task(ABC):
    """Built as `Class(settings)`. `fit_target` and `fit_decision` fill `state`, plain JSON data; nothing else is remembered."""

    monitor: Monitor
    fits_decision: bool = True
    """Whether `fit_decision` learns anything; if not, it is not called, and scores of the validation part are not made for it."""
    measures_scores: bool = False
    """Whether `validation_metrics` has some that outputs do not tell, for `metrics.json` to hold as well."""
    described: Mapping[str, Metric] = {}
    """Name → how to print and read it, for the metrics that `metrics` gives."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings
        self.state: dict[str, Any] = {}

    # -- the features -------------------------------------------------------------------------------------------

    @property
    def extractors(self) -> Mapping[str, str]:
        """Column → the extractor that reads it where `features.columns` names none: of columns that the task knows."""
        return {}

    # -- the target ---------------------------------------------------------------------------------------------

    def fit_examples(self, rows: Rows) -> None:  # noqa: B027 (most tasks need no more than the target)
        """Look at the columns of the training part, before `fit_target`: override where the target alone does not say all.

        Raises:
            DataError: they lack what the task needs.
        """

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
        """Metrics of the whole validation part after an epoch, from what `summary` left of its scores (N, n_outputs); includes
        `monitor.name`."""

    def summary(self, scores: Tensor, target: Tensor) -> Tensor:
        """What measuring and `fit_decision` need of some rows' scores (n, n_outputs): by default the scores themselves.

        Override where outputs are so many that the scores of a whole part do not fit into memory: scores are made and summed up
        block by block, into (n, width) of any width. `validation_loss` must then be overridden as well.
        """
        return scores

    def validation_loss(self, summary: Tensor, target: Tensor, weight: Tensor | None) -> float:
        """The loss of the whole validation part, from its summary."""
        return float(self.loss(summary, target, weight))

    # -- the decision -------------------------------------------------------------------------------------------

    @abstractmethod
    def fit_decision(self, scores: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> None:
        """Fit calibration, then the threshold, on the summary of validation scores and encoded target (N,)."""

    @property
    def told(self) -> Mapping[str, str]:
        """What the report says of how `fit_decision` went: what of → a sentence. Of what was asked for and could not be done."""
        return {}

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What a caller may ask for: further inputs of the exported file, given to `decide` by their names."""
        return ()

    @abstractmethod
    def decide(self, scores: ndx.Array) -> dict[str, ndx.Array]:
        """The last piece of graph: scores (N, n_outputs) float32 → the named outputs. Traced.

        A task with `inputs` takes each as a keyword, None standing for its default.
        """

    def certain(self, scores: np.ndarray, margin: np.ndarray, decide: Decide) -> dict[str, np.ndarray]:
        """Output that is no number → where scores that differ by `margin` at most, both (N, n_outputs), cannot tip it: bool, of
        the output's shape. The export check takes only such places for different.

        Args:
            decide: `decide` of this task, built as a graph of its own: numpy arrays in and out.
        """
        lower, middle, upper = decide(scores - margin), decide(scores), decide(scores + margin)
        names = [output.name for output in self.outputs if output.dtype != "float32"]
        return {name: (lower[name] == middle[name]) & (upper[name] == middle[name]) for name in names}

    @property
    @abstractmethod
    def outputs(self) -> tuple[Output, ...]:
        """What `decide` gives, in order."""

    # -- groups -------------------------------------------------------------------------------------------------

    def grouped_by(self, groups: np.ndarray | None) -> Task:
        """The task to measure rows of these groups (N,) with: itself, where groups do not matter. Where groups have several
        decisions (a role of the schema), each is a group here.

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

    def protocol(self, columns: Mapping[str, np.ndarray], outputs: dict[str, np.ndarray]) -> str:
        """How the test part was measured, where figures of the same name are made in different ways: in a few words, for the
        report and `metrics.json`. Arguments as of `details`."""
        return ""

    def details(
        self, columns: Mapping[str, np.ndarray], outputs: dict[str, np.ndarray], target: np.ndarray
    ) -> tuple[Detail, ...]:
        """What else a report should show of the test part: its raw columns, the file's outputs and the encoded target."""
        return ()

    @abstractmethod
    def constant_outputs(self, n_rows: int) -> dict[str, np.ndarray]:
        """The outputs of the trivial baseline (training prior or mean) for n rows."""

    # -- conformance --------------------------------------------------------------------------------------------

    def example_target(self, rng: np.random.Generator, n_rows: int) -> np.ndarray | None:
        """A raw target (n_rows,) that suits the task, for the conformance suite; None lets it try classes and amounts."""
        return None


def mean_loss(losses: Tensor, weight: Tensor | None) -> Tensor:
    """The mean of the rows' losses (N,) by their weights (N,); 0 where no row weighs anything, as in a small batch may be."""
    if weight is None:
        return losses.mean()
    return (losses * weight).sum() / weight.sum().clamp(min=torch.finfo(weight.dtype).tiny)
