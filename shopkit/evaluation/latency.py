"""How long the exported file takes to answer, and how large it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from shopkit.evaluation.settings import EvaluationSettings
from shopkit.runtime.artifact import open_session

Feed = dict[str, np.ndarray]
"""Inputs of the graph, by name."""

WARM_UP = 3
"""Calls before the clock counts: the first ones allocate."""

MOST_CALLS = 2000


def measure_latency(path: Path, feeds: Callable[[int], list[Feed]], settings: EvaluationSettings) -> dict[str, Any]:
    """Time ONNX Runtime on one thread, from numpy columns to outputs.

    Not part of `evaluate`: no two measurements are equal, and metrics of the same run must be.

    Args:
        path: the exported file.
        feeds: number of rows → the inputs of the graph for as many, block by block.
        settings: batch sizes and the time to spend on each.

    Returns:
        `{"file_bytes", "provider", "threads", "runtime", "batches": [{"rows", "n_calls", "median_ms", "low_ms", "high_ms",
        "rows_per_second"}]}`, where low and high are the 5th and 95th percentile of the calls.

    Raises:
        ArtifactError: the file cannot be loaded.
    """
    session = open_session(path)
    batches = []
    for size in settings.latency_batch_sizes:
        seconds = _time_calls(session, feeds(size), settings.latency_seconds) * 1000
        median = float(np.median(seconds))
        batches.append(
            {
                "rows": int(size),
                "n_calls": len(seconds),
                "median_ms": median,
                "low_ms": float(np.quantile(seconds, 0.05)),
                "high_ms": float(np.quantile(seconds, 0.95)),
                "rows_per_second": size / median * 1000,
            }
        )
    return {
        "file_bytes": Path(path).stat().st_size,
        "provider": session.get_providers()[0],
        "threads": 1,
        "runtime": f"onnxruntime {ort.__version__}",
        "batches": batches,
    }


def _time_calls(session: ort.InferenceSession, feeds: Sequence[Feed], budget_seconds: float) -> np.ndarray:
    """Seconds that all feeds take, one after the other, each time; float64 (n_calls,)."""
    for feed in [*feeds] * WARM_UP:
        session.run(None, feed)
    found: list[float] = []
    begin = time.perf_counter()
    while len(found) < MOST_CALLS and (not found or time.perf_counter() - begin < budget_seconds):
        start = time.perf_counter()
        for feed in feeds:
            session.run(None, feed)
        found.append(time.perf_counter() - start)
    return np.array(found)
