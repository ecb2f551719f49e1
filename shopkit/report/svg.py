"""Small charts as inline SVG. Colours are CSS classes, so one picture serves light and dark; equal data give equal bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

from shopkit.report.formats import amount

WIDTH, HEIGHT = 440.0, 300.0
"""Of the view box, in its own units: narrow, so that labels stay readable on a phone."""

Point = tuple[float, float]


def nice_ticks(low: float, high: float, n: int = 5) -> list[float]:
    """About n round numbers (1, 2 or 5 times a power of ten) that cover low to high.

    >>> nice_ticks(0, 1)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    span = (high - low) or abs(high) or 1.0
    raw = span / n
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


@dataclass(frozen=True)
class Axis:
    """One axis: its label with unit, the range it shows, its ticks and how they are written."""

    label: str
    low: float
    high: float
    ticks: Sequence[float]
    write: Callable[[float], str] = amount

    @classmethod
    def over(cls, label: str, values: Iterable[float], write: Callable[[float], str] = amount, zero: bool = False) -> Axis:
        """An axis that covers the values, ending on round numbers."""
        finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
        ticks = nice_ticks(min([*finite, 0.0] if zero else finite), max(finite))
        return cls(label, ticks[0], ticks[-1], ticks, write)


def shares(label: str) -> Axis:
    """An axis of shares, 0 to 100 %."""
    return Axis(label, 0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0), lambda value: f"{value:.0%}")


