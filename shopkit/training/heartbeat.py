"""Signs of life of the machine that the others wait for, in the folder that they share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shopkit.errors import RunError

BEAT_SECONDS = 5.0
"""Between two signs of life."""
SILENCE_SECONDS = 180.0
"""After so long without one the others give up. Network file systems may show a change a minute late."""
POLL_SECONDS = 0.5
"""Between two looks at the folder."""


def _file(folder: Path) -> Path:
    # Beside the folder, which gets its final name while the heart still beats.
    return folder.with_name(f".{folder.name}.alive")


@contextmanager
def heartbeat(folder: Path, nodes: int) -> Iterator[None]:
    """While the block runs, the other machines can see that this one is at work in the folder; with one machine, nothing."""
    if nodes == 1:
        yield
        return
    file, stopped = _file(folder), threading.Event()

    def beat() -> None:
        while not stopped.is_set():
            # What is wrong with the disk, the stages say.
            with suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(str(time.time()))
            stopped.wait(BEAT_SECONDS)

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        yield
    finally:
        stopped.set()
        heart.join()
        with suppress(OSError):
            file.unlink()


def wait_for(is_done: Callable[[], bool], folder: Path) -> None:
    """Wait for what the first machine is to leave in the folder, as long as it gives signs of life.

    Raises:
        RunError: there was none for too long.
    """
    last, since = "", time.monotonic()
    while not is_done():
        if (sign := _sign(folder)) != last:
            last, since = sign, time.monotonic()
        elif time.monotonic() - since > SILENCE_SECONDS:
            raise RunError(
                f"Machine number 0 has given no sign of life beside {folder} for {SILENCE_SECONDS:g} seconds: it has stopped, or "
                "works in another folder. Look at what it said, and start the command on all machines again, with resume=true."
            )
        time.sleep(POLL_SECONDS)


def _sign(folder: Path) -> str:
    try:
        return _file(folder).read_text()
    except OSError:
        return ""
