"""What a run folder says, read once. Nothing here computes; what is not there is empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from shopkit.errors import RunError
from shopkit.report.formats import duration
from shopkit.runs import Run, read_json
from shopkit.runtime.artifact import Description, describe, open_session
from shopkit.schema import Column, Schema
from shopkit.secrecy import blotted
from shopkit.settings import size_in_bytes

Plain = Mapping[str, Any]

MEASURED_STAGES = ("examples", "split", "features", "train", "export", "exports", "evaluate")
"""The stages before the report, in order."""


@dataclass(frozen=True)
class Facts:
    """One run, as plain data."""

    run: Run
    config: Plain
    """The composed configuration, passwords blotted out."""
    metrics: Plain
    cases: Plain
    """Test rows with what moved their answers; empty if none were asked for."""
    stages: Mapping[str, Plain]
    """Stage → what it reported."""
    manifest: Plain
    """Empty while the run is not sealed yet."""
    bench: Plain
    """What `shopkit bench` measured; empty if it was not asked."""
    description: Description | None
    """What the exported file says of itself; None if there is no such file."""

    @classmethod
    def read(cls, run: Run) -> Facts:
        """Everything but the tables.

        Raises:
            RunError: the run has not been evaluated, so there is nothing to report.
            ArtifactError: its model.onnx cannot be read.
        """
        if not run.metrics_path.is_file():
            raise RunError(f"Run {run.path} has no {run.metrics_path.name}: it was not evaluated. Finish it with resume=true.")
        return cls(
            run=run,
            config=_config(run.config_path),
            metrics=run.metrics,
            cases=read_json(run.cases_path) if run.cases_path.is_file() else {},
            stages={path.stem: read_json(path) for path in sorted((run.path / "stages").glob("*.json"))},
            manifest=run.manifest if run.manifest_path.is_file() else {},
            bench=read_json(run.bench_path) if run.bench_path.is_file() else {},
            description=_description(run.model_path),
        )

    def stage(self, name: str) -> Plain:
        return self.stages.get(name) or {}

    @property
    def exports(self) -> Plain:
        """Export → what was left beside the file, or why it was `refused`; an older run has them in the stage `export`."""
        return self.stage("exports").get("exports") or self.stage("export").get("exports") or {}

    def group(self, name: str) -> Plain:
        """One group of the configuration (`model`, `split`, …)."""
        value = self.config.get(name)
        return value if isinstance(value, Mapping) else {}

    @property
    def name(self) -> str:
        return str(self.config.get("name") or self.run.path.name.removesuffix(".partial"))

    @property
    def memory(self) -> int:
        """Bytes that the run's data may take."""
        return size_in_bytes("memory", str(self.config.get("memory", "2GB")))

    @property
    def kind(self) -> str:
        """`binary`, `multiclass`, `regression` or `other`."""
        return str(self.metrics.get("kind", "other"))

    @property
    def kind_title(self) -> str:
        """What was asked for: the kind, or the task of one that is none of the usual ones."""
        return self.kind if self.kind != "other" else str(self.group("task").get("name") or self.kind)

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns of the examples, with the roles that feature planning left them."""
        recorded = self.stage("features").get("schema") or self.stage("examples").get("schema")
        if recorded:
            return Schema.from_json(recorded).columns
        return self.description.schema.columns if self.description else ()

    @property
    def target(self) -> str:
        """Name of the target column."""
        return next((column.name for column in self.columns if column.role == "target"), "target")

    @property
    def group_column(self) -> str:
        """The column whose rows are resampled together: the group, or the first of several keys."""
        groups, keys = ([column.name for column in self.columns if column.role == role] for role in ("group", "key"))
        return str(self.group("view").get("group") or next(iter([*groups, *keys]), ""))

    @property
    def times(self) -> Mapping[str, Any]:
        """Part of the split → first and last moment in it, seconds since 1970 UTC."""
        return self.stage("split").get("times") or {}

    @property
    def latency(self) -> Plain:
        """Speed of the file, as `shopkit.evaluation.latency` measured it."""
        return self.stage("evaluate").get("latency") or {}

    @property
    def config_text(self) -> str:
        """The configuration as YAML."""
        return OmegaConf.to_yaml(OmegaConf.create(dict(self.config)))

    @property
    def notes(self) -> list[str]:
        """Licence, citation and known quirks of the data."""
        return list(self.stage("examples").get("notes") or ())

    @property
    def provenance(self) -> list[tuple[str, str]]:
        """What the run was made from: label and value."""
        source = self.manifest or (self.description.facts if self.description else {})
        examples = self.stage("examples")
        took = {name: (self.stage(name).get("stage_seconds")) for name in MEASURED_STAGES}
        spent = ", ".join(f"{name} {duration(seconds)}" for name, seconds in took.items() if seconds)
        started = self.stage("train").get("init_from")
        known = {
            "Experiment": self.name,
            "Data": examples.get("origin"),
            "Data fingerprint": examples.get("fingerprint") or source.get("fingerprint"),
            "Seed": self.config.get("seed"),
            "Identity": source.get("identity"),
            "Started from": started and f"{started['run']} ({started['summary']})",
            "Time spent": spent,
        }
        return [(label, str(value)) for label, value in known.items() if value not in (None, "")]

    @property
    def versions(self) -> Mapping[str, str]:
        """Library → version."""
        source = self.manifest or (self.description.facts if self.description else {})
        return source.get("versions") or {}

    @property
    def model_title(self) -> str:
        return str(self.group("model").get("name") or "model")


def _config(path: Path) -> Plain:
    if not path.is_file():
        return {}
    plain = OmegaConf.to_container(OmegaConf.load(path))
    return dict(blotted(plain)) if isinstance(plain, dict) else {}


def _description(path: Path) -> Description | None:
    return describe(open_session(path), path) if path.is_file() else None
