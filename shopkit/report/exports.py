"""The files that were exported beside the run's own, as rows of ready text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shopkit.report.formats import decimal, is_number

Plain = Mapping[str, Any]

MOST_METRICS = 2
"""Told of each export, the run's most important first."""


@dataclass(frozen=True)
class Line:
    name: str
    path: str
    bytes: int
    difference: str
    """Largest found on held-out rows."""
    quality: str
    """Metrics of the validation part before and after, or what the exporter tells; empty where exports are equal to the model."""


def lines(exports: Plain, metrics: Plain) -> list[Line]:
    """A line for each export that was kept.

    Args:
        exports: name → what the stage reported.
        metrics: of the run, whose order is that of importance.
    """
    return [
        Line(
            name,
            str(one.get("path", "")),
            int(one.get("size_bytes", 0)),
            _difference(one.get("checks") or {}),
            _quality(one, metrics) or "; ".join(f"{name}: {text}" for name, text in (one.get("told") or {}).items()),
        )
        for name, one in exports.items()
        if "refused" not in one
    ]


def refused(exports: Plain) -> list[tuple[str, str]]:
    """Name and reason of each export that was asked for and not kept."""
    return [(name, str(one["refused"])) for name, one in exports.items() if "refused" in one]


def _difference(checks: Plain) -> str:
    found = [float(value) for value in checks.values() if is_number(value)]
    largest = max(found, default=0.0)
    return f"{largest:.0e}" if largest else "0"


def _quality(one: Plain, metrics: Plain) -> str:
    quality = one.get("quality") or {}
    before, after = quality.get("before") or {}, quality.get("after") or {}
    about = metrics.get("about") or {}
    order = [name for name in (metrics.get("metrics") or {}).get("test") or before if name in before and name in after]
    words = [
        f"{(about.get(name) or {}).get('title', name)} {decimal(before[name], 4)} → {decimal(after[name], 4)}"
        for name in order[:MOST_METRICS]
    ]
    return ", ".join(words)
