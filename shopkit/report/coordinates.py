"""Parallel coordinates as inline SVG: an upright axis for each setting, a line for each trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

SPACING, TOP, TALL = 150.0, 34.0, 220.0


@dataclass(frozen=True)
class Spoke:
    """One axis."""

    label: str
    place: Callable[[Any], float]
    """A value → where it stands, 0 (bottom) to 1."""
    ticks: Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Line:
    """One trial."""

    places: Sequence[float]
    """Where it crosses each axis."""
    rank: float
    """1 for the best, 0 for the worst: better ones are drawn stronger, and over the others."""
    title: str


def parallel_coordinates(label: str, spokes: Sequence[Spoke], lines: Sequence[Line]) -> str:
    """The whole picture."""
    width = SPACING * (len(spokes) - 1) + 150.0
    xs = [60.0 + SPACING * i for i in range(len(spokes))]
    parts = []
    for line in sorted(lines, key=lambda line: line.rank):
        points = [(x, TOP + TALL * (1 - place)) for x, place in zip(xs, line.places, strict=True)]
        is_best = line.rank == 1
        style = f"stroke-opacity:{1 if is_best else 0.12 + 0.45 * line.rank**2:.2f};stroke-width:{3 if is_best else 1.4}"
        path = f"M{points[0][0]:.1f},{points[0][1]:.1f}"
        for (x0, y0), (x1, y1) in pairwise(points):
            middle = (x0 + x1) / 2
            path += f"C{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f}"
        series = 1 if is_best else 0
        parts.append(f'<path class="line s{series}" style="{style}" d="{path}"><title>{escape(line.title)}</title></path>')
    for i, (x, spoke) in enumerate(zip(xs, spokes, strict=True)):
        parts.append(f'<path class="axis" d="M{x:.1f},{TOP:.1f}V{TOP + TALL:.1f}"/>')
        # Neighbours' names at two heights, so that long ones do not run into each other.
        parts.append(
            f'<text class="name" x="{x:.1f}" y="{14 if i % 2 == 0 else 26}" text-anchor="middle">{escape(spoke.label)}</text>'
        )
        for at, text in spoke.ticks:
            y = TOP + TALL * (1 - at)
            parts.append(f'<text x="{x + 5:.1f}" y="{y + 4:.1f}">{escape(text)}</text>')
    return (
        f'<svg class="chart" style="max-width:none;min-width:{width * 0.75:.0f}px" viewBox="0 0 {width:g} {TOP + TALL + 14:g}" '
        f'role="img" aria-label="{escape(label)}">'
        f"<title>{escape(label)}</title>{''.join(parts)}</svg>"
    )
