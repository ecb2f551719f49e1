"""The contract of an exporter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ndonnx as ndx
import numpy as np
import onnx
import spox

from shopkit.errors import ExportError
from shopkit.exporters.settings import OnnxSettings
from shopkit.runs import replacing_folder
from shopkit.runtime.artifact import open_session
from shopkit.schema import Schema
from shopkit.tasks.base import Decide, Task

Raw = Mapping[str, np.ndarray]
"""Canonical raw columns: name → (N,) float32/float64, object array of str, or int64."""


Outputs = Mapping[str, np.ndarray]
"""Named outputs, (N,) or (N, …) each."""

MODEL_SCORES = "model.scores"
"""The input of a task's own graph; an output of it may be called `scores`."""


@dataclass(frozen=True)
class Change:
    """A metric of two answers for the same rows."""

    before: float
    after: float
    low: float
    high: float
    """Between which `after - before` lies in 90 % of paired resamples of the rows."""


@dataclass(frozen=True)
class Encoder:
    """A part of a model that answers alone."""

    model: onnx.ModelProto
    """`dense`, `ids`, … → `scores`, float32 (N, n_outputs)."""
    n_outputs: int
    reference: Callable[[Raw], np.ndarray]
    """Raw columns → the same by the part itself."""


@dataclass(frozen=True)
class Fitted:
    """All that an exporter joins: raw columns → features → model → decision."""

    schema: Schema
    """The input columns (role `feature`), in order."""
    features: onnx.ModelProto
    """Raw columns, each as the input `column.<name>` → `dense`, `ids`."""
    model: onnx.ModelProto
    """`dense`, `ids` → `scores`."""
    task: Task
    """Fitted: its `decide` is traced as the last piece."""
    reference: Callable[[Raw], np.ndarray]
    """Raw columns → scores by the fitted model itself (torch or the estimator), not by its graph."""
    held_out: Raw
    """Raw rows of the validation part, for the parity gate."""
    metadata: Mapping[str, Any]
    """Plain data to store: experiment, versions, fingerprint, currency, …"""
    training: Callable[[int], Raw] | None = None
    """So many raw rows of the training part at most, evenly spaced, to fix ranges by; None if there are none at hand."""
    gate: OnnxSettings = field(default_factory=OnnxSettings)
    """How near the run's own file must be to the model; exporters that write the same file go by it as well."""
    changes: Callable[[Outputs, Outputs], Mapping[str, Change]] | None = None
    """Named outputs for the first held-out rows, however many, before and after → how each of the task's metrics changes; None
    if the target is not known."""
    encoders: Mapping[str, Encoder] = field(default_factory=dict)
    """Parts of the model that an exporter may write beside the file."""
    longest: int = 0
    """Tokens or steps of a row that the model reads at most; 0 is all."""


@dataclass(frozen=True)
class Exported:
    """What an exporter left, and how well it agrees."""

    path: Path
    checks: Mapping[str, float]
    """Check → largest difference found, relative for values beyond 1."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else the report may say of it, plain data."""
    beside: tuple[Path, ...] = ()
    """Files that stand beside the one of `path`; all in a folder of `path` belong to it anyway."""
    told: Mapping[str, str] = field(default_factory=dict)
    """What the report and the model card tell of them: name → text, beside what they know to tell of any file."""

    @property
    def files(self) -> list[Path]:
        """All that was written, to be sealed with the run."""
        return sorted({path for path in (self.path, *self.path.rglob("*"), *self.beside) if path.is_file()})


def deciding(task: Task) -> Decide:
    """Scores (N, n_outputs) → the named outputs, by the task's own piece of graph.

    It is built once: to decide eagerly starts ONNX Runtime anew for every node of it, at every call.
    """
    scores = spox.argument(spox.Tensor(np.float32, ("N", task.n_outputs)))
    outputs = {name: array.unwrap_spox() for name, array in task.decide(ndx.asarray(scores)).items()}
    session = open_session(spox.build({MODEL_SCORES: scores}, outputs).SerializeToString())
    names = list(outputs)
    return lambda scores: dict(zip(names, session.run(names, {MODEL_SCORES: scores.astype(np.float32)}), strict=True))


def require_rows(raw: Raw) -> None:
    """
    Raises:
        ExportError: there is no row, so that nothing would be compared.
    """
    if not len(next(iter(raw.values()), ())):
        raise ExportError(
            "The validation part has no rows, so no file can be compared with the model. Give it some, e.g. with "
            "split.validation_fraction."
        )


class Exporter(ABC):
    """Built as `Class(settings)`."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @abstractmethod
    def export(self, fitted: Fitted, folder: Path) -> Exported:
        """Write the file(s) into the folder, load them back, and compare with `fitted.reference`.

        Args:
            folder: of `exports=[…]`, an empty folder of this exporter's own, removed if it is refused; of an exporter tagged
                `main`, the run's folder as well, where nothing of a refused file may be left.

        Returns:
            What it left; `path` is the folder or a file in it.

        Raises:
            ExportError: an answer differs beyond the tolerance, or the graph cannot be built.
        """


def export_apart(exporter: Exporter, fitted: Fitted, folder: Path) -> Exported:
    """Export into a folder of the exporter's own, which is made, or takes the place of an older one, whole or not at all.

    Raises:
        ExportError: as `Exporter.export`; or it left something elsewhere.
        RunError: the folder cannot be written.
    """
    with replacing_folder(folder) as temporary:
        exported = exporter.export(fitted, temporary)
        paths = (exported.path, *exported.beside)
        if elsewhere := [path for path in paths if not path.is_relative_to(temporary)]:
            raise ExportError(f"{type(exporter).__name__} left {elsewhere[0]}, which is not in the folder that it was given.")
        path, *beside = (folder / path.relative_to(temporary) for path in paths)
    return replace(exported, path=path, beside=tuple(beside))