@dataclass
class Chart:
    """A chart under construction; `svg()` gives its text. Series 0 is the model, the others are what it stands beside."""

    label: str
    """What the picture shows, for those who cannot see it."""
    x: Axis
    y: Axis
    height: float = HEIGHT
    parts: list[str] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Room for the longest number of the y-axis and its label."""
        return 27.0 + 7.2 * max((len(self.y.write(tick)) for tick in self.y.ticks), default=1)

    @property
    def _plot(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the plotting area."""
        return self.left, 12.0, WIDTH - 20.0, self.height - 44.0

    def at(self, x: float, y: float) -> Point:
        """Data to picture coordinates, held within the plotting area."""
        left, top, right, bottom = self._plot
        across = (x - self.x.low) / ((self.x.high - self.x.low) or 1.0)
        up = (y - self.y.low) / ((self.y.high - self.y.low) or 1.0)
        return left + min(max(across, 0.0), 1.0) * (right - left), bottom - min(max(up, 0.0), 1.0) * (bottom - top)

    def _path(self, points: Iterable[Point]) -> str:
        return "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in points if _finite(point)))

    def line(self, points: Sequence[Point], series: int = 0, dashed: bool = False, title: str = "") -> Chart:
        if sum(map(_finite, points)) > 1:
            style = f"line s{series}" + (" dashed" if dashed else "")
            self.parts.append(f'<path class="{style}" d="{self._path(points)}">{_title(title)}</path>')
        return self

    def band(self, lows: Sequence[Point], highs: Sequence[Point], series: int = 0) -> Chart:
        """The area between two lines: an interval."""
        points = [point for point in [*lows, *reversed(highs)] if _finite(point)]
        if len(points) > 3:
            self.parts.append(f'<path class="band f{series}" d="{self._path(points)}Z"/>')
        return self

    def dots(self, points: Iterable[Point], series: int = 0, titles: Sequence[str] = (), radius: float = 3.5) -> Chart:
        for i, point in enumerate(points):
            if _finite(point):
                x, y = self.at(*point)
                title = _title(titles[i]) if i < len(titles) else ""
                self.parts.append(f'<circle class="dot f{series}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">{title}</circle>')
        return self

    def bars(self, edges: Sequence[float], heights: Sequence[float], series: int = 0, titles: Sequence[str] = ()) -> Chart:
        """A histogram: bar i stands from edge i to edge i + 1, on the bottom."""
        for i, height in enumerate(heights):
            if not math.isfinite(height):
                continue
            (x0, base), (x1, top) = self.at(edges[i], max(self.y.low, 0.0)), self.at(edges[i + 1], height)
            upper, tall, gap = min(base, top), abs(base - top), min(1.0, (x1 - x0) / 5)
            shape = f'x="{x0 + gap / 2:.1f}" y="{upper:.1f}" width="{max(x1 - x0 - gap, 0.5):.1f}" height="{tall:.1f}"'
            self.parts.append(f'<rect class="bar f{series}" {shape}>{_title(titles[i]) if i < len(titles) else ""}</rect>')
        return self

    def whisker(self, x: float, low: float, high: float, series: int = 0) -> Chart:
        """A vertical interval."""
        if _finite((low, high)):
            (x0, y0), (_, y1) = self.at(x, low), self.at(x, high)
            self.parts.append(f'<path class="whisker s{series}" d="M{x0:.1f},{y0:.1f}V{y1:.1f}"/>')
        return self

    def upright(self, x: float, label: str) -> Chart:
        """A dashed vertical line with a word at its top."""
        _, top, right, bottom = self._plot
        across, _ = self.at(x, self.y.low)
        side, shift = ("end", -5) if across > (self.left + right) / 2 else ("start", 5)
        self.parts.append(
            f'<path class="guide" d="M{across:.1f},{bottom:.1f}V{top:.1f}"/>'
            f'<text class="note" x="{across + shift:.1f}" y="{top + 10:.1f}" text-anchor="{side}">{escape(label)}</text>'
        )
        return self

    def diagonal(self, start: Point, end: Point) -> Chart:
        """A dashed line of reference: chance, or perfect agreement."""
        self.parts.append(f'<path class="guide" d="{self._path([start, end])}"/>')
        return self

    def heat(self, x_edges: Sequence[float], y_edges: Sequence[float], counts: Sequence[Sequence[float]]) -> Chart:
        """Counts on a grid, `counts[i][j]` at x-bin i and y-bin j, darker for more (on a square-root scale)."""
        most = max((value for row in counts for value in row), default=0) or 1
        for i, row in enumerate(counts):
            for j, value in enumerate(row):
                if value > 0:
                    (x0, y0), (x1, y1) = self.at(x_edges[i], y_edges[j]), self.at(x_edges[i + 1], y_edges[j + 1])
                    shape = f'x="{x0:.1f}" y="{y1:.1f}" width="{x1 - x0:.1f}" height="{y0 - y1:.1f}"'
                    opacity = 0.08 + 0.92 * math.sqrt(value / most)
                    self.parts.append(
                        f'<rect class="f0" {shape} fill-opacity="{opacity:.2f}">{_title(f"{value:,.0f} rows")}</rect>'
                    )
        return self

    def svg(self) -> str:
        """The whole picture."""
        left, top, right, bottom = self._plot
        frame: list[str] = []
        for tick in self.y.ticks:
            _, y = self.at(self.x.low, tick)
            frame.append(f'<path class="grid" d="M{left:.1f},{y:.1f}H{right:.1f}"/>')
            frame.append(f'<text x="{left - 7:.1f}" y="{y + 4:.1f}" text-anchor="end">{escape(self.y.write(tick))}</text>')
        for tick in self.x.ticks:
            x, _ = self.at(tick, self.y.low)
            frame.append(f'<text x="{x:.1f}" y="{bottom + 17:.1f}" text-anchor="middle">{escape(self.x.write(tick))}</text>')
        frame.append(f'<path class="axis" d="M{left:.1f},{bottom:.1f}H{right:.1f}"/>')
        middle = (left + right) / 2
        frame.append(
            f'<text class="name" x="{middle:.1f}" y="{self.height - 6:.1f}" text-anchor="middle">{escape(self.x.label)}</text>'
        )
        across = (top + bottom) / 2
        turned = f'transform="translate(11,{across:.1f}) rotate(-90)"'
        frame.append(f'<text class="name" {turned} text-anchor="middle">{escape(self.y.label)}</text>')
        return (
            f'<svg class="chart" viewBox="0 0 {WIDTH:g} {self.height:g}" role="img" aria-label="{escape(self.label)}">'
            f"<title>{escape(self.label)}</title>{''.join(frame)}{''.join(self.parts)}</svg>"
        )


def _finite(point: Point) -> bool:
    return math.isfinite(point[0]) and math.isfinite(point[1])


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""
