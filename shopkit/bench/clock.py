"""Contestants that take turns: what disturbs the machine disturbs all of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

Call = Callable[[], Any]
Prepare = Callable[[int, int], Call]

TURN_SECONDS = 0.005
"""Of one contestant, before the next: many calls of a fast one, one of a slow one."""
LEAST_CALLS = 3
CALLS_OF_P99 = 100
"""Of so many calls one is slower than the 99th percentile."""


@dataclass(frozen=True)
class Contestant:
    """One way from rows to answers."""

    name: str
    what: str
    """In a sentence, for those who read the table."""
    takes: str
    """What a call starts from: `arrays`, `DataFrame` or `tensors`. Only like can be compared with like."""
    prepare: Prepare
    """Rows, threads → the call to be timed. Raises `CannotError` where there is no such call."""


@dataclass(frozen=True)
class LeftOut:
    """A contestant that does not take part, or not with so many rows."""

    name: str
    why: str
    rows: int = 0
    """0 is any number."""


class CannotError(Exception):
    """A contestant cannot take part, for a reason that people are told."""


def take_turns(
    calls: Mapping[str, Call], seconds: float, timer: Callable[[], float] = time.perf_counter
) -> dict[str, np.ndarray]:
    """Seconds of every call of each, float64 (n_calls,); all are given about equally much of the time.

    Args:
        seconds: for all of them together; slow ones may take longer, as each is called a few times.
        timer: what is read before and after a call; `time.thread_time` where a busy machine must not count, and one thread works.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    if not calls:
        return {}
    stop = time.perf_counter() + seconds
    with _no_collecting():
        while True:
            for name in names:
                call, times = calls[name], found[name]
                end = time.perf_counter() + TURN_SECONDS
                while True:
                    start = timer()
                    call()
                    times.append(timer() - start)
                    if time.perf_counter() >= end:
                        break
            if time.perf_counter() >= stop and min(map(len, found.values())) >= LEAST_CALLS:
                return {name: np.array(times) for name, times in found.items()}
            # Everyone comes after everyone else in turn.
            names = [*names[1:], names[0]]


@contextmanager
def _no_collecting() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def summary(times: np.ndarray, n_rows: int) -> dict[str, Any]:
    """What is told of the calls of one contestant; `low_ms` and `high_ms` are the middle half of them. Too few calls
    have no 99th percentile."""
    milliseconds = times * 1e3
    low, median, high, slow = np.quantile(milliseconds, (0.25, 0.5, 0.75, 0.99))
    return {
        "n_calls": len(times),
        "p50_ms": float(median),
        "p99_ms": float(slow) if len(times) >= CALLS_OF_P99 else None,
        "low_ms": float(low),
        "high_ms": float(high),
        "rows_per_second": n_rows / float(median) * 1e3,
    }
