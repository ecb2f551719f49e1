"""A few of the kills that `python -m tests.kills` makes at length, of every kind of work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kills import KINDS


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_killed_ends_as_what_was_not(kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.kills", "3", "--what", kind],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 killed and identical" in done.stdout
