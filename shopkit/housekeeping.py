"""Old runs: which there are, which may go by the rules given, and taking them away.

A cross-validation and a search count as one run each, with all that is in their folders.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from shopkit.errors import RunError
from shopkit.layout import MANIFEST
from shopkit.provenance import IDENTITY
from shopkit.runs import KINDS, PARTIAL, Kind, Run, kind_of, lock, read_json

PINNED = "pinned"
"""Name of the file that keeps a run from being removed."""
DELETED = f".deleted{PARTIAL}"
"""What the name of a folder ends in while it is deleted."""
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
class Work:
    """A folder that is listed, pinned and removed as one."""

    path: Path
    kind: Kind

    @property
    def is_complete(self) -> bool:
        return not self.path.name.endswith(PARTIAL) and (self.path / self.kind.facts).is_file()

    @property
    def is_pinned(self) -> bool:
        """Whether it, or a run in it, is to be kept."""
        return next(self.path.rglob(PINNED), None) is not None

    @property
    def is_free(self) -> bool:
        """Whether no process works in it."""
        if not (self.path / ".lock").exists():
            return True
        try:
            with lock(self.path) as mine:
                return mine
        except OSError:
            return False

    @cached_property
    def facts(self) -> dict[str, Any]:
        path = self.path / self.kind.facts
        return dict(read_json(path)) if path.is_file() else {}

    @property
    def experiment(self) -> str:
        return str(self.facts.get("experiment") or self.path.parent.name)

    @property
    def modified(self) -> float:
        """When it was finished, or begun; seconds since 1970."""
        markers = (self.path / self.kind.facts, self.path / IDENTITY, self.path)
        return next(marker for marker in markers if marker.exists()).stat().st_mtime

    @property
    def size_bytes(self) -> int:
        """Of all its files; those that folds share are there once."""
        files = [path.lstat() for path in self.path.rglob("*") if path.is_file()]
        return sum({(file.st_dev, file.st_ino): file.st_size for file in files}.values())

    @cached_property
    def score(self) -> float:
        """The first metric of the task on the test part, turned so that more is better."""
        facts = self.facts
        if self.kind.facts == MANIFEST:
            metrics = Run(self.path).metrics_path
            facts = dict(read_json(metrics)) if metrics.is_file() else {}
            facts["test"] = (facts.get("metrics") or {}).get("test")
        estimates: dict[str, Any] = facts.get("test") or facts.get("metrics") or {}
        if not estimates:
            return float("-inf")
        name, estimate = next(iter(estimates.items()))
        value = estimate.get("value")
        if value is None:
            return float("-inf")
        return float(-value if facts["about"][name].get("better") == "lower" else value)


@dataclass(frozen=True)
class Found:
    """One folder, and what becomes of it."""

    work: Work
    goes: bool
    why: str
    """Why it stays or goes, in a few words."""


def pin(path: Path, pinned: bool = True) -> None:
    """Keep a run, a cross-validation or a search from `clean`, or let it go again. A pinned fold keeps all of its folder.

    Raises:
        RunError: not complete, or its folder cannot be written.
    """
    kind = kind_of(path)
    if kind is None or kind.facts == MANIFEST:
        Run.open(path)
    elif not Work(path, kind).is_complete:
        raise RunError(f"{path} is not a complete {kind.name}: it was not finished; start it again with resume=true.")
    try:
        if pinned:
            (path / PINNED).touch()
        else:
            (path / PINNED).unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"Cannot pin {path}: {error.strerror}.") from error


def survey(root: Path, rules: Rules, now: float | None = None) -> list[Found]:
    """Every run, cross-validation and search below a folder, oldest first, and whether it goes. Nothing is changed.

    The newest complete one of a kind and an experiment, pinned ones, and those that a process works in never go.

    Raises:
        RunError: there is no such folder, or it is a part of a cross-validation or a search.
    """
    if not root.is_dir():
        raise RunError(f"There is no folder {root}.")
    for parent in root.resolve().parents:
        kind = kind_of(parent) if (parent / IDENTITY).is_file() else None
        if kind:
            raise RunError(f"{root} is part of the {kind.name} {parent}, which is removed whole or not at all.")
    works = sorted(_works(root), key=lambda work: work.modified)
    groups: dict[tuple[Path, str, str], list[Work]] = defaultdict(list)
    for work in works:
        if work.is_complete:
            groups[work.path.parent, work.experiment, work.kind.name].append(work)
    kept = {work.path: why for group in groups.values() for work, why in _kept(group, rules, now or time.time())}
    found = []
    for work in works:
        why = kept.get(work.path) if work.is_complete else _unfinished(work, rules)
        found.append(Found(work, why is None, why or ("let go by every rule" if work.is_complete else "not finished")))
    return found


def remove(found: Iterable[Found]) -> list[Path]:
    """Delete the folders that go. One that a process has begun to work in, or that was pinned since, stays.

    A folder is first called `….deleted.partial`, so that nothing half deleted looks like a finished run, or is gone on with.

    Raises:
        RunError: a folder cannot be deleted.
    """
    gone = []
    for one in found:
        path = one.work.path
        if not one.goes or one.work.is_pinned:
            continue
        try:
            with lock(path) as mine:
                if not mine:
                    continue
                if not path.name.endswith(DELETED):
                    doomed = path.with_name(path.name.removesuffix(PARTIAL) + DELETED)
                    shutil.rmtree(doomed, ignore_errors=True)
                    path.rename(doomed)
                    path = doomed
                for name in (IDENTITY, one.work.kind.facts):
                    (path / name).unlink(missing_ok=True)
                shutil.rmtree(path)
        except OSError as error:
            raise RunError(f"Cannot delete {path}: {error.strerror or error}.") from error
        gone.append(one.work.path)
    return gone


def _works(root: Path) -> Iterator[Work]:
    for place, folders, files in os.walk(root):  # it follows no links, which may lead anywhere
        path = Path(place)
        # A folder that holds nothing of a run is none of ours.
        kind = kind_of(path) if IDENTITY in files and not (path / IDENTITY).is_symlink() else None
        if kind is None and path.name.endswith(DELETED):
            kind = KINDS[-1]
        if kind is not None:
            folders.clear()
            yield Work(path, kind)


def _kept(group: Sequence[Work], rules: Rules, now: float) -> Iterator[tuple[Work, str]]:
    """The complete ones of one kind and experiment that stay, each with the reason. `group` is oldest first."""
    newest = list(reversed(group))
    best = sorted(newest, key=lambda work: work.score, reverse=True)
    for work in group:
        if work.is_pinned:
            yield work, "pinned"
        elif work is newest[0]:
            yield work, "the newest"
        elif not work.is_free:
            yield work, "at work"
        elif not rules.of_complete_runs:
            yield work, "no rule given"
        elif rules.older_than_days is not None and now - work.modified < rules.older_than_days * DAY:
            yield work, f"younger than {rules.older_than_days:g} days"
        elif rules.keep_newest is not None and newest.index(work) < rules.keep_newest:
            yield work, f"among the {rules.keep_newest} newest"
        elif rules.keep_best is not None and best.index(work) < rules.keep_best:
            yield work, f"among the {rules.keep_best} best"


def _unfinished(work: Work, rules: Rules) -> str | None:
    if not work.is_free:
        return "at work"
    if work.is_pinned:
        return "pinned"
    if rules.partial:
        return None
    if work.path.name.endswith(DELETED):
        return "half deleted; --partial removes the rest"
    return "not finished; --partial removes it, resume=true goes on with it"
