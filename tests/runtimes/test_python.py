"""The exported file in Python with onnxruntime and numpy alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.runtimes.conftest import HERE, Case, compare
from tests.runtimes.families import EVERY

pytestmark = pytest.mark.runtimes


@pytest.mark.parametrize("family", EVERY)
def test_bare_onnxruntime_gives_the_same_answers(family: str, case: Callable[[str], Case]) -> None:
    asked = case(family)
    command = [sys.executable, "-I", HERE / "bare.py", asked.run.model_path, asked.path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    compare(json.loads(done.stdout), asked.expected, 1e-6)
