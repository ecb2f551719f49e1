"""All that is measured, of the file itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shopkit.evaluation.cases import explained_cases
from shopkit.evaluation.earlier import EARLIER, unlike
from shopkit.evaluation.evaluate import about, evaluate
from shopkit.evaluation.fingerprints import Fingerprints
from shopkit.evaluation.latency import measure_latency
from shopkit.evaluation.part import Part
from shopkit.evaluation.settings import named_baseline
from shopkit.features.plan import NoFeatureError
from shopkit.fitting import fit_decision, part_outputs, score_metrics
from shopkit.progress import advance, doing, inside
from shopkit.raw import evenly, read_batches, readable
from shopkit.runs import replacing, write_json
from shopkit.runtime import Predictor
from shopkit.runtime.repeats import asked_once
from shopkit.schema import PARTS
from shopkit.tasks.base import Task

if TYPE_CHECKING:
    from shopkit.stages.way import Way


BATCH_ROWS = 4096
"""Rows that are read, asked about and written at once; how many go through the file at once is its own affair."""


def run(way: Way) -> tuple[str, dict[str, Any]]:
    predictor = Predictor(way.run.model_path)
    predict = predictor.answer
    settings = way.experiment.evaluation
    parts = {part: _looked_at(way, part, predictor) for part in PARTS}
    samples = {name: part.sample for name, part in parts.items()}
    baselines, skipped = _baselines(way)
    metrics = evaluate(
        way.task,
        {name: part.whole for name, part in parts.items()},
        settings=settings,
        predict=predict,
        baselines=baselines,
        seed=way.experiment.seed,
        samples=samples,
        fingerprints={name: part.fingerprints for name, part in parts.items()},
    )
    if metrics["protocol"]:
        metrics["protocol"] = f"split {way.experiment.split.name}; {metrics['protocol']}"
    if (fitted_on := way.baseline_rows) is not way.rows:
        metrics["sampled"]["baselines"] = int(fitted_on.rows("train").sum())
    if way.task.measures_scores:
        validation = score_metrics(way.task, way.model, way.features.arrays(way.rows, "validation"))
        for name in [name for name in validation if name not in metrics["about"]]:
            metrics["metrics"]["validation"][name] = {"value": validation[name], "low": None, "high": None}
            metrics["about"][name] = about(way.task, name)
    write_json(way.run.metrics_path, metrics)
    test, transform, keep = samples["test"], way.features.transformer(), way.experiment.features.keep
    doing("explaining cases" if settings.cases else "")
    if settings.cases and (
        cases := explained_cases(way.task, test, way.features, transform, way.model.model, settings.cases, keep)
    ):
        write_json(way.run.cases_path, cases)
    raw = {name: test.columns[name] for name in predictor.inputs.names}

    def feeds(n_rows: int) -> list[dict[str, np.ndarray]]:
        rows = np.arange(n_rows) % len(test)
        return list(predictor.feeds({name: values[rows] for name, values in raw.items()}))

    doing("measuring the speed")
    facts = {"latency": measure_latency(way.run.model_path, feeds, settings), "baselines_left_out": skipped}
    name, best = next(iter(metrics["metrics"]["test"].items()))
    title = metrics["about"][name]["title"]
    return f"{title} {_estimate(best)} on {metrics['n_rows']['test']:,} test rows", facts


@dataclass(frozen=True)
class _Seen:
    """One part of the split, after one pass over its rows."""

    whole: Part
    """All rows: targets, outputs, weights, groups and cut-offs, without columns."""
    sample: Part
    """Some rows with their columns: all of them, if they are no more than `evaluation.sample_rows`."""
    fingerprints: Fingerprints


def _looked_at(way: Way, part: str, predictor: Predictor) -> _Seen:
    """Read a part batch by batch; ask the file, of the validation and the test part; and write what it says of the latter."""
    features = way.schema.of_role("feature")
    # Only what the file is asked about needs its images.
    features = tuple(column for column in features if part != "train" or column.kind != "image")
    given = way.schema.the("target")
    assert given is not None
    names = [column.name for column in (*features, *way.keys, given)]
    whole, chosen = _without_columns(way, part), way.of_part(part)
    in_sample = _sample(way, whole)
    prints, some, outputs, start = Fingerprints(), [], [], 0
    one_of: dict[str, str] = {}
    doing(f"answering the {part} part" if part != "train" else "reading the training part", len(whole))
    with _predictions(way, part) as write:
        for columns in read_batches(way.run.examples_path, names, chosen, BATCH_ROWS):
            rows = np.arange(start, start + len(columns[given.name]))
            start += len(rows)
            advance(len(rows))
            of_columns = {column.name: columns[column.name] for column in features}
            outputs.append({} if part == "train" else _shared(_answers(predictor, of_columns), one_of))
            batch = replace(
                whole.take(rows),
                outputs=outputs[-1],
                raw={c.name: columns[c.name] for c in features if not c.sequence and c.kind != "image"},
                keys={column.name: columns[column.name] for column in way.keys},
                sequences={column.name: columns[column.name] for column in features if column.sequence},
                images={column.name: columns[column.name] for column in features if column.kind == "image"},
            )
            prints.add(batch)
            some.append(batch.take(in_sample[rows]))
            write(batch, columns[given.name], predictor)
    answers = {name: np.concatenate([each[name] for each in outputs]) for name in outputs[0]}
    return _Seen(replace(whole, outputs=answers), Part.joined(some), prints)


def _answers(predictor: Predictor, raw: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a file says of rows; where they are histories, of each history once."""
    if not any(column.sequence for column in predictor.inputs):
        return predictor.answer(raw)
    return asked_once({name: raw[name] for name in predictor.inputs.names}, predictor.answer)


