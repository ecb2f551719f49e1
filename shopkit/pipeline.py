"""The way, whole: source → view → split → features → model → exporter → evaluation → report.

A run is a chain of stages; a resumed run starts at the first one that has not finished. Only this module and `stages` know all
of the way.
"""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis

from shopkit import provenance
from shopkit.errors import ConfigError, DataError, RunError
from shopkit.evaluation.settings import named_baseline
from shopkit.pins import check_pins
from shopkit.registry import Registry, load_registry
from shopkit.runs import PARTIAL, Run, discard_temporaries, lock, write_json
from shopkit.sources.base import Source, Tables
from shopkit.sources.privacy import with_hashed_keys
from shopkit.stages import Announce, Way
from shopkit.training.heartbeat import heartbeat, wait_for
from shopkit.training.processes import node_rank

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
    registry = load_registry()
    composed, target = from_python(experiment, overrides, registry, data, folder)
    return execute(composed, target, registry=registry, data=data, announce=announce)


def from_python(
    experiment: str | None, overrides: Sequence[str], registry: Registry, data: Any, folder: str | Path | None
) -> tuple[Experiment, Path]:
    """The composed experiment, and the unfinished folder it works in, for the arguments of `run`."""
    from shopkit.config import compose

    chosen = ["source=dataframe", *overrides] if data is not None else list(overrides)
    composed = compose(experiment, chosen, registry)
    now = dt.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    target = Path(folder) if folder is not None else Path("runs") / composed.name / now
    return composed, target.with_name(target.name + PARTIAL)


def execute(
    experiment: Experiment,
    folder: Path,
    *,
    registry: Registry | None = None,
    data: Any = None,
    tables: Tables | None = None,
    announce: Announce | None = None,
    prepare: Callable[[Run], None] = lambda run: None,
) -> Run:
    """Run a composed experiment in `folder` (`….partial`), and give the folder its final name at the end.

    Args:
        tables: of the experiment's source, where it is open already.
        prepare: called with the run before its first stage, for a run that takes over stages of another.
    """
    registry = registry or load_registry()
    check_pins(experiment.plugins)
    announce = announce or (lambda stage, line, seconds: None)
    if experiment.cv:
        raise ConfigError(
            f"cv is {experiment.cv}, which makes several runs: shopkit.cross_validate does that in Python, and `shopkit run` "
            "on the command line."
        )
    if node_rank(experiment.trainer):
        return take_part(experiment, folder, registry, announce)
    with (
        heartbeat(folder, experiment.trainer.nodes),
        way(experiment, folder, registry, tables or open_tables(experiment, registry, data), announce) as going,
    ):
        if isinstance(going, Run):
            return going
        prepare(going.run)
        return going.go()


def take_part(experiment: Experiment, folder: Path, registry: Registry, announce: Announce) -> Run:
    """Train with the other machines on what the first one leaves in the shared run folder; all the rest is done there.

    Returns:
        The run as it stands after training, unfinished.

    Raises:
        RunError: the first one has stopped.
    """
    run = Run(folder)
    start = time.perf_counter()
    announce("waiting", f"for the features in {folder}", 0.0)
    wait_for(lambda: run.facts("features") is not None, folder)
    nothing = Tables({}, ibis.duckdb.connect(), "", "")
    going = Way(experiment, registry, run, nothing, {}, "", announce)
    if run.facts("train") is None:
        going.fit_model(experiment.model, going.features, going.task, run.work / "model", main=True)
    announce("train", f"took part in training {experiment.model.name}", time.perf_counter() - start)
    return run


def open_tables(experiment: Experiment, registry: Registry, data: Any = None) -> Tables:
    """The tables of the experiment's source."""
    source: Source = registry.build(experiment.source, *([data] if data is not None else []))
    try:
        if experiment.engine.name == "spark":
            return on_spark(source, experiment)
        return with_hashed_keys(source.open(), experiment.privacy)
    except OSError as error:
        raise DataError(f"source {experiment.source.name}: {error}") from error


def on_spark(source: Source, experiment: Experiment) -> Tables:
    """The tables of a source on the experiment's Spark cluster.

    Raises:
        ConfigError: no cluster, a source that is not read there, or keys to hash, which DuckDB does.
    """
    from shopkit.sources.spark import Spark

    if experiment.privacy.hash_keys:
        raise ConfigError(
            "privacy.hash_keys: keys are hashed by DuckDB, as on Spark the key would stand in query plans. Use engine=duckdb, or "
            "hash them where the tables are written."
        )
    return source.on_spark(Spark(experiment.engine))


@contextmanager
def way(experiment: Experiment, folder: Path, registry: Registry, tables: Tables, announce: Announce) -> Iterator[Way | Run]:
    """The way of a run in its folder, ready to go, or the run if it is found complete; no other process works there meanwhile.

    Raises:
        RunError: the folder cannot be written, another process works there, or it holds an unfinished run of another identity.
    """
    versions, identity = identify(experiment, registry, tables)
    if experiment.resume:
        folder = take_up(folder, identity, announce)
        if not folder.name.endswith(PARTIAL):
            yield Run.open(folder)
            return
    make_folder(folder)
    with lock(folder) as mine:
        if not mine:
            raise RunError(f"Another process is working in {folder}. Wait for it, or stop it first.")
        provenance.refuse_another(folder, identity, experiment.resume)
        discard_temporaries(folder)
        # Before anything else is in the folder: what it holds is only ever taken for work of this identity.
        write_json(folder / provenance.IDENTITY, {"identity": identity})
        try:
            yield Way(experiment, registry, Run(folder), tables, versions, identity, announce)
        except KeyboardInterrupt:
            announce("stopped", f"{folder} is kept; start the same command with resume=true to go on", 0.0)
            raise


def identify(experiment: Experiment, registry: Registry, tables: Tables) -> tuple[dict[str, str], str]:
    """The versions that take part, and the identity: equal for runs that compute the same."""
    versions = provenance.versions(_plugins(registry, experiment))
    return versions, provenance.identity(experiment.raw, tables.fingerprint, versions)


def take_up(folder: Path, identity: str, announce: Announce) -> Path:
    """The folder of the newest work of this identity, at work (`….partial`) or complete; `folder` itself where there is none."""
    found = provenance.find_run(folder, identity)
    if found is None:
        return folder
    if found != folder:
        _discard_unused(folder)
    announce("resume", f"going on in {found}" if found.name.endswith(PARTIAL) else f"{found} is complete already", 0.0)
    return found


def _plugins(registry: Registry, experiment: Experiment) -> list[str]:
    """The distributions, besides shopkit's own, whose components take part."""
    choices = [experiment.source, experiment.view, experiment.model, experiment.task, experiment.exporter, *experiment.exports]
    found = [registry.find(choice.family, choice.name).distribution for choice in choices]
    installed = {entry.component.name: entry.distribution for entry in registry.components("models")}
    baselines = [named_baseline(spec)[1] for spec in experiment.evaluation.baselines]
    found += [installed[name] for name in baselines if name in installed]
    return sorted(set(found) - {"shopkit"})


def _discard_unused(folder: Path) -> None:
    """Remove the folder Hydra made for a run that goes on elsewhere, if nothing but Hydra's notes is in it."""
    if folder.is_dir() and all(path.name == ".hydra" for path in folder.iterdir()):
        shutil.rmtree(folder)


def make_folder(folder: Path) -> None:
    """Make a folder for results.

    Raises:
        RunError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunError(
            f"Cannot write the run folder {folder}: {error.strerror}. Choose another with hydra.run.dir=… (folder=… in Python)."
        ) from error
