"""Cross-validation of an experiment: every fold a run of its own, then means with intervals.

The folds follow the experiment's split: rows, whole groups, or forward in time. All share one making of the examples. A fold that
has finished is not run again when the same command is started with resume=true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkit.evaluation.folds import mean_of_folds
from shopkit.opening import Announce, finished, opened, silent
from shopkit.pipeline import execute, from_python, identify, open_tables
from shopkit.registry import Registry, load_registry
from shopkit.report.folds import render_folds
from shopkit.report.headline import unit_of
from shopkit.runs import OF_FOLDS, PARTIAL, Run, read_json, write_json
from shopkit.settings import plain
from shopkit.split.folds import fold_of

if TYPE_CHECKING:
    from shopkit.config.experiment import Experiment

PAGE = "cv.html"


@dataclass(frozen=True)
class CrossValidation:
    """A finished cross-validation."""

    path: Path
    """Its folder: `cv.json`, `cv.html`, and the run of each fold in `fold-0`, `fold-1`, …"""

    @property
    def runs(self) -> list[Run]:
        return [Run.open(self.path / f"fold-{fold}") for fold in range(self.facts["n_folds"])]

    @property
    def facts(self) -> dict[str, Any]:
        """`metrics` (metric → value, low, high, sd, folds), and what they were made from."""
        return dict(read_json(self.path / OF_FOLDS))

    @property
    def page(self) -> Path:
        return self.path / PAGE


def cross_validate(
    experiment: str | None = None,
    overrides: Sequence[str] = (),
    *,
    n_folds: int = 5,
    data: Any = None,
    folder: str | Path | None = None,
    announce: Announce | None = None,
) -> CrossValidation:
    """Cross-validate an experiment from Python; the arguments are those of `shopkit.run`."""
    registry = load_registry()
    composed, target = from_python(experiment, [*overrides, f"cv={n_folds}"], registry, data, folder)
    return execute_folds(composed, target, registry=registry, data=data, announce=announce)


def execute_folds(
    experiment: Experiment,
    folder: Path,
    *,
    registry: Registry | None = None,
    data: Any = None,
    announce: Announce | None = None,
) -> CrossValidation:
    """Run every fold of a composed experiment in `folder` (`….partial`), and give it its final name at the end.

    Raises:
        ConfigError: a split whose parts the data name.
        RunError: the folder cannot be used: see `shopkit.opening.opened`.
    """
    registry = registry or load_registry()
    announce = announce or silent
    folds = [_fold(experiment, registry, fold) for fold in range(experiment.cv)]
    tables = open_tables(experiment, registry, data)
    _, identity = identify(experiment, registry, tables)
    with opened(folder, identity, resume=experiment.resume, announce=announce) as place:
        if not place.name.endswith(PARTIAL):
            return CrossValidation(place)
        runs: list[Run] = []

        def share_examples(run: Run) -> None:
            if runs:
                run.adopt(runs[0], ["examples"])

        for number, fold in enumerate(folds):
            announce("fold", f"{number + 1} of {len(folds)}", 0.0)
            target = place / f"fold-{number}{PARTIAL}"
            # One that has finished is found by its identity.
            runs.append(execute(fold, target, registry=registry, tables=tables, announce=announce, prepare=share_examples))
        facts = summarise(experiment, [run.metrics for run in runs])
        write_json(place / OF_FOLDS, facts)
        render_folds(facts, place / PAGE)
        return CrossValidation(finished(place))


def _fold(experiment: Experiment, registry: Registry, fold: int) -> Experiment:
    split = fold_of(experiment.split.name, experiment.split.settings, fold, experiment.cv)
    choice = registry.choice("split", split, "split")
    raw = {**experiment.raw, "split": {"name": choice.name, **plain(choice.settings)}, "cv": 0, "resume": True}
    return replace(experiment, split=choice, cv=0, resume=True, raw=raw)


def summarise(experiment: Experiment, metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean and interval of every metric over the folds, as plain data."""
    first = metrics[0]
    names = [name for name in first["metrics"]["test"] if all(name in one["metrics"]["test"] for one in metrics)]
    sizes = [(one["n_rows"]["train"], one["n_rows"]["test"]) for one in metrics]
    ratio = sum(test / train for train, test in sizes) / len(sizes)
    about = {name: dict(first["about"][name]) for name in names if name in first["about"]}
    ends = {name: (about.get(name, {}).get("least"), about.get(name, {}).get("most")) for name in names}
    return {
        "experiment": experiment.name,
        "model": experiment.model.name,
        "split": experiment.split.name,
        "n_folds": len(metrics),
        "kind": first["kind"],
        "unit": unit_of(first),
        "about": about,
        "n_rows": [{"train": train, "test": test} for train, test in sizes],
        "metrics": {name: mean_of_folds([one["metrics"]["test"][name] for one in metrics], ratio, *ends[name]) for name in names},
    }
