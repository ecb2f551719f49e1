"""What `shopkit bench` left in `bench.json`, as a table, a picture and words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shopkit.report.figures import Figure, Key, figure
from shopkit.report.formats import DASH, count, duration
from shopkit.report.svg import Axis, Chart

Plain = Mapping[str, Any]

DRAWN = ("model.onnx", "Predictor", "pandas + eager torch", "scikit-learn", "eager torch", "bare model")
"""Drawn first, then exports; the plot has six lines at most."""
NOT_DRAWN = ("feeding floor", "features alone")
MOST_LINES = 6


@dataclass(frozen=True)
class Line:
    """One contestant of the table, as text."""

    name: str
    what: str
    takes: str
    cells: tuple[str, ...]
    """Median and 99th percentile, by size."""
    fastest: str
    """Rows a second at the size where they are most."""


def table(bench: Plain, threads: int = 1) -> list[Line]:
    """A line for each contestant that was measured with so many threads, the file first."""
    sizes = sizes_of(bench)
    found = []
    for one in bench.get("contestants") or []:
        times = _times(bench, one["name"], threads)
        if times:
            cells = tuple(_cell(times[n_rows]) if n_rows in times else DASH for n_rows in sizes)
            most = max(float(time["rows_per_second"]) for time in times.values())
            found.append(Line(one["name"], one["what"], one["takes"], cells, count(float(f"{most:.3g}"))))
    return found


def _cell(time: Plain) -> str:
    """Median and 99th percentile; of few calls their number in its stead."""
    slow = f"{DASH} ({time['n_calls']} calls)" if time["p99_ms"] is None else duration(time["p99_ms"] / 1e3)
    return f"{duration(time['p50_ms'] / 1e3)} / {slow}"


def sizes_of(bench: Plain) -> list[int]:
    return sorted({int(one["rows"]) for one in bench.get("timings") or []})


def threads_of(bench: Plain) -> list[int]:
    return sorted({int(one["threads"]) for one in bench.get("timings") or []})


def _times(bench: Plain, name: str, threads: int) -> dict[int, Plain]:
    found = [one for one in bench.get("timings") or [] if one["name"] == name and one["threads"] == threads]
    return {int(one["rows"]): one for one in found}


def left_out(bench: Plain) -> list[str]:
    """Who did not take part, and why, a sentence each."""
    found = []
    for one in bench.get("left_out") or []:
        where = f" at {count(one['rows'])} rows" if one.get("rows") else ""
        found.append(f"{one['name']}{where}: {one['why']}")
    return found


def picture(bench: Plain) -> Figure | None:
    """Time of a call by its rows, on logarithmic scales; None where fewer than two sizes were measured."""
    sizes = sizes_of(bench)
    if len(sizes) < 2:
        return None
    names = [one["name"] for one in bench["contestants"] if one["name"] not in NOT_DRAWN]
    chosen = sorted(names, key=lambda name: DRAWN.index(name) if name in DRAWN else len(DRAWN))[:MOST_LINES]
    lines = {name: {n: float(t["p50_ms"]) for n, t in _times(bench, name, 1).items()} for name in chosen}
    lines = {name: points for name, points in lines.items() if len(points) > 1}
    if not lines:
        return None
    x = Axis("rows in a call", math.log10(sizes[0]), math.log10(sizes[-1]), [math.log10(n) for n in sizes], _number)
    low = math.floor(math.log10(min(min(points.values()) for points in lines.values())))
    high = math.ceil(math.log10(max(max(points.values()) for points in lines.values())))
    y = Axis("time of a call", low, max(high, low + 1), range(low, max(high, low + 1) + 1), _milliseconds)
    chart = Chart("Time of a call by its number of rows", x, y)
    for series, (name, points) in enumerate(lines.items()):
        places = [(math.log10(n), math.log10(time)) for n, time in points.items()]
        titles = [f"{name}, {n:,} rows: {duration(time / 1e3)}" for n, time in points.items()]
        chart.line(places, series, dashed=name == "bare model").dots(places, series, titles, radius=2.5)
    keys = [Key(series, name, name == "bare model") for series, name in enumerate(lines)]
    reading = "Median of calls that took turns, one thread. Both scales are logarithmic: each line up is ten times slower."
    return figure("Speed by rows in a call", reading, chart, *keys)


def _number(value: float) -> str:
    return f"{round(10**value):,}"


def _milliseconds(value: float) -> str:
    return duration(10**value / 1e3).replace(".0", "")


def ratios(bench: Plain) -> list[tuple[str, str]]:
    """How many times as long the others take as the file, at one row and at the most; label and words."""
    sizes = sizes_of(bench)
    found = []
    for name in ("pandas + eager torch", "scikit-learn", "eager torch", "torch.compile"):
        mine = "Predictor" if name in ("pandas + eager torch", "scikit-learn") else "bare model"
        theirs, ours = _times(bench, name, 1), _times(bench, mine, 1)
        words = [
            f"{theirs[n]['p50_ms'] / ours[n]['p50_ms']:,.1f}× at {count(n)} {'row' if n == 1 else 'rows'}"
            for n in (sizes[:1] + sizes[-1:] if len(sizes) > 1 else sizes)
            if n in theirs and n in ours
        ]
        if words:
            what = "from dict or DataFrame" if mine == "Predictor" else "the model alone, from tensors"
            found.append((f"{name} takes ({what})", ", ".join(words)))
    return found
