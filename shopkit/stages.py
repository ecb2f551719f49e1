"""The stages of a run, in order. Each leaves its result whole in the run folder, then its marker.

Stages hand over through the folder, so a resumed run goes the same way as one that was never disturbed.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shopkit import provenance
from shopkit.drift import METADATA, training_statistics
from shopkit.errors import DataError, RunError
from shopkit.evaluation.cases import explained_cases
from shopkit.evaluation.earlier import EARLIER, unlike
from shopkit.evaluation.evaluate import evaluate
from shopkit.evaluation.latency import measure_latency
from shopkit.evaluation.part import Part
from shopkit.evaluation.settings import named_baseline
from shopkit.exporters.base import Exporter, Fitted
from shopkit.features.plan import NoFeatureError
from shopkit.fitting import (
    Examples,
    Features,
    FittedModel,
    fit_decision,
    fit_features,
    fit_model,
    load_features,
    part_outputs,
)
from shopkit.models.base import Arrays
from shopkit.raw import Raw, group_codes, read_columns, readable, time_ranges
from shopkit.registry import Choice, Registry
from shopkit.report import render
from shopkit.runs import Run, replacing, write_json
from shopkit.runtime import Predictor
from shopkit.runtime.images import of_one_size
from shopkit.schema import PARTS, Column, Role, Schema
from shopkit.secrecy import blotted
from shopkit.sources.base import Tables
from shopkit.split import Rows, Split, assign
from shopkit.tasks.base import Task
from shopkit.training.fit import HISTORY
from shopkit.training.loggers import build_loggers
from shopkit.training.warm_start import VOCABULARIES, WEIGHTS, Earlier
from shopkit.views.base import View
from shopkit.views.materialise import QUARANTINE, materialise

if TYPE_CHECKING:
    from shopkit.config.experiment import Experiment

Announce = Callable[[str, str, float], None]
"""Told of each finished stage: its name, one line of what came out, seconds."""

STAGES = ("examples", "split", "features", "train", "export", "evaluate")
_OF_THE_DISK = (duckdb.IOException, duckdb.TransactionException, duckdb.OutOfMemoryException, duckdb.InvalidInputException)
"""DuckDB's errors of files that are gone, damaged, or cannot grow."""


