"""The way, whole: source → view → split → features → model → exporter → evaluation → report.

A run is a chain of stages; a resumed run starts at the first one that has not finished. Only this module and `stages` know all
of the way.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis

from shopkit import provenance
from shopkit.errors import ConfigError, DataError
from shopkit.evaluation.settings import named_baseline
from shopkit.opening import Announce, locked, opened, silent
from shopkit.progress import stage
from shopkit.registry import Registered, Registry, load_registry
from shopkit.runs import PARTIAL, Run
from shopkit.sources.base import Source, Tables
from shopkit.sources.privacy import with_hashed_keys
from shopkit.stages import Way
from shopkit.stages.finished import Finished
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
    from shopkit.config import Composer

    composed = Composer.of(registry).compose(as_typed(experiment, overrides, data))
    return composed, unfinished(folder, composed.name)


def as_typed(experiment: str | None, overrides: Sequence[str], data: Any) -> list[str]:
    """The arguments of `run` as they would be typed."""
    chosen = [f"experiment={experiment}"] if experiment else []
    return [*chosen, *(["source=dataframe"] if data is not None else []), *overrides]


def unfinished(folder: str | Path | None, name: str, suffix: str = "") -> Path:
    """The folder that work is done in: `….partial` of the one given, or of `runs/<name>/<time>`."""
    now = dt.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    target = Path(folder) if folder is not None else Path("runs") / name / f"{now}{suffix}"
    return target.with_name(target.name + PARTIAL)


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
    announce = announce or silent
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
            return with_exports(going, experiment, registry, announce) if experiment.exports else going
        prepare(going.run)
        return going.go()


def add_exports(
    path: str | Path, exports: Sequence[Mapping[str, Any]], *, registry: Registry | None = None, announce: Announce | None = None
) -> Run:
    """Export more of a complete run, from the weights that it keeps; nothing is trained, and no source is read.

    Args:
        path: the run's folder.
        exports: `name` and settings of exporters, as `exports=[…]` has them.
        announce: is told of each export, and of each that is refused (`warning`).

    Raises:
        RunError: not a complete run, changed since it was sealed, or its model keeps no weights.
        ConfigError: no such exporter or setting, or a configuration that is not one of this installation.
    """
    from shopkit.config import Composer

    registry = registry or load_registry()
    run = Run.open(path)
    choices = tuple(registry.choice("exporters", spec) for spec in exports)
    experiment = replace(Composer.of(registry).recompose(run.config_path), exports=choices)
    return with_exports(run, experiment, registry, announce or silent)


def with_exports(run: Run, experiment: Experiment, registry: Registry, announce: Announce) -> Run:
    """A complete run with the exports of an experiment of the same identity, made if it lacks them."""
    manifest = run.manifest
    nothing = Tables({}, ibis.duckdb.connect(), "", str(manifest.get("fingerprint", "")))
    versions, identity = manifest.get("versions", {}), str(manifest.get("identity", ""))
    going = Finished(experiment, registry, run, nothing, versions, identity, announce)
    if going.has_exports:
        return run
    with locked(run.path):
        try:
            going.add_exports()
        finally:
            (run.path / ".lock").unlink(missing_ok=True)
    return run


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
    """The tables of the experiment's source.

    Args:
        data: what the source is built with, of one that takes data given in Python.

    Raises:
        ConfigError: data for a source that takes none.
        DataError: files that cannot be read.
    """
    if data is not None and experiment.source.name != "dataframe":
        raise ConfigError(f"data= is given, which source={experiment.source.name} does not read. Choose source=dataframe for it.")
    source: Source = registry.build(experiment.source, *([data] if data is not None else []))
    try:
        with stage("source"):
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
    """The way of a run in its folder, ready to go, or the run if it is found complete; raises as `opened` does."""
    versions, identity = identify(experiment, registry, tables)
    with opened(folder, identity, resume=experiment.resume, announce=announce) as place:
        is_complete = not place.name.endswith(PARTIAL)
        yield Run.open(place) if is_complete else Way(experiment, registry, Run(place), tables, versions, identity, announce)


def identify(experiment: Experiment, registry: Registry, tables: Tables) -> tuple[dict[str, str], str]:
    """The versions that take part, and the identity: equal for runs that compute the same."""
    used = _taking_part(registry, experiment)
    libraries = {library for entry in used for library in entry.component.libraries}
    if experiment.engine.name == "spark":
        libraries.add("pyspark")
    versions = provenance.versions(sorted({entry.distribution for entry in used} - {"shopkit"}), sorted(libraries))
    return versions, provenance.identity(experiment.raw, tables.fingerprint, versions)


def _taking_part(registry: Registry, experiment: Experiment) -> list[Registered]:
    """The components that a run computes with, as far as its configuration names them."""
    choices = [experiment.source, experiment.view, experiment.split, experiment.model, experiment.task, experiment.exporter]
    found = [registry.find(choice.family, choice.name) for choice in choices]
    for family, names in (
        ("models", {named_baseline(spec)[1] for spec in experiment.evaluation.baselines}),
        ("features", {name for _, name, _ in experiment.features.chosen()}),
    ):
        found += [entry for entry in registry.components(family) if entry.component.name in names]
    return found
