"""What long work says while it goes on: one line on a terminal with the stage, what is being done, and how far that is.

Whoever works says so with `doing`, `advance` and `counted`, wherever that is called from; where no line is shown, as in a pipe, a
log or a test, these do nothing. A line comes only when a stage has taken a while, and goes with it.
"""

from __future__ import annotations

import functools
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

T = TypeVar("T")
PATIENCE_SECONDS = 1.0
"""A stage that takes no longer shows no line."""
BAR_WIDTH = 10


def is_terminal() -> bool:
    return sys.stdout.isatty()


@functools.cache
def console() -> Console:
    """Where lines are shown; what is printed by it meanwhile stands above them."""
    from rich.console import Console

    return Console(highlight=False)


class _Line:
    """Looks at what is being done whenever it is drawn, so that saying so costs nothing more."""

    def __init__(self, stage: str) -> None:
        self.stage, self.inside, self.what = stage, "", ""
        self.done = self.total = 0
        self.since = time.monotonic()
        self._lock = threading.Lock()
        self._live: Live | None = None
        self.begin()

    def begin(self) -> None:
        self._timer = threading.Timer(PATIENCE_SECONDS, self._show)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        with self._lock:
            self._timer.cancel()
            if self._live is not None:
                self._live.stop()
            self._live = None

    def _show(self) -> None:
        from rich.live import Live

        with self._lock:
            if not self._timer.finished.is_set():
                self._live = Live(console=console(), get_renderable=self.render, refresh_per_second=4, transient=True)
                self._live.start()

    def render(self) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        minutes, seconds = divmod(int(time.monotonic() - self.since), 60)
        far = f"{self.done:,}/{self.total:,}" if self.total else f"{self.done:,}" if self.done else ""
        words = (self.inside, self.what, far, f"{minutes}:{seconds:02}")
        said = Text("  ".join(word for word in words if word), no_wrap=True, overflow="ellipsis")
        bar = ProgressBar(self.total or None, min(self.done, self.total), width=BAR_WIDTH, pulse=not self.total)
        row = Table.grid(padding=(0, 1))
        row.add_row(Text(f"{self.stage:9}", "bold", no_wrap=True), bar, said)
        return row


_line: _Line | None = None
"""Of the stage that is going on."""


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Show a line while the block runs, if that takes a while; within another stage, and where there is no terminal, none."""
    global _line
    if _line is not None or not is_terminal():
        yield
        return
    _line = _Line(name)
    try:
        yield
    finally:
        _line.end()
        _line = None


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Name what all that is done in the block is for."""
    line = _line
    if line is not None:
        line.inside = name
    try:
        yield
    finally:
        if line is not None:
            line.inside = ""
        doing("")


def give_way() -> None:
    """Take the line of the stage away, before one of another kind is shown."""
    if _line is not None:
        _line.end()


def come_back() -> None:
    """Show it again, when that is gone."""
    if _line is not None:
        _line.begin()


def doing(what: str, total: int = 0) -> None:
    """Say what comes now.

    Args:
        total: how much of it there is, as `advance` counts; 0 if that is not known.
    """
    if _line is not None:
        _line.what, _line.done, _line.total = what, 0, total


def advance(n: int = 1) -> None:
    """So much more of it is done."""
    if _line is not None:
        _line.done += n


def counted(items: Iterable[T], what: str, total: int, size: Callable[[T], int] = lambda item: 1) -> Iterator[T]:
    """The items, counted as they are done, each for so much as its size."""
    doing(what, total)
    for item in items:
        yield item
        advance(size(item))
    doing("")
