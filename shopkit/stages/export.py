"""One file, checked against the model; and what else is asked for beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from shopkit.drift import METADATA, MOST_ROWS, training_statistics
from shopkit.exporters.base import Encoder, Exported, Exporter, Fitted, Raw
from shopkit.features.base import FeatureSpec
from shopkit.features.settings import FeaturePlan
from shopkit.features.tensors import FeatureArrays
from shopkit.features.transform import footprint
from shopkit.fitting import fit_decision
from shopkit.models.base import Arrays, Estimator, Model
from shopkit.models.to_onnx import to_onnx
from shopkit.raw import evenly
from shopkit.registry import Choice
from shopkit.runtime import Predictor
from shopkit.runtime.blocks import in_blocks
from shopkit.schema import Schema
from shopkit.tasks.base import Task
from shopkit.training.scores import model_scores

if TYPE_CHECKING:
    from shopkit.stages.way import Way

HELD_OUT_ROWS = 100_000
"""Rows of the validation part, its first, that exporters may compare answers on."""


def run(way: Way) -> tuple[str, dict[str, Any]]:
    model, task, graph = way.model, way.task, way.model.to_onnx()
    parts = _parts(model.model, way.features.spec)
    # What the model reads nothing of, the file does not ask for.
    features = way.features.read_by([graph, *(alone for _, alone in parts.values())])
    unread = [c.name for c in way.features.schema.of_role("feature") if c.name not in features.schema]
    validation = features.arrays(way.rows, "validation")
    fit_decision(task, model, validation)
    spread = evenly(way.of_part("train"), MOST_ROWS)
    inputs = features.schema.of_role("feature")
    transform, takes = features.transformer(), footprint(features.graph)

    def by_blocks(scores: Callable[[FeatureArrays], np.ndarray]) -> Callable[[Raw], np.ndarray]:
        """Raw columns → scores, without the features of all rows at once, padded to the longest."""
        return lambda raw: in_blocks(raw, inputs, takes, lambda some: {"scores": scores(transform(some))})["scores"]

    fitted = Fitted(
        schema=Schema((*way.keys, *inputs)),
        features=features.graph,
        model=graph,
        task=task,
        reference=by_blocks(model.scores),
        held_out=way.read_rows([column.name for column in inputs], _first(way.of_part("validation"))),
        metadata={
            "experiment": way.experiment.name,
            "task": way.experiment.task.name,
            "model": way.experiment.model.name,
            "identity": way.identity,
            "fingerprint": way.tables.fingerprint,
            "versions": dict(way.versions),
            METADATA: training_statistics(Schema(inputs), lambda name: way.read_rows([name], spread)[name]),
        },
        encoders={name: _encoder(part, alone, by_blocks) for name, (part, alone) in parts.items()},
        quality=lambda outputs: _quality(way.task, outputs, validation),
        longest=_longest(features.spec, way.experiment.features),
    )
    exporter: Exporter = way.registry.build(way.experiment.exporter)
    exported = exporter.export(fitted, way.run.path)
    predictor = Predictor(exported.path)
    more = {choice.name: _export_also(way, choice, fitted) for choice in way.experiment.exports}
    facts: dict[str, Any] = {
        "checks": dict(exported.checks),
        "size_bytes": exported.path.stat().st_size,
        "inputs": predictor.inputs.to_json(),
        "outputs": list(predictor.description.outputs),
        "task": task.state,
        "exports": more,
        "files": _names(way, exported),
        "told": {**({"Columns that the model does not read": ", ".join(unread)} if unread else {}), **exported.told},
        **exported.facts,
    }
    return (
        f"model.onnx, {facts['size_bytes'] / 1024:,.0f} KiB, equal to the model within {max(exported.checks.values()):.1e}",
        facts,
    )


def _first(rows: np.ndarray) -> np.ndarray:
    """Of the rows of a boolean mask, the first `HELD_OUT_ROWS`."""
    return rows & (np.cumsum(rows) <= HELD_OUT_ROWS)


def _longest(features: FeatureSpec, plan: FeaturePlan) -> int:
    """Tokens or steps of a row that a model reads at most; 0 is all."""
    tokens = features.tokens.shape[:1] if features.tokens is not None else ()
    limits = [*tokens, *([plan.max_length] if features.has_sequences else [])]
    return max(limits) if limits and all(limits) else 0


def _parts(model: Model | Estimator, features: FeatureSpec) -> dict[str, tuple[Model, onnx.ModelProto]]:
    """The parts of a model that answer alone, each with its graph."""
    if isinstance(model, Estimator):
        return {}
    return {name: (part, to_onnx(part, features)) for name, part in model.encoders().items()}


def _encoder(
    part: Model,
    graph: onnx.ModelProto,
    by_blocks: Callable[[Callable[[FeatureArrays], np.ndarray]], Callable[[Raw], np.ndarray]],
) -> Encoder:
    return Encoder(graph, part.n_outputs, by_blocks(lambda arrays: model_scores(part, arrays)))


def _export_also(way: Way, choice: Choice, fitted: Fitted) -> dict[str, Any]:
    exporter: Exporter = way.registry.build(choice)
    folder = way.run.path / "exports"
    folder.mkdir(exist_ok=True)
    exported = exporter.export(fitted, folder)
    return {
        "path": exported.path.relative_to(way.run.path).as_posix(),
        "checks": dict(exported.checks),
        "size_bytes": sum(path.stat().st_size for path in exported.files),
        "files": _names(way, exported),
        "told": dict(exported.told),
        **exported.facts,
    }


def _names(way: Way, exported: Exported) -> list[str]:
    return [path.relative_to(way.run.path).as_posix() for path in exported.files]


def _quality(task: Task, outputs: Mapping[str, np.ndarray], validation: Arrays) -> dict[str, float]:
    """The task's metrics of outputs for the first validation rows."""
    rows = slice(0, len(next(iter(outputs.values()))))
    groups, weight = (None if values is None else values[rows] for values in (validation.groups, validation.weight))
    return task.grouped_by(groups).metrics(dict(outputs), validation.target[rows], weight)
