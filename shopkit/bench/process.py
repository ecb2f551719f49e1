"""What only a process of its own can tell: how long until the first answer, and how much memory it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shopkit.errors import RunError

_READ = """
import json, sys, time
began = time.perf_counter()
import numpy as np
path, rows = sys.argv[1:]
def feed(name):
    with np.load(f"{rows}/{name}.npz") as stored:
        return {key: values.astype(object) if values.dtype.kind == "U" else values for key, values in stored.items()}
"""
_TELL = """
print(json.dumps({"loaded": loaded, "answered": time.perf_counter() - began}), flush=True)
def peak():
    try:
        text = open("/proc/self/status").read()
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(text.split("VmHWM:")[1].split()[0]) * 1024
"""
_MEMORY = """
memory = {"one row": peak()}
session.run(None, feed("many"))
memory["many rows"] = peak()
print(json.dumps(memory), flush=True)
"""

SHOPKIT = f"""{_READ}
from shopkit.runtime import Predictor
start = time.perf_counter()
session = Predictor(path).session
loaded = time.perf_counter() - start
session.run(None, feed("one"))
{_TELL}{_MEMORY}"""
BARE = f"""{_READ}
import onnxruntime
start = time.perf_counter()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
loaded = time.perf_counter() - start
session.run(None, feed("one"))
{_TELL}{_MEMORY}"""
TORCH = f"""{_READ}
import pandas, torch
loaded = 0.0
{_TELL}
print(json.dumps({{"one row": peak()}}), flush=True)
"""
CONTESTANTS = {
    "shopkit.runtime": (SHOPKIT, "from the start of Python to the first answer of one row"),
    "bare onnxruntime": (BARE, "the same without shopkit, of arrays that are ready"),
    "importing torch and pandas": (TORCH, "before any model is there"),
}


def measure(path: Path, one: Mapping[str, np.ndarray], many: Mapping[str, np.ndarray], repeats: int) -> dict[str, Any]:
    """Cold starts that take turns.

    Args:
        one: the inputs of the graph for one row.
        many: the same for many rows.

    Returns:
        name → `what`, `cold_start_seconds`, `load_seconds` (medians), `cold_starts` (all), `peak_bytes` after one row and after
        many.

    Raises:
        RunError: a process ended without an answer.
    """
    names: Sequence[str] = [name for name in CONTESTANTS if name != "importing torch and pandas" or _has_torch()]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    loads: dict[str, list[float]] = {name: [] for name in names}
    memory: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory(prefix="shopkit-") as folder:
        for name, feed in (("one", one), ("many", many)):
            stored: dict[str, Any] = {key: _storable(values) for key, values in feed.items()}
            np.savez(Path(folder) / f"{name}.npz", **stored)
        for _ in range(max(1, repeats)):
            for name in names:
                first, second, lines = _run(CONTESTANTS[name][0], path, folder)
                seconds[name].append(first)
                loads[name].append(second)
                memory[name] = lines
    return {
        name: {
            "what": CONTESTANTS[name][1],
            "cold_start_seconds": float(np.median(seconds[name])),
            "cold_starts": seconds[name],
            "load_seconds": float(np.median(loads[name])),
            "peak_bytes": memory[name],
        }
        for name in names
    }


def _run(code: str, path: Path, folder: str) -> tuple[float, float, dict[str, int]]:
    """Seconds to the first answer, seconds of loading, and peak memory."""
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), _package_folder())))}
    complaints = Path(folder) / "complaints.txt"
    with complaints.open("w") as errors:
        command = [sys.executable, "-c", code, str(path), folder]
        start = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **paths}) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            answered = time.perf_counter() - start
            rest = process.stdout.read()
    if process.returncode:
        reason = complaints.read_text(encoding="utf-8").strip().splitlines() or ["it does not say why"]
        raise RunError(f"A process that was to answer from {path} ended: {reason[-1]}")
    return answered, float(json.loads(line)["loaded"]), json.loads(rest)


def _package_folder() -> str:
    """Where this shopkit is imported from, which an installation elsewhere must not shadow."""
    return str(Path(__file__).parents[2])


def _storable(values: np.ndarray) -> np.ndarray:
    return values.astype(str) if values.dtype == object else values


def _has_torch() -> bool:
    import importlib.util

    return all(importlib.util.find_spec(name) is not None for name in ("torch", "pandas"))