def _sample(way: Way, whole: Part) -> np.ndarray:
    """Which rows are looked at with their columns, bool (N,): whole groups, where the task measures within them."""
    most = way.experiment.evaluation.sample_rows
    if len(whole) <= most or way.task.grouped_by(whole.within) is way.task:
        return evenly(np.ones(len(whole), bool), most)
    codes = np.unique(np.asarray(whole.groups), return_inverse=True)[1]
    return np.asarray(codes % -(-len(whole) // most) == 0)


def _without_columns(way: Way, part: str) -> Part:
    cutoff = way.facts("examples")["cutoff"]
    return Part(
        raw={},
        target=way.target(part),
        weight=way.column("weight", part),
        groups=_of(way.rows.groups, way.of_part(part)),
        decisions=_of(way.rows.decisions, way.of_part(part)),
        cutoff=way.read([cutoff], part)[cutoff] if cutoff else None,
    )


def _of(values: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if values is None else values[rows]


def _shared(outputs: dict[str, np.ndarray], one_of: dict[str, str]) -> dict[str, np.ndarray]:
    """The same with equal texts as one object: a label a row is a pointer then, and not a text."""
    for name, values in outputs.items():
        if values.dtype == object:
            same = [one_of.setdefault(text, text) for text in values.ravel()]
            outputs[name] = np.array(same, object).reshape(values.shape)
    return outputs


@contextmanager
def _predictions(way: Way, part: str) -> Iterator[Callable[[Part, np.ndarray, Predictor], None]]:
    """Takes batches of the test part, with their raw targets, into `predictions.parquet`; does nothing for other parts."""
    if part != "test":
        yield lambda batch, target, predictor: None
        return
    writers: list[pq.ParquetWriter] = []
    with replacing(way.run.predictions_path) as temporary:

        def write(batch: Part, target: np.ndarray, predictor: Predictor) -> None:
            keys = {column.name: readable(batch.keys[column.name], column) for column in way.keys}
            answers = {name: pa.array(values) for name, values in predictor.table(batch.outputs).items()}
            table = pa.table({**keys, "target": pa.array(target), **answers})
            if not writers:
                writers.append(pq.ParquetWriter(temporary, table.schema, compression="zstd"))
            writers[0].write_table(table)

        try:
            yield write
        finally:
            for writer in writers:
                writer.close()


def _baselines(way: Way) -> tuple[dict[str, dict[str, np.ndarray]], list[str]]:
    """Outputs of other models on the same test rows, each with the features it likes and its own calibration."""
    found, skipped = {}, []
    if way.earlier is not None:
        before = Predictor(way.earlier.run.model_path)
        if why := unlike(before, Predictor(way.run.model_path), way.schema):
            skipped.append(f"the earlier run {why}")
        else:
            batches = read_batches(way.run.examples_path, before.inputs.names, way.of_part("test"), BATCH_ROWS)
            answers = [_answers(before, batch) for batch in batches]
            found[EARLIER] = {name: np.concatenate([each[name] for each in answers]) for name in answers[0]}
    installed = {entry.component.name for entry in way.registry.components("models")}
    for spec in way.experiment.evaluation.baselines:
        name, component, changed = named_baseline(spec)
        if spec == way.experiment.model.name:
            continue
        if component not in installed:
            skipped.append(f"{component} is not installed")
            continue
        start = time.perf_counter()
        choice = way.registry.choice("models", {"name": component, **changed}, "evaluation.baselines")
        folder, rows = way.run.work / "baselines" / name, way.baseline_rows
        with inside(f"baseline {name}"):
            try:
                features = way.fit_features(choice, folder, True, rows=rows)
            except NoFeatureError:
                skipped.append(f"{name} reads nothing that is made of these columns")
                continue
            task: Task = way.registry.build(way.experiment.task)
            task.state = dict(way.facts("split")["task"])
            doing("training")
            model = way.fit_model(choice, features, task, folder, rows=rows)
            fit_decision(task, model, features.arrays(rows, "validation"))
            found[name] = part_outputs(task, model, features.arrays(rows, "test"))
        features.discard_arrays()
        said = f"{name} with {model.n_parameters:,} parameters, to compare with"
        way.announce("baseline", said, time.perf_counter() - start)
    return found, skipped


def _estimate(metric: Mapping[str, float | None]) -> str:
    value, low, high = metric["value"], metric.get("low"), metric.get("high")
    if value is None:
        return "undefined"
    return f"{value:.4f}" if low is None or high is None else f"{value:.4f} [{low:.4f}, {high:.4f}]"
