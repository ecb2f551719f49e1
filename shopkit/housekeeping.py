"""Old runs: which there are, which may go by the rules given, and taking them away."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shopkit.errors import RunError
from shopkit.provenance import IDENTITY
from shopkit.runs import PARTIAL, Run, lock, read_json

PINNED = "pinned"
"""Name of the file that keeps a run from being removed."""
DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Rules:
    """What may go: a complete run that every rule given lets go, and what was left unfinished if `partial`."""

    older_than_days: float | None = None
    keep_newest: int | None = None
    """Of each experiment."""
    keep_best: int | None = None
    """Of each experiment, by the first metric of its task."""
    partial: bool = False
    """Folders of runs that were not finished, and that no process works in."""

    def __post_init__(self) -> None:
        for name in ("older_than_days", "keep_newest", "keep_best"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise RunError(f"--{name.replace('_', '-').removesuffix('-days')} is {value:g}; it must be at least 0.")

    @property
    def of_complete_runs(self) -> bool:
        return any(rule is not None for rule in (self.older_than_days, self.keep_newest, self.keep_best))


@dataclass(frozen=True)
class Found:
    """One run folder, and what becomes of it."""

    run: Run
    experiment: str
    modified: float
    """Seconds since 1970."""
    size_bytes: int
    goes: bool
    why: str
    """Why it stays or goes, in a few words."""


def pin(path: Path, pinned: bool = True) -> None:
    """Keep a run from `clean`, or let it go again.

    Raises:
        RunError: not a complete run, or its folder cannot be written.
    """
    run = Run.open(path)
    try:
        if pinned:
            (run.path / PINNED).touch()
        else:
            (run.path / PINNED).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"Cannot pin {path}: {error.strerror}.") from error


def survey(root: Path, rules: Rules, now: float | None = None) -> list[Found]:
    """Every run below a folder, oldest first, and whether it goes. Nothing is changed.

    The newest complete run of an experiment, pinned runs and runs that a process works in never go.

    Raises:
        RunError: there is no such folder.
    """
    if not root.is_dir():
        raise RunError(f"There is no folder {root}.")
    runs = sorted(_runs(root), key=_modified)
    groups: dict[tuple[Path, str], list[Run]] = defaultdict(list)
    for run in runs:
        if run.is_complete:
            groups[_shelf(run), _experiment(run)].append(run)
    kept = {run.path: why for group in groups.values() for run, why in _kept(group, rules, now or time.time())}
    found = []
    for run in runs:
        why = kept.get(run.path) if run.is_complete else _unfinished(run, rules)
        goes = why is None
        size = sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file() and not path.is_symlink())
        reason = why or ("not finished" if not run.is_complete else "let go by every rule")
        found.append(Found(run, _experiment(run), _modified(run), size, goes, reason))
    return found


def remove(found: Iterable[Found]) -> list[Path]:
    """Delete the folders that go. One that a process has begun to work in, or that was pinned since, stays.

    A folder is first called `….partial`, so that nothing half deleted looks like a finished run.

    Raises:
        RunError: a folder cannot be deleted.
    """
    gone = []
    for one in found:
        path = one.run.path
        if not one.goes or (path / PINNED).exists():
            continue
        try:
            with lock(path) as mine:
                if not mine:
                    continue
                doomed = path if path.name.endswith(PARTIAL) else path.with_name(f"{path.name}.deleted{PARTIAL}")
                path.rename(doomed)
                (doomed / "manifest.json").unlink(missing_ok=True)
                shutil.rmtree(doomed)
        except OSError as error:
            raise RunError(f"Cannot delete {path}: {error.strerror or error}.") from error
        gone.append(path)
    return gone


def _runs(root: Path) -> Iterator[Run]:
    for marker in root.rglob(IDENTITY):
        folder = marker.parent
        # A link may lead anywhere, and a folder without a configuration is none of ours.
        if not folder.is_symlink() and not marker.is_symlink() and (folder / "config.yaml").is_file():
            yield Run(folder)


def _modified(run: Run) -> float:
    marker = run.manifest_path if run.manifest_path.is_file() else run.path / IDENTITY
    return marker.stat().st_mtime


def _shelf(run: Run) -> Path:
    """The folder an experiment's runs stand in; the runs of a sweep stand one deeper."""
    return run.path.parent


def _experiment(run: Run) -> str:
    facts = read_json(run.manifest_path) if run.manifest_path.is_file() else {}
    return str(facts.get("experiment") or run.path.parent.name)


def _kept(group: Sequence[Run], rules: Rules, now: float) -> Iterator[tuple[Run, str]]:
    """The complete runs of one experiment that stay, each with the reason. `group` is oldest first."""
    newest = list(reversed(group))
    best = sorted(newest, key=_score, reverse=True)
    for run in group:
        if (run.path / PINNED).exists():
            yield run, "pinned"
        elif run is newest[0]:
            yield run, "the newest"
        elif not _is_free(run):
            yield run, "at work"
        elif not rules.of_complete_runs:
            yield run, "no rule given"
        elif rules.older_than_days is not None and now - _modified(run) < rules.older_than_days * DAY:
            yield run, f"younger than {rules.older_than_days:g} days"
        elif rules.keep_newest is not None and newest.index(run) < rules.keep_newest:
            yield run, f"among the {rules.keep_newest} newest"
        elif rules.keep_best is not None and best.index(run) < rules.keep_best:
            yield run, f"among the {rules.keep_best} best"


def _score(run: Run) -> float:
    """The first metric of the task on the test part, turned so that more is better."""
    if not run.metrics_path.is_file():
        return float("-inf")
    metrics = run.metrics
    name, estimate = next(iter(metrics["metrics"]["test"].items()))
    value = estimate.get("value")
    if value is None:
        return float("-inf")
    return float(-value if metrics["about"][name].get("better") == "lower" else value)


def _unfinished(run: Run, rules: Rules) -> str | None:
    if not _is_free(run):
        return "at work"
    if rules.partial:
        return None
    return "not finished; --partial removes it, resume=true goes on with it"


def _is_free(run: Run) -> bool:
    if not (run.path / ".lock").exists():
        return True
    try:
        with lock(run.path) as mine:
            return mine
    except OSError:
        return False
