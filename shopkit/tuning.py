"""A search for settings: trials that are judged by the validation part alone, then one whole run of the best.

What a trial has come to stands in its own `trial.json`, written whole or not at all; from these files alone a killed search goes
on. Each trial draws from a sampler seeded by its number, so a resumed search tries what an undisturbed one would have tried.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from shopkit.config import Composer
from shopkit.config.hparams import SearchSettings, Space, as_override, read_search
from shopkit.errors import ConfigError, RunError
from shopkit.opening import Announce, finished, make_folder, opened, silent
from shopkit.pipeline import as_typed, execute, identify, open_tables, unfinished, way
from shopkit.registry import Registry, load_registry
from shopkit.report.headline import unit_of
from shopkit.report.search import Trial, render_search
from shopkit.runs import OF_TRIALS, PARTIAL, Run, read_json, write_json
from shopkit.secrecy import blotted
from shopkit.settings import plain
from shopkit.sources.base import Tables
from shopkit.stages import Way
from shopkit.training.watch import EpochWatch

if TYPE_CHECKING:
    import optuna

    from shopkit.config import Experiment

PAGE = "search.html"
TRIAL = "trial.json"
BEST = "best"
SHARED = "shared.partial"
"""The run whose examples, split and, where they are not searched, features all trials take over."""


@dataclass(frozen=True)
class Search:
    """A finished search."""

    path: Path
    """Its folder: `search.json`, `search.html`, `trials/`, and the whole run of the best settings in `best`."""

    @property
    def facts(self) -> dict[str, Any]:
        return dict(read_json(self.path / OF_TRIALS))

    @property
    def page(self) -> Path:
        return self.path / PAGE

    @property
    def best(self) -> Run:
        return Run.open(self.path / BEST)


class PrunedError(Exception):
    """A trial that was stopped, as others were better at the same epoch."""


@dataclass
class _Searching:
    """A search at work."""

    composer: Composer
    typed: Sequence[str]
    settings: SearchSettings
    base: Experiment
    tables: Tables
    folder: Path
    announce: Announce
    trials: list[Trial] = field(default_factory=list)

    @property
    def registry(self) -> Registry:
        return self.composer.registry

    def experiment(self, params: dict[str, Any]) -> Experiment:
        composed = self.composer.compose([*self.typed, *(as_override(key, value) for key, value in params.items())])
        return replace(composed, resume=True)

    # -- trials ---------------------------------------------------------------------------------------------------

    def go(self) -> None:
        """Try, and leave the page of what came out."""
        self._try_all()
        self.finish()

    def _try_all(self) -> None:
        shared, stages = self._shared
        for number in range(self.settings.n_trials):
            place = self.folder / "trials" / f"{number:04d}"
            trial = Trial.read(place / TRIAL) if (place / TRIAL).is_file() else None
            if trial is None or trial.state == "running":
                # The best of fewer trials, where a search is to have more of them.
                for best in (BEST, f"{BEST}{PARTIAL}"):
                    shutil.rmtree(self.folder / best, ignore_errors=True)
                study = self._study(number)
                if trial is not None:
                    study.enqueue_trial(_coded(trial.params, self.settings.space))
                asked = study.ask(_distributions(self.settings.space))
                trial = trial or Trial(number, "running", _decoded(asked.params, self.settings.space))
                make_folder(place)
                write_json(place / TRIAL, vars(trial))
                trial = self._tried(trial, asked, place, lambda run: run.adopt(shared, stages))
                # What a trial leaves besides its record is large, and can be made again.
                write_json(place / TRIAL, vars(trial))
            shutil.rmtree(place / "run.partial", ignore_errors=True)
            self.trials.append(trial)
            best = f", best {self.best.value:.4f}" if self.best and self.best is not trial else ""
            self.announce("trial", f"{number + 1} of {self.settings.n_trials}{best}: {trial.said}", trial.seconds)

    def _study(self, number: int) -> optuna.Study:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        settings, seed = self.settings, self.base.seed * 100_003 + number
        samplers: dict[str, Any] = {
            "tpe": lambda: optuna.samplers.TPESampler(seed=seed, n_startup_trials=settings.n_startup),
            "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        }
        pruner = (
            optuna.pruners.MedianPruner(settings.n_startup, settings.warmup_epochs)
            if settings.pruner == "median"
            else optuna.pruners.NopPruner()
        )
        direction = optuna.study.StudyDirection.MAXIMIZE if self.monitor[1] == "max" else optuna.study.StudyDirection.MINIMIZE
        study = optuna.create_study(direction=direction, sampler=samplers[settings.sampler](), pruner=pruner)
        states = {"complete": optuna.trial.TrialState.COMPLETE, "pruned": optuna.trial.TrialState.PRUNED}
        for trial in self.trials:
            study.add_trial(
                optuna.trial.create_trial(
                    state=states.get(trial.state, optuna.trial.TrialState.FAIL),
                    value=trial.value,
                    params=_coded(trial.params, settings.space),
                    distributions=_distributions(settings.space),
                    intermediate_values=dict(enumerate(trial.epochs)),
                )
            )
        return study

    @property
    def monitor(self) -> tuple[str, str]:
        """Name of the validation metric, and whether it is to be large (`max`) or small (`min`)."""
        monitor = self.registry.build(self.base.task).monitor
        return monitor.name, monitor.mode

    def _tried(self, trial: Trial, asked: optuna.trial.Trial, place: Path, prepare: Callable[[Run], None]) -> Trial:
        """The trial, run to its end."""
        start = time.perf_counter()
        experiment = self.experiment(trial.params)
        epochs: list[float] = []
        watched = f"validation_{self.monitor[0]}"

        def after(epoch: int, row: dict[str, float]) -> None:
            if watched not in row:  # one of pretraining
                return
            asked.report(row[watched], len(epochs))
            epochs.append(row[watched])
            if asked.should_prune():
                raise PrunedError

        try:
            with way(experiment, place / "run.partial", self.registry, self.tables, silent) as going:
                assert isinstance(going, Way)
                prepare(going.run)
                history = _history(going)
                for epoch, row in enumerate(history):
                    after(epoch, row)
                going.loggers = [EpochWatch(lambda epoch, row: after(epoch, row) if epoch >= len(history) else None)]
                going.reach("train")
                value = _validation(going, self.monitor[0])
            if math.isnan(value):
                raise RunError(
                    f"The validation part does not tell {self.monitor[0]}, by which trials are compared: look at its rows, or "
                    "set task.monitor to another metric."
                )
        except PrunedError:
            return replace(trial, state="pruned", value=epochs[-1], epochs=epochs, seconds=time.perf_counter() - start)
        except RunError as error:
            # One combination that diverges is an answer, not the end of the search.
            return replace(trial, state="failed", epochs=epochs, seconds=time.perf_counter() - start, reason=str(error))
        return replace(trial, state="complete", value=value, epochs=epochs, seconds=time.perf_counter() - start)

    @cached_property
    def _shared(self) -> tuple[Run, list[str]]:
        """A run with the stages that are the same for all trials, and their names."""
        groups = {key.partition(".")[0] for key in self.settings.space}
        changed = {"source", "view", "contract"} & groups or any(key.startswith("features.types") for key in self.settings.space)
        stages = [] if changed else ["examples"] if {"split", "task"} & groups else ["examples", "split"]
        if len(stages) == 2 and not {"features", "seed"} & groups and "model" not in self.settings.space:
            stages.append("features")
        run = Run(self.folder / SHARED)
        if stages and run.facts(stages[-1]) is None:
            base = replace(self.base, resume=True)
            with way(base, run.path, self.registry, self.tables, self.announce) as going:
                assert isinstance(going, Way)
                going.reach(stages[-1])
        return run, stages

    @property
    def best(self) -> Trial | None:
        done = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        sign = 1 if self.monitor[1] == "max" else -1
        return max(done, key=lambda trial: sign * (trial.value or 0.0), default=None)

    # -- the end --------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        best = self.best
        if best is None:
            raise RunError(
                f"None of the {len(self.trials)} trials of {self.folder} came to an end. The last one: {self.trials[-1].said}"
            )
        experiment = self.experiment(best.params)

        def share_examples(run: Run) -> None:
            shared, stages = self._shared
            run.adopt(shared, [stage for stage in stages if stage == "examples"])

        run = execute(
            experiment,
            self.folder / f"{BEST}{PARTIAL}",
            registry=self.registry,
            tables=self.tables,
            announce=self.announce,
            prepare=share_examples,
        )
        facts = {
            "experiment": self.base.name,
            "model": self.base.model.name,
            "monitor": dict(zip(("name", "mode"), self.monitor, strict=True)),
            "space": plain(self.settings.space),
            "command": [*blotted(self.typed), *(as_override(key, value) for key, value in best.params.items())],
            "best": vars(best),
            "test": run.metrics["metrics"]["test"],
            "about": run.metrics["about"],
            "unit": unit_of(run.metrics),
            "trials": [vars(trial) for trial in self.trials],
        }
        write_json(self.folder / OF_TRIALS, facts)
        render_search(facts, self.folder / PAGE)
        shutil.rmtree(self.folder / SHARED, ignore_errors=True)


def search(
    experiment: str | None = None,
    overrides: Sequence[str] = (),
    *,
    settings: SearchSettings | None = None,
    data: Any = None,
    folder: str | Path | None = None,
    announce: Announce | None = None,
) -> Search:
    """Search for settings from Python; the arguments are those of `shopkit.run`, but for two.

    Args:
        overrides: what every trial has, and, as `shopkit search` takes them, `hparams_search=<name>`, `n_trials=…` and so on.
        settings: what is tried, instead of `hparams_search=<name>`: `SearchSettings` of `shopkit.config.hparams`.

    Raises:
        ShopkitError: as `shopkit.run` does; `ConfigError` where nothing is searched, or optuna is not installed.
    """
    composer = Composer.of(load_registry())
    typed = as_typed(experiment, overrides, data)
    if settings is None:
        settings, typed = read_search(typed, composer.folders)
    target = unfinished(folder, composer.compose(typed).name, "_search")
    return execute_search(composer, settings, typed, target, data=data, announce=announce)


def execute_search(
    composer: Composer,
    settings: SearchSettings,
    typed: Sequence[str],
    folder: Path,
    *,
    data: Any = None,
    announce: Announce | None = None,
) -> Search:
    """Search for settings in `folder` (`….partial`), and give it its final name at the end.

    Args:
        typed: the overrides that every trial has.

    Raises:
        ConfigError: optuna is not installed, or a setting of the space does not exist or cannot take its ends.
        RunError: no trial came to an end; the folder cannot be used: see `shopkit.opening.opened`.
    """
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError('A search needs optuna, which is not installed: pip install "shopkit[search]"')
    announce = announce or silent
    base = composer.compose(typed)
    if base.cv:
        raise ConfigError(f"cv is {base.cv}: a search goes by the validation part of one split. Cross-validate its best instead.")
    for end in (0, 1):
        composer.compose([*typed, *(as_override(key, space.ends[end]) for key, space in settings.space.items())])
    tables = open_tables(base, composer.registry, data)
    _, of_runs = identify(base, composer.registry, tables)
    text = json.dumps([of_runs, plain(replace(settings, n_trials=1))], sort_keys=True)
    identity = hashlib.sha256(text.encode()).hexdigest()

    def is_enough(complete: Path) -> bool:
        return len(read_json(complete / OF_TRIALS)["trials"]) >= settings.n_trials

    with opened(folder, identity, resume=base.resume, announce=announce, is_enough=is_enough) as place:
        if not place.name.endswith(PARTIAL):
            return Search(place)
        _Searching(composer, typed, settings, base, tables, place, announce).go()
        return Search(finished(place))


def _history(going: Way) -> list[dict[str, float]]:
    """The epochs that an interrupted trial has behind it."""
    from shopkit.training import checkpoint

    return checkpoint.read(going.run.work / "model").history


def _validation(going: Way, monitor: str) -> float:
    """The metric on the validation part: of the best epoch, or of an estimator's scores."""
    result = going.model.result
    if result.history:
        return float(result.history[result.best_epoch][f"validation_{monitor}"])
    arrays = going.features.arrays(going.rows, "validation")
    task, target = going.task.grouped_by(arrays.groups), torch.from_numpy(arrays.target.copy())
    summary = task.summary(torch.from_numpy(going.model.scores(arrays.features)), target)
    weight = None if arrays.weight is None else torch.from_numpy(arrays.weight.copy())
    return float(task.validation_metrics(summary, target, weight)[monitor])


# -- optuna's words ------------------------------------------------------------------------------------------------


def _distributions(space: dict[str, Space]) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    made: dict[str, Any] = {}
    for key, values in space.items():
        if values.choices:
            # By number: optuna's choices are scalars, a list of layer widths is not.
            made[key] = CategoricalDistribution(tuple(range(len(values.choices))))
        elif values.is_whole:
            made[key] = IntDistribution(int(values.low or 0), int(values.high or 0), log=values.log)
        else:
            made[key] = FloatDistribution(float(values.low or 0), float(values.high or 0), log=values.log)
    return made


def _decoded(params: dict[str, Any], space: dict[str, Space]) -> dict[str, Any]:
    return {key: space[key].choices[value] if space[key].choices else _short(value, space[key]) for key, value in params.items()}


def _coded(params: dict[str, Any], space: dict[str, Space]) -> dict[str, Any]:
    return {key: space[key].choices.index(value) if space[key].choices else value for key, value in params.items()}


def _short(value: float, space: Space) -> float:
    """Four digits, which a person can copy; the difference to more is noise."""
    if isinstance(value, int):
        return value
    return min(max(float(f"{value:.4g}"), float(space.low or 0)), float(space.high or 0))
