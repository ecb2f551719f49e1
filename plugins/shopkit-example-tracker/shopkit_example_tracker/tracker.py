"""Writing the log."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import warnings
from pathlib import Path
from typing import Any, Literal

from shopkit.runs import Run, read_json

from shopkit_example_tracker.settings import FILE_VARIABLE, TrackerSettings

Event = Literal["started", "finished"]
N_HEADLINE = 3
"""Metrics kept of a run: the first of the task's, which are in print order."""


def track(event: Event, run: Run, settings: TrackerSettings | None = None) -> None:
    """Append one line for an event of a run.

    A run must never be lost to its log: what goes wrong with the log becomes a warning.
    """
    path = (settings or TrackerSettings.from_environment()).path
    if path is None:
        return
    try:
        append(path, line(event, run))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        warnings.warn(
            f"The run log {path} has no line for this run ({event}): {type(error).__name__}: {error}. "
            f"Set {FILE_VARIABLE} to a file that can be written, or to nothing to keep no log.",
            RuntimeWarning,
            stacklevel=2,
        )


def line(event: Event, run: Run) -> dict[str, Any]:
    """What is logged: `time`, `event`, `experiment`, `identity`, `folder` and, when finished, `metrics` of the test part."""
    found = {
        "time": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "event": event,
        "experiment": _experiment(run),
        "identity": read_json(run.path / "identity.json")["identity"],
        "folder": str(run.path.resolve()),
    }
    if event == "finished":
        found["metrics"] = headline(run.metrics)
    return found


def headline(metrics: dict[str, Any]) -> dict[str, float | None]:
    """The first metrics of the test part; NaN, which JSON does not have, is null."""
    test = list(metrics["metrics"]["test"].items())[:N_HEADLINE]
    return {name: found["value"] if _is_finite(found["value"]) else None for name, found in test}


def _is_finite(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _experiment(run: Run) -> str:
    from omegaconf import OmegaConf

    return str(OmegaConf.select(OmegaConf.load(run.config_path), "name"))


def append(path: Path, data: dict[str, Any]) -> None:
    """Add one line in a single write, so that lines of runs side by side stay whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
