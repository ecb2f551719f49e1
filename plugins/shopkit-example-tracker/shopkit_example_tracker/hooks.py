"""The two life-cycle hooks. Imported whenever shopkit starts, so nothing heavy is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shopkit import hookimpl

if TYPE_CHECKING:
    from shopkit.runs import Run


@hookimpl
def shopkit_run_started(run: Run) -> None:
    from shopkit_example_tracker.tracker import track

    track("started", run)


@hookimpl
def shopkit_run_finished(run: Run) -> None:
    from shopkit_example_tracker.tracker import track

    track("finished", run)
