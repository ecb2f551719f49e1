"""One file, checked against the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from shopkit.drift import METADATA, MOST_ROWS, training_statistics
from shopkit.evaluation.bootstrap import Resamples, resample
from shopkit.exporters.base import Change, Encoder, Exported, Exporter, Fitted, Outputs, Raw
from shopkit.exporters.settings import OnnxSettings
from shopkit.features.base import FeatureSpec
from shopkit.features.settings import FeaturePlan
from shopkit.features.tensors import FeatureArrays
from shopkit.features.transform import footprint
from shopkit.fitting import fit_decision
from shopkit.models.base import Arrays, Estimator, Model
from shopkit.models.to_onnx import to_onnx
from shopkit.progress import doing
from shopkit.raw import evenly
from shopkit.runtime import Predictor
from shopkit.runtime.blocks import in_blocks
from shopkit.schema import Schema
from shopkit.tasks.base import Task
from shopkit.training.scores import model_scores

if TYPE_CHECKING:
    from shopkit.stages.way import Way

HELD_OUT_ROWS = 100_000
"""Rows of the validation part, its first, that exporters may compare answers on."""
RESAMPLES = 200
"""Paired resamples that say how sure a change of a metric is."""


def run(way: Way) -> tuple[str, dict[str, Any]]:
    fit_decision(way.task, way.model, way.features.arrays(way.rows, "validation"))
    doing("making model.onnx and comparing it with the model")
    for about, text in way.task.told.items():
        way.announce("warning", f"{about}: {text}", 0.0)
    exporter: Exporter = way.registry.build(way.experiment.exporter)
    exported = exporter.export(way.fitted, way.run.path)
    predictor = Predictor(exported.path)
    unread = [c.name for c in way.features.schema.of_role("feature") if c.name not in way.fitted.schema]
    facts: dict[str, Any] = {
        "checks": dict(exported.checks),
        "size_bytes": exported.path.stat().st_size,
        "inputs": predictor.inputs.to_json(),
        "outputs": list(predictor.description.outputs),
        "task": way.task.state,
        "files": written(way, exported),
        "told": {
            **({"Columns that the model does not read": ", ".join(unread)} if unread else {}),
            **way.task.told,
            **exported.told,
        },
        **exported.facts,
    }
    return (
        f"model.onnx, {facts['size_bytes'] / 1024:,.0f} KiB, equal to the model within {max(exported.checks.values()):.1e}",
        facts,
    )


def fitted(way: Way) -> Fitted:
    """The pieces of a way whose decision is fitted."""
    model, graph = way.model, way.model.to_onnx()
    parts = _parts(model.model, way.features.spec)
    # What the model reads nothing of, the file does not ask for.
    features = way.features.read_by([graph, *(alone for _, alone in parts.values())])
    inputs = features.schema.of_role("feature")
    names, is_train = [column.name for column in inputs], way.of_part("train")
    transform, takes = features.transformer(), footprint(features.graph)
    settings = way.experiment.exporter.settings
    # Metrics take no tensors, and a finished run has none.
    validation = replace(features, spec=FeatureSpec(())).arrays(way.rows, "validation")
    spread = evenly(is_train, MOST_ROWS)

    def by_blocks(scores: Callable[[FeatureArrays], np.ndarray]) -> Callable[[Raw], np.ndarray]:
        """Raw columns → scores, without the features of all rows at once, padded to the longest."""
        return lambda raw: in_blocks(raw, inputs, takes, lambda some: {"scores": scores(transform(some))})["scores"]

    return Fitted(
        schema=Schema((*way.keys, *inputs)),
        features=features.graph,
        model=graph,
        task=way.task,
        reference=by_blocks(model.scores),
        held_out=way.read_rows(names, _first(way.of_part("validation"))),
        metadata={
            "experiment": way.experiment.name,
            "task": way.experiment.task.name,
            "model": way.experiment.model.name,
            "identity": way.identity,
            "fingerprint": way.tables.fingerprint,
            "versions": dict(way.versions),
            **({"text": text} if (text := way.facts("examples").get("text")) else {}),
            METADATA: training_statistics(Schema(inputs), lambda name: way.read_rows([name], spread)[name]),
        },
        training=lambda most: way.read_rows(names, evenly(is_train, most)),
        gate=settings if isinstance(settings, OnnxSettings) else OnnxSettings(),
        encoders={name: _encoder(part, alone, by_blocks) for name, (part, alone) in parts.items()},
        changes=lambda before, after: changes(way.task, before, after, validation, way.experiment.seed),
        longest=_longest(features.spec, way.experiment.features),
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


def written(way: Way, exported: Exported) -> list[str]:
    """What was written, relative to the run folder."""
    return [path.relative_to(way.run.path).as_posix() for path in exported.files]


def changes(task: Task, before: Outputs, after: Outputs, validation: Arrays, seed: int) -> Mapping[str, Change]:
    """How the task's metrics of the first validation rows change, both answers measured on the same resamples.

    Args:
        before: named outputs for n rows.
        after: others for the same.
        validation: N rows, the first n of which they are.
    """
    n_rows = len(next(iter(before.values())))
    groups, weight = (None if values is None else values[:n_rows] for values in (validation.groups, validation.weight))
    task, target = task.grouped_by(groups), validation.target[:n_rows]
    first, second = (task.metrics(dict(outputs), target, weight) for outputs in (before, after))
    answers = {"before": before, "after": after}
    statistics = {which: task.statistics(dict(outputs), target) for which, outputs in answers.items()}
    samples = resample(statistics, Resamples(n_rows, RESAMPLES, seed, groups, weight))
    found = {}
    for name, value in first.items():
        differences = samples["after"][name] - samples["before"][name]
        differences = differences[np.isfinite(differences)]
        low, high = np.quantile(differences, [0.05, 0.95]) if len(differences) else (second[name] - value,) * 2
        found[name] = Change(float(value), float(second[name]), float(low), float(high))
    return found
