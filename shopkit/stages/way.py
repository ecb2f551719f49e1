"""The stages of a run, in order. Each leaves its result whole in the run folder, then its marker.

Stages hand over through the folder, so a resumed run goes the same way as one that was never disturbed.
"""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np

from shopkit import progress, provenance
from shopkit.errors import RunError
from shopkit.exporters.base import Fitted
from shopkit.fitting import Examples, Features, FittedModel, fit_features, fit_model, load_features
from shopkit.opening import Announce, finished
from shopkit.raw import Raw, decision_codes, group_codes, part_codes, read_columns
from shopkit.registry import Choice, Registry
from shopkit.runs import Run, replacing
from shopkit.schema import PARTS, Column, Role, Schema
from shopkit.secrecy import blotted
from shopkit.settings import size_in_bytes
from shopkit.sources.base import Tables
from shopkit.stages import evaluate, examples, export, exports, features, report, split, train
from shopkit.tasks.base import Task
from shopkit.training.loggers import build_loggers
from shopkit.training.warm_start import Earlier

if TYPE_CHECKING:
    from shopkit.config.experiment import Experiment

Work = Callable[["Way"], tuple[str, dict[str, Any]]]
"""What a stage does: it leaves its result in the run folder, and gives a line for people, empty where it had nothing to do, and
facts for those that come after."""

