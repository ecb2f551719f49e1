"""The calls that the documents show, each run as it is written, on a file with the columns `price` and `color`."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shopkit.runtime import Predictor
from tests.handmade import exported_file
from tests.runtimes.conftest import MODULES, absent

pytestmark = pytest.mark.runtimes

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/runtimes.md")
INCLUDE = "ONNXRUNTIME_INCLUDE"
"""Environment variable with the folder of ONNX Runtime's C++ headers, where the compiler does not find them by itself."""


def blocks(language: str) -> list[str]:
    """Blocks of code that call a file without shopkit."""
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in PAGES]
    found = [body for text in texts for body in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)]
    return sorted({body for body in found if "price" in body and ("InferenceSession" in body or "Ort::Session" in body)})


@pytest.fixture
def expected(tmp_path: Path) -> list[str]:
    answer = Predictor(exported_file(tmp_path))({"price": 3.5, "color": "red"})
    return [f"{answer['probability']:.5f}", answer["label"]]


def said(command: list[object], folder: Path, **environment: str) -> list[str]:
    """What a program prints, its number to five digits."""
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr
    number, *rest = done.stdout.split()
    return [f"{float(number):.5f}", *rest]


@pytest.mark.parametrize("code", blocks("python"))
def test_python(code: str, expected: list[str], tmp_path: Path) -> None:
    assert said([sys.executable, "-I", "-c", code], tmp_path) == expected


@pytest.mark.parametrize("code", blocks("js"))
def test_javascript(code: str, expected: list[str], tmp_path: Path, node: list[str]) -> None:
    (tmp_path / "call.mjs").write_text(code, encoding="utf-8")
    (tmp_path / "node_modules").symlink_to(MODULES)
    assert said([*node, "call.mjs"], tmp_path) == expected


@pytest.mark.parametrize("code", blocks("cpp"))
def test_cpp(code: str, expected: list[str], tmp_path: Path) -> None:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        absent("cpp", "there is no C++ compiler")
    include = [f"-I{os.environ[INCLUDE]}"] if INCLUDE in os.environ else []
    probe = [compiler, *include, "-E", "-include", "onnxruntime_cxx_api.h", "-x", "c++", os.devnull]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        absent("cpp", f"ONNX Runtime's C++ headers are not installed; {INCLUDE} may name their folder")
    spec = importlib.util.find_spec("onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    library = next(Path(spec.origin).parent.glob("capi/libonnxruntime.so*"), None)
    if library is None:
        absent("cpp", "onnxruntime's Python package holds no shared library here")
    (tmp_path / "libonnxruntime.so.1").symlink_to(library)
    (tmp_path / "call.cpp").write_text(code, encoding="utf-8")
    build = [compiler, "-std=c++17", *include, "call.cpp", "libonnxruntime.so.1", "-o", "call"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert said([tmp_path / "call"], tmp_path, LD_LIBRARY_PATH=str(tmp_path)) == expected[:1]


def test_each_language_is_shown() -> None:
    assert all(blocks(language) for language in ("python", "js", "cpp"))