class Way:
    """One run, stage by stage."""

    def __init__(
        self,
        experiment: Experiment,
        registry: Registry,
        run: Run,
        tables: Tables,
        versions: Mapping[str, str],
        identity: str,
        announce: Announce,
    ) -> None:
        self.experiment = experiment
        self.registry = registry
        self.run = run
        self.tables = tables
        self.versions = versions
        self.identity = identity
        self.announce = announce
        self.loggers: Sequence[Any] = ()
        """Who is told of every epoch of the run's own model, besides the trackers that the configuration names."""

    def reach(self, last: str) -> None:
        """Run the stages up to this one, those that have finished excepted."""
        self._write_config()
        self.run.work.mkdir(exist_ok=True)
        for name in STAGES[: STAGES.index(last) + 1]:
            self._stage(name)

    def go(self) -> Run:
        self.registry.hook.shopkit_run_started(run=self.run)
        self.reach(STAGES[-1])
        provenance.seal(
            self.run,
            {
                "experiment": self.experiment.name,
                "identity": self.identity,
                "seed": self.experiment.seed,
                "versions": dict(self.versions),
                "fingerprint": self.tables.fingerprint,
                "determinism": provenance.determinism(self._facts("train")),
            },
        )
        self._stage("report")
        shutil.rmtree(self.run.work)
        (self.run.path / ".lock").unlink(missing_ok=True)
        target = provenance.final_path(self.run.path)
        finished = Run(self.run.path.rename(target))
        self.registry.hook.shopkit_run_finished(run=finished)
        return finished

    def _stage(self, name: str) -> None:
        if self.run.facts(name) is not None:
            return
        start = time.perf_counter()
        try:
            line, facts = getattr(self, f"_{name}")()
        except (OSError, *_OF_THE_DISK) as error:
            raise RunError(
                f"The stage {name} of {self.run.path} stopped: {getattr(error, 'strerror', None) or error}. What was finished is "
                "kept: make room (or mend what is named), and start the same command with resume=true."
            ) from error
        seconds = time.perf_counter() - start
        self.run.finish_stage(name, {**facts, "stage_seconds": round(seconds, 3)})
        self.announce(name, line, seconds)

    def _facts(self, stage: str) -> dict[str, Any]:
        facts = self.run.facts(stage)
        assert facts is not None, f"stage {stage} has not run"
        return facts

    def _write_config(self) -> None:
        from omegaconf import OmegaConf

        text = OmegaConf.to_yaml(OmegaConf.create(blotted(self.experiment.raw)))
        with replacing(self.run.config_path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    # -- what earlier stages left -------------------------------------------------------------------------------

    @cached_property
    def schema(self) -> Schema:
        """Columns of the examples; those the split or the feature plan leave out are `ignored`."""
        return Schema.from_json(self._facts("features")["schema"])

    @cached_property
    def keys(self) -> tuple[Column, ...]:
        """The columns that together name a row: the keys, and the time if there is one."""
        named = [*self.schema.of_role("key"), *self.schema.of_role("time")]
        return tuple(replace(column, role="key") for column in named)

    @cached_property
    def parts(self) -> np.ndarray:
        """The part of every example, (N,) str."""
        return read_columns(self.run.split_path, ["part"])["part"]

    @cached_property
    def task(self) -> Task:
        task: Task = self.registry.build(self.experiment.task)
        task.state = dict((self.run.facts("export") or self._facts("split"))["task"])
        return task

    @cached_property
    def split(self) -> Examples:
        schema = Schema.from_json(self._facts("examples")["schema"])
        for name in self._facts("split")["not_features"]:
            schema = schema.with_role(name, "ignored", "steers the split")
        values = self._column("target", schema=schema)
        assert values is not None
        target = self.task.encode(values)
        weight = self._column("weight", schema=schema)
        classes = tuple(self.task.state["classes"]) if self.task.n_outputs > 1 else ()
        return Examples(
            self.run.examples_path,
            schema,
            self.parts,
            target,
            weight,
            len(classes),
            group_codes(self.run.examples_path, schema),
            classes,
            self._column("time", schema=schema),
        )

    @cached_property
    def features(self) -> Features:
        return load_features(self.run.work / "features")

    @cached_property
    def earlier(self) -> Earlier | None:
        """The run whose weights the model starts from, if one is named."""
        path = getattr(self.experiment.model.settings, "init_from", "")
        return Earlier.open(path, self.experiment.model.name) if path else None

    @cached_property
    def model(self) -> FittedModel:
        return self._fit_model(self.experiment.model, self.features, self.task, self.run.work / "model", main=True)

    def _fit_model(self, choice: Choice, features: Features, task: Task, folder: Path, main: bool = False) -> FittedModel:
        trackers = build_loggers(self.experiment.logger, self.run.path, self.experiment.name) if main else []
        return fit_model(
            choice,
            self.registry,
            features,
            self.split,
            task,
            self.experiment.trainer,
            folder,
            self.experiment.seed,
            loggers=[*trackers, *self.loggers] if main else [],
            progress=main,
            earlier=self.earlier if main else None,
        )

    def _read(self, names: Sequence[str], part: str | None = None) -> Raw:
        return self._read_rows(names, None if part is None else self.parts == part)

    def _read_rows(self, names: Sequence[str], rows: np.ndarray | None) -> Raw:
        return read_columns(self.run.examples_path, names, rows)

    def _column(self, role: Role, part: str | None = None, schema: Schema | None = None) -> np.ndarray | None:
        column = (schema or self.schema).the(role)
        return None if column is None else self._read([column.name], part)[column.name]

    def _target(self, part: str) -> np.ndarray:
        target: np.ndarray = self.split.target[self.parts == part]
        return target

    # -- the stages ---------------------------------------------------------------------------------------------

    def _examples(self) -> tuple[str, dict[str, Any]]:
        view: View = self.registry.build(self.experiment.view)
        examples = view.examples(self.tables)
        types, contract = self.experiment.features.types, view.contract().extended(self.experiment.contract)
        made = materialise(examples, types, self.run.examples_path, self.tables.time_zone, contract=contract)
        if made.schema.the("target") is None:
            raise DataError("No column is the target, so there is nothing to learn. Name it with view.target=<column>.")
        facts = {
            "n_rows": made.n_rows,
            "left_out": dict(made.left_out),
            "schema": made.schema.to_json(),
            "summary": examples.summary,
            "cutoff": examples.cutoff,
            "origin": self.tables.origin,
            "notes": [*self.tables.notes, *made.notes],
            "fingerprint": self.tables.fingerprint,
            "time_zone": self.tables.time_zone,
        }
        left_out, aside = (
            sum(made.left_out.values()),
            sum(made.left_out[reason] for reason in made.left_out if QUARANTINE in reason),
        )
        also = f", {left_out:,} left out" + (f", {aside:,} of them in {QUARANTINE}" if aside else "") if left_out else ""
        return f"{made.n_rows:,} examples with {len(made.schema.of_role('feature'))} columns{also}", facts

    def _split(self) -> tuple[str, dict[str, Any]]:
        split: Split = self.registry.build(self.experiment.split)
        schema = Schema.from_json(self._facts("examples")["schema"])
        n_rows = self._facts("examples")["n_rows"]
        parts = assign(split, schema, n_rows, lambda name: self._read([name])[name])
        keys = [column.name for role in ("key", "time") for column in schema.of_role(role)]
        table = pa.table({**self._read(keys), "part": pa.array(parts, pa.string())})
        with replacing(self.run.split_path) as temporary:
            pq.write_table(table, temporary, compression="zstd")
        task: Task = self.registry.build(self.experiment.task)
        task.grouped_by(group_codes(self.run.examples_path, schema))
        target, weight = (self._column(role, schema=schema) for role in ("target", "weight"))
        assert target is not None
        n_train = int((parts == "train").sum())
        task.fit_examples(Rows(schema, n_train, lambda name: self._read_rows([name], parts == "train")[name]))
        task.fit_target(target[parts == "train"], None if weight is None else weight[parts == "train"])
        counts = {str(name): int(count) for name, count in zip(*np.unique(parts.astype(str), return_counts=True), strict=True)}
        facts = {
            "counts": counts,
            "times": time_ranges(self._column("time", schema=schema), parts),
            "not_features": [name for name in split.not_features if name in schema],
            "task": task.state,
        }
        return ", ".join(f"{part} {counts[part]:,}" for part in [*PARTS, *sorted(set(counts) - set(PARTS))]), facts

    def _features(self) -> tuple[str, dict[str, Any]]:
        tags = self.registry.get("models", self.experiment.model.name).tags
        features = self._fit_features(tags, self.run.work / "features", earlier=self.earlier)
        shutil.copyfile(features.folder / "features.onnx", self.run.features_path)
        for name in (VOCABULARIES, *features.assets):
            shutil.copyfile(features.folder / name, self.run.path / name)
        facts = {
            "schema": features.schema.to_json(),
            "spec": features.spec.to_json(),
            "columns": features.description,
            "n_dense": features.spec.n_dense,
            "n_ids": features.spec.n_ids,
            "assets": list(features.assets),
        }
        return f"{len(features.schema.of_role('feature'))} columns → {features.spec}", facts

    def _fit_features(
        self, tags: frozenset[str], folder: Path, leave_out_unread: bool = False, earlier: Earlier | None = None
    ) -> Features:
        plan, seed = self.experiment.features, self.experiment.seed
        return fit_features(plan, tags, self.split, self.registry, folder, seed, leave_out_unread, earlier)

    def _train(self) -> tuple[str, dict[str, Any]]:
        model = self.model
        result = model.result
        if (weights := self.run.work / "model" / WEIGHTS).is_file():
            shutil.copyfile(weights, self.run.path / WEIGHTS)
        if result.history:
            shutil.copyfile(self.run.work / "model" / HISTORY, self.run.path / HISTORY)
        facts = {
            "model": self.experiment.model.name,
            "history": result.history,
            "best_epoch": result.best_epoch,
            "seconds": round(result.seconds, 3),
            "n_parameters": model.n_parameters,
            "device": result.device,
            "threads": result.threads,
            "deterministic": result.deterministic,
            "monitor": {"name": self.task.monitor.name, "mode": self.task.monitor.mode},
            **result.facts,
        }
        started = f", started from {result.facts['init_from']['run']}" if "init_from" in result.facts else ""
        how = f"best of {len(result.history)} epochs: {result.best_epoch + 1}" if result.history else "fitted"
        return f"{self.experiment.model.name} with {model.n_parameters:,} parameters{started}, {how}", facts

    def _export(self) -> tuple[str, dict[str, Any]]:
        features, model, task = self.features, self.model, self.task
        validation = features.arrays(self.split, "validation")
        fit_decision(task, model, validation)
        inputs = features.schema.of_role("feature")
        transform = features.transformer()
        fitted = Fitted(
            schema=Schema((*self.keys, *inputs)),
            features=features.graph,
            model=model.to_onnx(),
            task=task,
            reference=lambda raw: model.scores(transform(raw)),
            held_out=self._read([column.name for column in inputs], "validation"),
            metadata={
                "experiment": self.experiment.name,
                "task": self.experiment.task.name,
                "model": self.experiment.model.name,
                "identity": self.identity,
                "fingerprint": self.tables.fingerprint,
                "versions": dict(self.versions),
                METADATA: training_statistics(Schema(inputs), lambda name: self._read([name], "train")[name]),
            },
            quality=lambda outputs: self._quality(outputs, validation),
        )
        exporter: Exporter = self.registry.build(self.experiment.exporter)
        exported = exporter.export(fitted, self.run.path)
        predictor = Predictor(exported.path)
        more = {choice.name: self._export_also(choice, fitted) for choice in self.experiment.exports}
        facts: dict[str, Any] = {
            "checks": dict(exported.checks),
            "size_bytes": exported.path.stat().st_size,
            "inputs": predictor.inputs.to_json(),
            "outputs": list(predictor.description.outputs),
            "task": task.state,
            "exports": more,
        }
        return (
            f"model.onnx, {facts['size_bytes'] / 1024:,.0f} KiB, equal to the model within {max(exported.checks.values()):.1e}",
            facts,
        )

    def _export_also(self, choice: Choice, fitted: Fitted) -> dict[str, Any]:
        exporter: Exporter = self.registry.build(choice)
        folder = self.run.path / "exports"
        folder.mkdir(exist_ok=True)
        exported = exporter.export(fitted, folder)
        files = [exported.path, *exported.path.rglob("*")]
        size = sum(path.stat().st_size for path in files if path.is_file())
        place = exported.path.relative_to(self.run.path).as_posix()
        return {"path": place, "checks": dict(exported.checks), "size_bytes": size, **exported.facts}

    def _quality(self, outputs: Mapping[str, np.ndarray], validation: Arrays) -> dict[str, float]:
        """The task's metrics of outputs for the first validation rows."""
        rows = slice(0, len(next(iter(outputs.values()))))
        groups, weight = (None if values is None else values[rows] for values in (validation.groups, validation.weight))
        return self.task.grouped_by(groups).metrics(dict(outputs), validation.target[rows], weight)

    def _evaluate(self) -> tuple[str, dict[str, Any]]:
        predictor = Predictor(self.run.model_path)

        predict = predictor.answer
        parts = {part: self._part(part, predict if part != "train" else None) for part in PARTS}
        test = parts["test"]
        baselines, skipped = self._baselines()
        settings = self.experiment.evaluation
        metrics = evaluate(self.task, parts, settings=settings, predict=predict, baselines=baselines, seed=self.experiment.seed)
        if metrics["protocol"]:
            metrics["protocol"] = f"split {self.experiment.split.name}; {metrics['protocol']}"
        target = self._column("target", "test")
        keys = {column.name: readable(test.keys[column.name], column) for column in self.keys}
        answers = {name: pa.array(values) for name, values in predictor.table(test.outputs).items()}
        with replacing(self.run.predictions_path) as temporary:
            pq.write_table(pa.table({**keys, "target": pa.array(target), **answers}), temporary, compression="zstd")
        write_json(self.run.metrics_path, metrics)
        transform, keep = self.features.transformer(), self.experiment.features.keep
        if settings.cases and (
            cases := explained_cases(self.task, test, self.features, transform, self.model.model, settings.cases, keep)
        ):
            write_json(self.run.cases_path, cases)
        some = next(of_one_size(test.columns, predictor.inputs.columns), slice(None))
        feed = predictor.feed({name: values[some] for name, values in test.columns.items()})
        facts = {"latency": measure_latency(self.run.model_path, feed, settings), "baselines_left_out": skipped}
        name, best = next(iter(metrics["metrics"]["test"].items()))
        title = metrics["about"][name]["title"]
        return f"{title} {_estimate(best)} on {len(test):,} test rows", facts

    def _part(self, part: str, predict: Callable[[Raw], dict[str, np.ndarray]] | None) -> Part:
        features = self.schema.of_role("feature")
        # Only what the file is asked about needs its images.
        features = tuple(column for column in features if predict or column.kind != "image")
        columns = self._read([column.name for column in features], part)
        cutoff = self._facts("examples")["cutoff"]
        return Part(
            raw={c.name: columns[c.name] for c in features if not c.sequence and c.kind != "image"},
            target=self._target(part),
            outputs=predict(columns) if predict else {},
            weight=self._column("weight", part),
            groups=None if self.split.groups is None else self.split.groups[self.parts == part],
            keys=self._read([column.name for column in self.keys], part),
            cutoff=self._read([cutoff], part)[cutoff] if cutoff else None,
            sequences={column.name: columns[column.name] for column in features if column.sequence},
            images={column.name: columns[column.name] for column in features if column.kind == "image"},
        )

    def _baselines(self) -> tuple[dict[str, dict[str, np.ndarray]], list[str]]:
        """Outputs of other models on the same test rows, each with the features it likes and its own calibration."""
        found, skipped = {}, []
        if self.earlier is not None:
            before = Predictor(self.earlier.run.model_path)
            if why := unlike(before, Predictor(self.run.model_path), self.schema):
                skipped.append(f"the earlier run {why}")
            else:
                found[EARLIER] = before.answer(self._read(before.inputs.names, "test"))
        installed = {entry.component.name for entry in self.registry.components("models")}
        for spec in self.experiment.evaluation.baselines:
            name, component, changed = named_baseline(spec)
            if spec == self.experiment.model.name:
                continue
            if component not in installed:
                skipped.append(f"{component} is not installed")
                continue
            choice = self.registry.choice("models", {"name": component, **changed}, "evaluation.baselines")
            folder = self.run.work / "baselines" / name
            try:
                features = self._fit_features(self.registry.get("models", component).tags, folder, leave_out_unread=True)
            except NoFeatureError:
                skipped.append(f"{name} reads nothing that is made of these columns")
                continue
            task: Task = self.registry.build(self.experiment.task)
            task.state = dict(self._facts("split")["task"])
            model = self._fit_model(choice, features, task, folder)
            fit_decision(task, model, features.arrays(self.split, "validation"))
            found[name] = part_outputs(task, model, features.arrays(self.split, "test"))
        return found, skipped

    def _report(self) -> tuple[str, dict[str, Any]]:
        paths = render(self.run)
        return ", ".join(path.name for path in paths), {}


def _estimate(metric: Mapping[str, float | None]) -> str:
    value, low, high = metric["value"], metric.get("low"), metric.get("high")
    if value is None:
        return "undefined"
    return f"{value:.4f}" if low is None or high is None else f"{value:.4f} [{low:.4f}, {high:.4f}]"
