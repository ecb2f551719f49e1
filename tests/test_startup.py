"""What answers at once loads nothing heavy. Each case is a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "pytorch_lightning",
    "torchmetrics",
    "pandas",
    "ibis",
    "duckdb",
    "pyarrow",
    "onnxruntime",
    "onnx",
    "sklearn",
    "rich",
)

PROBE = """
import sys
from shopkit.cli import main
code = main(sys.argv[1:])
print("loaded:", *(name for name in {heavy!r} if name in sys.modules))
sys.exit(code)
"""


def run(*arguments: str, code: str = PROBE) -> tuple[int, str, str]:
    """Exit code, the heavy modules that were loaded, standard error."""
    command = [sys.executable, "-c", code.format(heavy=(*HEAVY, "hydra", "numpy", "shopkit.runs")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()[-1].removeprefix("loaded:").strip(), done.stderr


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["list"], ["list", "models"], ["describe", "model", "mlp"], ["run", "--help"]]
)
def test_what_only_prints_loads_not_even_hydra(arguments: list[str]) -> None:
    assert run(*arguments) == (0, "", "")


@pytest.mark.parametrize("override", ["model.hiden=3", "model=mpl", "model.members=two"])
def test_a_misspelt_override_is_answered_before_hydra_is_loaded(override: str) -> None:
    code, loaded, err = run("run", "+experiment=purchase_intent", override)
    assert (code, loaded) == (2, "")
    assert err.startswith(f"Error: command line: {override}: ")


def test_a_value_out_of_range_is_answered_before_hydra_is_loaded() -> None:
    code, loaded, err = run("run", "+experiment=purchase_intent", "model.dropout=2")
    assert (code, loaded) == (2, "")
    assert err == "Error: command line: model.dropout=2: model.dropout is 2; it must be from 0 to below 1.\n"


def test_importing_shopkit_loads_nothing() -> None:
    code = "import sys, shopkit\nprint('loaded:', *(name for name in {heavy!r} if name in sys.modules))"
    assert run(code=code) == (0, "", "")


def test_composing_an_experiment_loads_nothing_heavier_than_hydra() -> None:
    code = (
        "import sys\nfrom shopkit.config import compose\ncompose('purchase_intent')\n"
        "print('loaded:', *(name for name in {heavy!r} if name in sys.modules))"
    )
    assert run(code=code) == (0, "hydra", "")
