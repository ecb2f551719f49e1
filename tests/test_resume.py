"""Resuming as a state machine: however often and wherever a run breaks off, it ends as one that was not disturbed."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

import shopkit
from shopkit.errors import RunError
from shopkit.runs import PARTIAL, Run
from shopkit.stages import STAGES, Way
from tests.shop import TABLE, visits

ALL = (*STAGES, "report")
OVERRIDES = [
    *TABLE, "model=linear", "evaluation.baselines=[]", "evaluation.n_bootstrap=2", "evaluation.latency_seconds=0.001",
    "features.ignore=[amount]",
]  # fmt: skip


class BrokenOff(BaseException):
    """As if the process ended here."""


@contextmanager
def breaking(stage: str, when: str) -> Iterator[None]:
    """Break off before a stage, when its results are whole but not marked, or when they are marked."""
    owner, name = (Way, "_stage") if when == "before" else (Run, "finish_stage")
    original: Callable[..., Any] = getattr(owner, name)

    def wrapped(self: Any, given: str, *more: Any) -> None:
        if given == stage and when != "marked":
            raise BrokenOff
        original(self, given, *more)
        if given == stage:
            raise BrokenOff

    setattr(owner, name, wrapped)
    try:
        yield
    finally:
        setattr(owner, name, original)


def run(folder: Path, *more: str) -> Run:
    return shopkit.run(data=visits(150), overrides=[*OVERRIDES, *more], folder=folder / "it")


def hashes(run: Run) -> dict[str, str]:
    run.verify()
    return {name: value for name, value in run.manifest["files"].items() if name != "config.yaml"}


@functools.cache
def undisturbed() -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        return hashes(run(Path(folder)))


class Resuming(RuleBasedStateMachine):
    """States are the stages that are whole; what happens is breaking off, resuming, and trying what is not allowed."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="resume-"))
        self.is_begun = self.is_done = False
        self.whole = 0

    def resume(self) -> tuple[str, ...]:
        return ("resume=true",) if self.is_begun else ()

    @precondition(lambda self: not self.is_done)
    @rule(stage=st.sampled_from(ALL), when=st.sampled_from(["before", "results", "marked"]))
    def break_off(self, stage: str, when: str) -> None:
        is_reached = self.whole <= ALL.index(stage)
        # The stage `before` is asked of finished stages too, as each is looked at again.
        is_reached = is_reached or when == "before"
        with breaking(stage, when):
            try:
                run(self.folder, *self.resume())
                assert not is_reached
                self.is_done = True
            except BrokenOff:
                assert is_reached
        self.is_begun = True

    @precondition(lambda self: self.is_begun and not self.is_done and self.whole > 0)
    @rule()
    def another_run_is_refused(self) -> None:
        with pytest.raises(RunError, match="holds an unfinished run of another configuration"):
            run(self.folder, "seed=1", "resume=true")
        with pytest.raises(RunError, match="holds this run, unfinished"):
            run(self.folder)

    @precondition(lambda self: self.is_done)
    @rule()
    def a_finished_run_is_found(self) -> None:
        assert run(self.folder, "resume=true").path == self.folder / "it"

    @invariant()
    def stages_are_finished_in_order_and_stay_so(self) -> None:
        if not hasattr(self, "folder"):
            return
        (place,) = [*self.folder.iterdir()] or [self.folder / f"it{PARTIAL}"]
        assert place.name == ("it" if self.is_done else f"it{PARTIAL}")
        marked = {path.stem for path in (place / "stages").glob("*.json")}
        assert marked == set(ALL[: len(marked)])
        assert len(marked) >= self.whole
        self.whole = len(marked)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            found = hashes(run(self.folder, "resume=true"))
            shutil.rmtree(self.folder)
            assert found == undisturbed()


def test_resuming() -> None:
    run_state_machine_as_test(
        Resuming, settings=settings(max_examples=3, stateful_step_count=4, deadline=None, suppress_health_check=list(HealthCheck))
    )


@pytest.mark.slow
def test_resuming_at_length() -> None:
    run_state_machine_as_test(
        Resuming,
        settings=settings(max_examples=25, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)),
    )
