"""The way, whole: source → view → split → features → model → exporter → evaluation → report.

A run is a chain of stages; a resumed run starts at the first one that has not finished. Only this module and `stages` know all
of the way.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkit import provenance
from shopkit.errors import DataError, RunError
from shopkit.evaluation.settings import named_baseline
from shopkit.pins import check_pins
from shopkit.registry import Registry, load_registry
from shopkit.runs import PARTIAL, Run, lock
from shopkit.sources.base import Source
from shopkit.sources.privacy import with_hashed_keys
from shopkit.stages import Announce, Way

if TYPE_CHECKING:
    from shopkit.config.experiment import Experiment


def run(
    experiment: str | None = None,
    overrides: Sequence[str] = (),
    *,
    data: Any = None,
    folder: str | Path | None = None,
    announce: Announce | None = None,
) -> Run:
    """Run an experiment from Python.

    Args:
        experiment: a name in `conf/experiment`, e.g. `"purchase_intent"`.
        overrides: as on the command line, e.g. `["model=linear", "seed=1"]`.
        data: a pandas DataFrame, or a dict of them by table name, for `source=dataframe`.
        folder: where the run goes; `runs/<name>/<time>` if not given.

    Raises:
        ShopkitError: any problem with config, data, training or export, as one readable message.
    """
    from shopkit.config import compose

    registry = load_registry()
    chosen = ["source=dataframe", *overrides] if data is not None else list(overrides)
    composed = compose(experiment, chosen, registry)
    now = dt.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    target = Path(folder) if folder is not None else Path("runs") / composed.name / now
    return execute(composed, target.with_name(target.name + PARTIAL), registry=registry, data=data, announce=announce)


def execute(
    experiment: Experiment,
    folder: Path,
    *,
    registry: Registry | None = None,
    data: Any = None,
    announce: Announce | None = None,
) -> Run:
    """Run a composed experiment in `folder` (`….partial`), and give the folder its final name at the end."""
    registry = registry or load_registry()
    check_pins(experiment.plugins)
    announce = announce or (lambda stage, line, seconds: None)
    source: Source = registry.build(experiment.source, *([data] if data is not None else []))
    try:
        tables = with_hashed_keys(source.open(), experiment.privacy)
    except OSError as error:
        raise DataError(f"source {experiment.source.name}: {error}") from error
    versions = provenance.versions(_plugins(registry, experiment))
    identity = provenance.identity(experiment.raw, tables.fingerprint, versions)
    if experiment.resume and (found := provenance.find_run(folder, identity)) is not None:
        _discard_unused(folder)
        folder = found
        if Run(folder).is_complete:
            announce("resume", f"{folder} is complete already", 0.0)
            return Run.open(folder)
        announce("resume", f"going on in {folder}", 0.0)
    _make(folder)
    with lock(folder) as mine:
        if not mine:
            raise RunError(f"Another process is working in {folder}. Wait for it, or stop it first.")
        way = Way(experiment, registry, Run(folder), tables, versions, identity, announce)
        try:
            return way.go()
        except KeyboardInterrupt:
            announce("stopped", f"{folder} is kept; start the same command with resume=true to go on", 0.0)
            raise


def _plugins(registry: Registry, experiment: Experiment) -> list[str]:
    """The distributions, besides shopkit's own, whose components take part."""
    choices = [experiment.source, experiment.view, experiment.model, experiment.task, experiment.exporter]
    found = [registry.find(choice.family, choice.name).distribution for choice in choices]
    installed = {entry.component.name: entry.distribution for entry in registry.components("models")}
    baselines = [named_baseline(spec)[1] for spec in experiment.evaluation.baselines]
    found += [installed[name] for name in baselines if name in installed]
    return sorted(set(found) - {"shopkit"})


def _discard_unused(folder: Path) -> None:
    """Remove the folder Hydra made for a run that goes on elsewhere, if nothing but Hydra's notes is in it."""
    if folder.is_dir() and all(path.name == ".hydra" for path in folder.iterdir()):
        shutil.rmtree(folder)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunError(
            f"Cannot write the run folder {folder}: {error.strerror}. Choose another with hydra.run.dir=… (folder=… in Python)."
        ) from error
