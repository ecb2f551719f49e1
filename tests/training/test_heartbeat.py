"""Machines that wait for another one: as long as it works, and not for ever."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

import shopkit
from shopkit.errors import RunError
from shopkit.training import heartbeat as module
from shopkit.training.heartbeat import heartbeat, wait_for
from tests.shop import TABLE, visits


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("BEAT_SECONDS", 0.05), ("POLL_SECONDS", 0.02), ("SILENCE_SECONDS", 0.5)):
        monkeypatch.setattr(module, name, seconds)


def test_others_wait_for_a_machine_that_takes_long(tmp_path: Path) -> None:
    folder, done = tmp_path / "runs" / "tonight.partial", threading.Event()

    def work() -> None:
        with heartbeat(folder, nodes=2):
            time.sleep(3 * module.SILENCE_SECONDS)
            done.set()

    first = threading.Thread(target=work)
    first.start()
    wait_for(done.is_set, folder)
    first.join()
    assert not list(folder.parent.iterdir())


def test_others_give_up_on_a_machine_that_has_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "tonight.partial"
    with heartbeat(folder, nodes=2):
        time.sleep(0.2)
    start = time.monotonic()
    with pytest.raises(RunError, match=r"Machine number 0 has given no sign of life beside .*tonight\.partial for 0\.5 seconds"):
        wait_for(lambda: False, folder)
    assert time.monotonic() - start < 5


def test_one_machine_leaves_no_signs(tmp_path: Path) -> None:
    with heartbeat(tmp_path / "run", nodes=1):
        assert not list(tmp_path.iterdir())


def test_a_run_without_its_first_machine_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("NODE_RANK", "1"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "29500")):
        monkeypatch.setenv(name, value)
    with pytest.raises(RunError, match="it has stopped, or works in another folder"):
        shopkit.run(data=visits(50), overrides=[*TABLE, "trainer.nodes=2"], folder=tmp_path / "run")
