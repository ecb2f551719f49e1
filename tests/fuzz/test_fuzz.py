"""Broken bytes end in a message of shopkit's, never in a crash: run with `pytest -m fuzz`, for longer with FUZZ_SECONDS=600."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from tests.fuzz.worker import WAYS, case, mutated

SECONDS = float(os.environ.get("FUZZ_SECONDS", "30"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))


@pytest.mark.fuzz
@pytest.mark.parametrize("way", WAYS)
def test_broken_bytes(way: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.worker", way, str(SECONDS), str(SEED), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    seed = (tmp_path / "seed").read_text()
    assert done.returncode == 0, f"seed {seed}, exit code {done.returncode}\n{done.stderr[-3000:]}"
    print(done.stdout)


@pytest.mark.fuzz
@pytest.mark.skipif(util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize("way", WAYS)
def test_broken_bytes_guided_by_coverage(way: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.guided", way, str(tmp_path), f"-max_total_time={int(SECONDS)}", f"-seed={SEED + 1}"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
    assert "DONE" in done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_a_few_cases(way: str, tmp_path: Path) -> None:
    """What the long run does, for so short a time that every test run has it."""
    from shopkit.errors import ShopkitError

    n_refused = 0
    for seed in range(8):
        try:
            case(WAYS[way], seed, tmp_path)
        except ShopkitError:
            n_refused += 1
    assert n_refused


def test_a_seed_makes_one_case() -> None:
    assert mutated(b"abc" * 20, random.Random(3)) == mutated(b"abc" * 20, random.Random(3))
    assert len({mutated(b"abc" * 20, random.Random(seed)) for seed in range(50)}) > 25
