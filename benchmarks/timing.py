"""What the speed benchmarks share: a session as shopkit opens one, and medians of calls that take turns."""

from __future__ import annotations

import re
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


def medians(
    contestants: Mapping[str, Callable[[], Any]], seconds: float, spread: dict[str, Any], warm_up: int = 10
) -> dict[str, float]:
    """Median microseconds of a call of each, taking turns for about so many seconds; the middle half of them goes to `spread`."""
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
    found = {}
    for name, of_one in times.items():
        low, found[name], high = (float(value) * 1e6 for value in np.quantile(of_one, (0.25, 0.5, 0.75)))
        spread[name] = {"low": low, "high": high}
    return found


AIM = re.compile(r"\bat (least|most) ([\d.]+)")


def missed(result: Any) -> list[str]:
    """Where a result falls short: its figures whose names state an aim that they miss, e.g. `… (at least 4)`, and its parts
    that say of themselves that what was aimed at is not `reached`."""
    found = []
    for name, value in result.items() if isinstance(result, Mapping) else ():
        if isinstance(value, Mapping):
            found += [f"{name}, {inner}" if inner == "reached" else inner for inner in missed(value)]
        elif name == "reached" and value is False:
            found.append(name)
        elif isinstance(value, (int, float)) and (aim := AIM.search(name)):
            found += [f"{name}: {value:.2f}"] * (value < float(aim[2]) if aim[1] == "least" else value > float(aim[2]))
    return found


def of_this_machine(*packages: str) -> dict[str, Any]:
    """What figures were taken on, for their JSON."""
    from shopkit.bench.measure import machine

    found = machine()
    versions = {package: version(package) for package in packages}
    return {key: found[key] for key in ("processor", "cores", "system", "python")} | versions
