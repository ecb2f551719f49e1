"""What the speed benchmarks share: a session as shopkit opens one, and medians of calls that take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import onnxruntime as ort


def session(model: bytes, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def medians(contestants: Mapping[str, Callable[[], Any]], seconds: float, warm_up: int = 10) -> dict[str, float]:
    """Median microseconds of a call of each, taking turns for about so many seconds."""
    for call in contestants.values():
        for _ in range(warm_up):
            call()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        for name, call in contestants.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(of_one)) * 1e6 for name, of_one in times.items()}


def of_this_machine(*packages: str) -> dict[str, Any]:
    """What figures were taken on, for their JSON."""
    from shopkit.bench.measure import machine

    found = machine()
    versions = {package: version(package) for package in packages}
    return {key: found[key] for key in ("processor", "cores", "system", "python")} | versions