WORK: dict[str, Work] = {
    "examples": examples.run,
    "split": split.run,
    "features": features.run,
    "train": train.run,
    "export": export.run,
    "exports": exports.run,
    "evaluate": evaluate.run,
    "report": report.run,
}
STAGES = tuple(WORK)[:-1]
"""Those whose results are sealed; the report is made from them."""
_OF_THE_DISK = (duckdb.IOException, duckdb.TransactionException, duckdb.InvalidInputException)
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
        self.memory = size_in_bytes("memory", experiment.memory)
        """Bytes that the data may take."""
        self.loggers: Sequence[Any] = ()
        """Who is told of every epoch of the run's own model, besides the trackers that the configuration names."""

    @property
    def began(self) -> dt.datetime:
        """When the run was begun, UTC: what `now` means in it."""
        return provenance.began(self.run.path)

    def reach(self, last: str) -> None:
        """Run the stages up to this one, those that have finished excepted."""
        self._begin()
        for name in STAGES[: STAGES.index(last) + 1]:
            self._stage(name)

    def go(self) -> Run:
        """Run all stages, and give the folder its final name."""
        self._begin()
        self.registry.hook.shopkit_run_started(run=self.run)
        self.reach(STAGES[-1])
        provenance.seal(
            self.run,
            {
                "experiment": self.experiment.name,
                "identity": self.identity,
                "began": self.began.isoformat(),
                "seed": self.experiment.seed,
                "versions": dict(self.versions),
                "fingerprint": self.tables.fingerprint,
                "determinism": provenance.determinism(self.facts("train")),
            },
        )
        self._stage("report")
        shutil.rmtree(self.run.work)
        run = Run(finished(self.run.path))
        self.registry.hook.shopkit_run_finished(run=run)
        return run

    def _stage(self, name: str) -> None:
        if self.run.facts(name) is not None:
            if name != "exports" or not exports.lacking(self):
                return
            self.run.forget_stage("report")
        start = time.perf_counter()
        try:
            with progress.stage(name):
                line, facts = WORK[name](self)
        except duckdb.OutOfMemoryException as error:
            raise RunError(
                f"The stage {name} of {self.run.path} stopped: a query needs more than memory={self.experiment.memory}, even "
                f"with files to go on in ({str(error).splitlines()[0]}). Start it again with more, e.g. memory=8GB, and with "
                "room on the disk."
            ) from error
        except (OSError, *_OF_THE_DISK) as error:
            raise RunError(
                f"The stage {name} of {self.run.path} stopped: {getattr(error, 'strerror', None) or error}. What was finished is "
                "kept: make room (or mend what is named), and start the same command with resume=true."
            ) from error
        seconds = time.perf_counter() - start
        self.run.finish_stage(name, {**facts, "stage_seconds": round(seconds, 3)})
        if line:
            self.announce(name, line, seconds)

    def facts(self, stage: str) -> dict[str, Any]:
        facts = self.run.facts(stage)
        assert facts is not None, f"stage {stage} has not run"
        return facts

    def _begin(self) -> None:
        from omegaconf import OmegaConf

        self.run.work.mkdir(exist_ok=True)
        text = OmegaConf.to_yaml(OmegaConf.create(blotted(self.experiment.raw)))
        with replacing(self.run.config_path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    # -- what earlier stages left -------------------------------------------------------------------------------

    @cached_property
    def schema(self) -> Schema:
        """Columns of the examples; those the split or the feature plan leave out are `ignored`."""
        return Schema.from_json(self.facts("features")["schema"])

    @cached_property
    def keys(self) -> tuple[Column, ...]:
        """The columns that together name a row: the keys, and the time if there is one."""
        named = [*self.schema.of_role("key"), *self.schema.of_role("time")]
        return tuple(replace(column, role="key") for column in named)

    @cached_property
    def parts(self) -> np.ndarray:
        """The part of every example, int8 (N,): see `shopkit.raw.part_codes`."""
        return part_codes(self.run.split_path)

    def of_part(self, part: str) -> np.ndarray:
        """Which examples are in a part, bool (N,)."""
        return np.asarray(self.parts == PARTS.index(part))

    @cached_property
    def task(self) -> Task:
        task: Task = self.registry.build(self.experiment.task)
        task.state = dict((self.run.facts("export") or self.facts("split"))["task"])
        return task

    @cached_property
    def rows(self) -> Examples:
        schema = Schema.from_json(self.facts("examples")["schema"])
        for name in self.facts("split")["not_features"]:
            if schema[name].role == "feature":
                schema = schema.with_role(name, "ignored", "steers the split")
        values = self.column("target", schema=schema)
        assert values is not None
        target = self.task.encode(values)
        weight = self.column("weight", schema=schema)
        groups = group_codes(self.run.examples_path, schema, self.memory)
        classes = tuple(self.task.state["classes"]) if self.task.n_outputs > 1 else ()
        return Examples(
            self.run.examples_path,
            schema,
            self.parts,
            target,
            weight,
            len(classes),
            groups,
            decision_codes(self.run.examples_path, schema, groups, self.memory),
            classes,
            self.column("time", schema=schema),
            self.memory,
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
        return self.fit_model(self.experiment.model, self.features, self.task, self.run.work / "model", main=True)

    @cached_property
    def fitted(self) -> Fitted:
        """What exporters take, once the decision is fitted."""
        return export.fitted(self)

    @cached_property
    def baseline_rows(self) -> Examples:
        """The rows that baselines are fitted on."""
        return self.rows.thinned("train", self.experiment.evaluation.baseline_rows)

    def fit_model(
        self,
        choice: Choice,
        features: Features,
        task: Task,
        folder: Path,
        main: bool = False,
        rows: Examples | None = None,
    ) -> FittedModel:
        trainer = self.experiment.trainer
        if not main:  # a baseline is trained by one device, whatever trains the model
            trainer = replace(trainer, devices=1, nodes=1, strategy="auto")
        trackers = build_loggers(self.experiment.logger, self.run.path, self.experiment.name) if main else []
        return fit_model(
            choice,
            self.registry,
            features,
            rows or self.rows,
            task,
            trainer,
            folder,
            self.experiment.seed,
            loggers=[*trackers, *self.loggers] if main else [],
            progress=main,
            earlier=self.earlier if main else None,
            warn=lambda line: self.announce("warning", line, 0.0),
        )

    def read(self, names: Sequence[str], part: str | None = None) -> Raw:
        return self.read_rows(names, None if part is None else self.of_part(part))

    def read_rows(self, names: Sequence[str], rows: np.ndarray | None) -> Raw:
        return read_columns(self.run.examples_path, names, rows)

    def column(self, role: Role, part: str | None = None, schema: Schema | None = None) -> np.ndarray | None:
        column = (schema or self.schema).the(role)
        return None if column is None else self.read([column.name], part)[column.name]

    def target(self, part: str) -> np.ndarray:
        target: np.ndarray = self.rows.target[self.of_part(part)]
        return target

    def fit_features(
        self,
        model: Choice,
        folder: Path,
        leave_out_unread: bool = False,
        earlier: Earlier | None = None,
        rows: Examples | None = None,
    ) -> Features:
        plan, seed = self.experiment.features, self.experiment.seed
        plan = replace(plan, columns={**self.task.extractors, **plan.columns})
        return fit_features(plan, model, rows or self.rows, self.registry, folder, seed, leave_out_unread, earlier)
