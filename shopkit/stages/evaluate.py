"""All that is measured, of the file itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shopkit.evaluation.cases import explained_cases
from shopkit.evaluation.earlier import EARLIER, unlike
from shopkit.evaluation.evaluate import evaluate
from shopkit.evaluation.latency import measure_latency
from shopkit.evaluation.part import Part
from shopkit.evaluation.settings import named_baseline
from shopkit.features.plan import NoFeatureError
from shopkit.fitting import fit_decision, part_outputs
from shopkit.raw import Raw, readable
from shopkit.runs import replacing, write_json
from shopkit.runtime import Predictor
from shopkit.runtime.images import of_one_size
from shopkit.schema import PARTS
from shopkit.tasks.base import Task

if TYPE_CHECKING:
    from shopkit.stages.way import Way


def run(way: Way) -> tuple[str, dict[str, Any]]:
    predictor = Predictor(way.run.model_path)
    predict = predictor.answer
    parts = {part: _part(way, part, predict if part != "train" else None) for part in PARTS}
    test = parts["test"]
    baselines, skipped = _baselines(way)
    settings = way.experiment.evaluation
    metrics = evaluate(way.task, parts, settings=settings, predict=predict, baselines=baselines, seed=way.experiment.seed)
    if metrics["protocol"]:
        metrics["protocol"] = f"split {way.experiment.split.name}; {metrics['protocol']}"
    target = way.column("target", "test")
    keys = {column.name: readable(test.keys[column.name], column) for column in way.keys}
    answers = {name: pa.array(values) for name, values in predictor.table(test.outputs).items()}
    with replacing(way.run.predictions_path) as temporary:
        pq.write_table(pa.table({**keys, "target": pa.array(target), **answers}), temporary, compression="zstd")
    write_json(way.run.metrics_path, metrics)
    transform, keep = way.features.transformer(), way.experiment.features.keep
    if settings.cases and (
        cases := explained_cases(way.task, test, way.features, transform, way.model.model, settings.cases, keep)
    ):
        write_json(way.run.cases_path, cases)
    some = next(of_one_size(test.columns, predictor.inputs.columns), slice(None))
    feed = predictor.feed({name: values[some] for name, values in test.columns.items()})
    facts = {"latency": measure_latency(way.run.model_path, feed, settings), "baselines_left_out": skipped}
    name, best = next(iter(metrics["metrics"]["test"].items()))
    title = metrics["about"][name]["title"]
    return f"{title} {_estimate(best)} on {len(test):,} test rows", facts


def _part(way: Way, part: str, predict: Callable[[Raw], dict[str, np.ndarray]] | None) -> Part:
    features = way.schema.of_role("feature")
    # Only what the file is asked about needs its images.
    features = tuple(column for column in features if predict or column.kind != "image")
    columns = way.read([column.name for column in features], part)
    cutoff = way.facts("examples")["cutoff"]
    return Part(
        raw={c.name: columns[c.name] for c in features if not c.sequence and c.kind != "image"},
        target=way.target(part),
        outputs=predict(columns) if predict else {},
        weight=way.column("weight", part),
        groups=None if way.rows.groups is None else way.rows.groups[way.parts == part],
        keys=way.read([column.name for column in way.keys], part),
        cutoff=way.read([cutoff], part)[cutoff] if cutoff else None,
        sequences={column.name: columns[column.name] for column in features if column.sequence},
        images={column.name: columns[column.name] for column in features if column.kind == "image"},
    )


def _baselines(way: Way) -> tuple[dict[str, dict[str, np.ndarray]], list[str]]:
    """Outputs of other models on the same test rows, each with the features it likes and its own calibration."""
    found, skipped = {}, []
    if way.earlier is not None:
        before = Predictor(way.earlier.run.model_path)
        if why := unlike(before, Predictor(way.run.model_path), way.schema):
            skipped.append(f"the earlier run {why}")
        else:
            found[EARLIER] = before.answer(way.read(before.inputs.names, "test"))
    installed = {entry.component.name for entry in way.registry.components("models")}
    for spec in way.experiment.evaluation.baselines:
        name, component, changed = named_baseline(spec)
        if spec == way.experiment.model.name:
            continue
        if component not in installed:
            skipped.append(f"{component} is not installed")
            continue
        choice = way.registry.choice("models", {"name": component, **changed}, "evaluation.baselines")
        folder = way.run.work / "baselines" / name
        try:
            features = way.fit_features(way.registry.get("models", component).tags, folder, leave_out_unread=True)
        except NoFeatureError:
            skipped.append(f"{name} reads nothing that is made of these columns")
            continue
        task: Task = way.registry.build(way.experiment.task)
        task.state = dict(way.facts("split")["task"])
        model = way.fit_model(choice, features, task, folder)
        fit_decision(task, model, features.arrays(way.rows, "validation"))
        found[name] = part_outputs(task, model, features.arrays(way.rows, "test"))
    return found, skipped


def _estimate(metric: Mapping[str, float | None]) -> str:
    value, low, high = metric["value"], metric.get("low"), metric.get("high")
    if value is None:
        return "undefined"
    return f"{value:.4f}" if low is None or high is None else f"{value:.4f} [{low:.4f}, {high:.4f}]"
