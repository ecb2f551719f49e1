"""The exported file in Node."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from tests.runtimes.conftest import HERE, Case, compare
from tests.runtimes.families import EVERY

pytestmark = pytest.mark.runtimes


@pytest.mark.parametrize("family", EVERY)
def test_onnxruntime_node_gives_the_same_answers(family: str, case: Callable[[str], Case], node: list[str]) -> None:
    asked = case(family)
    done = subprocess.run(
        [*node, HERE / "run.mjs", asked.run.model_path, asked.path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # Python's JSON reads infinities where they stand bare.
    compare(json.loads(done.stdout.replace('"-Infinity"', "-Infinity")), asked.expected)
