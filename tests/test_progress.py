"""The line that long work shows on a terminal."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from shopkit import progress


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    out = io.StringIO()
    monkeypatch.setattr(progress, "is_terminal", lambda: True)
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    console = Console(file=out, force_terminal=True, width=70, color_system=None)
    monkeypatch.setattr(progress, "console", lambda: console)
    return out


def lines(out: io.StringIO) -> list[str]:
    return [line.rstrip() for line in re.split(r"[\r\n]|\x1b\[[0-9?;]*[A-Za-z]", out.getvalue()) if line.strip()]


def until(out: io.StringIO, text: str) -> None:
    end = time.monotonic() + 60
    while not any(text in line for line in lines(out)):
        assert time.monotonic() < end, lines(out)
        time.sleep(0.01)


def test_it_says_what_is_done_and_how_far_it_is(terminal: io.StringIO) -> None:
    with progress.stage("evaluate"):
        for number in progress.counted(range(3), "measuring on resamples", 3):
            if number == 2:
                until(terminal, "measuring on resamples  2/3  0:00")
        with progress.inside("baseline linear"), progress.stage("features"):
            progress.doing("writing examples")
            progress.advance(70_000)
            until(terminal, "baseline linear  writing examples  70,000  0:00")
        progress.console().print("a warning")
    assert lines(terminal)[0].startswith("evaluate ")
    assert "a warning" in lines(terminal)
    shown = len(terminal.getvalue())
    progress.doing("nothing more")
    assert len(terminal.getvalue()) == shown


def test_it_gives_way_to_the_bar_of_a_training(terminal: io.StringIO) -> None:
    with progress.stage("train"):
        progress.doing("before")
        until(terminal, "before")
        progress.give_way()
        shown = len(terminal.getvalue())
        progress.doing("meanwhile")
        time.sleep(0.6)
        assert len(terminal.getvalue()) == shown
        progress.come_back()
        progress.doing("after")
        until(terminal, "after")


def test_a_narrow_terminal_cuts_only_the_end(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=terminal, force_terminal=True, width=40, color_system=None)
    monkeypatch.setattr(progress, "console", lambda: console)
    with progress.stage("features"):
        progress.doing("fitting columns of which there are so many", 100)
        until(terminal, "…")
    assert max(map(len, lines(terminal))) <= 40


def test_a_quick_stage_shows_nothing(terminal: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 10.0)
    with progress.stage("split"):
        progress.doing("dealing rows out")
    assert terminal.getvalue() == ""


def test_nothing_is_shown_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    with progress.stage("split"):
        for _ in progress.counted(range(2), "rows", 2):
            time.sleep(0.1)
    assert capsys.readouterr() == ("", "")
