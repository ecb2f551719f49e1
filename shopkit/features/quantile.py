"""Ranks among the training values, as normal or uniform scores."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import ibis.expr.types as ir
import ndonnx as ndx
import numpy as np

from shopkit.features import traced
from shopkit.features.aggregates import quantiles
from shopkit.features.base import FitContext, State
from shopkit.features.number import NumberExtractor
from shopkit.features.search import segment

SMALLEST_RANK = 1e-7
"""Ranks are kept this far from 0 and 1, where the normal score would be infinite (as scikit-learn does)."""

NORMAL_TOLERANCE, UNIFORM_TOLERANCE = 0.01, 0.002
"""Neighbouring knots on one line this close become one piece: below the sampling error of the quantiles themselves, and a
search through fewer pieces is faster."""


class Quantile(NumberExtractor):
    """Interpolated rank of x among training quantiles, mapped to a standard normal (or left uniform, 0 to 1).

    As scikit-learn's `QuantileTransformer`: a value that fills several quantiles gets the middle of their ranks. The normal
    score is interpolated between knots, which are added in the tails where it bends.
    """

    name = "quantile"
    tolerance = 0.01  # of the normal score between knots

    def learn(self, values: ir.Column, context: FitContext) -> State:
        ranks = np.linspace(0, 1, self.settings.n_quantiles)
        knots = quantiles(values, ranks.tolist(), context).astype(np.float32)
        return {"ranks": ranks[: len(knots)], "knots": knots.astype(np.float64)}

    def encode(self, x: ndx.Array, states: Sequence[State]) -> ndx.Array:
        found = [segments(state, self.settings.output == "normal") for state in states]
        x = traced.float32(x)
        low, slope, start = segment(x, [edges for edges, _ in found], [table for _, table in found])
        return (x - low) * slope + start

    def encode_reference(self, values: np.ndarray, state: State) -> np.ndarray:
        ranks, knots = state["ranks"], state["knots"]
        if len(knots) == 0:
            return np.zeros((len(values), 1))
        upper = np.interp(values, knots, ranks)
        lower = -np.interp(-values, -knots[::-1], -ranks[::-1])
        u = (upper + lower) / 2
        u = np.where(values <= knots[0], 0.0, np.where(values >= knots[-1], 1.0, u))
        return (np.array([normal_score(rank) for rank in u]) if self.settings.output == "normal" else u)[:, None]


def normal_score(rank: float) -> float:
    return NormalDist().inv_cdf(min(max(rank, SMALLEST_RANK), 1 - SMALLEST_RANK))


def segments(state: State, normal: bool) -> tuple[np.ndarray, np.ndarray]:
    """The score's pieces: ascending edges (E,), and (E + 1, 3) rows (low, slope, score there): score + slope · (x − low)."""
    ranks, knots = state["ranks"], state["knots"]
    if len(knots) == 0:
        return np.array([]), np.zeros((1, 3))
    score, tolerance = (normal_score, NORMAL_TOLERANCE) if normal else (float, UNIFORM_TOLERANCE)
    values = np.unique(knots)
    first = ranks[np.searchsorted(knots, values, "left")]
    last = ranks[np.searchsorted(knots, values, "right") - 1]
    rows = [(0.0, 0.0, score(0.0)), (values[0], 0.0, score(0.0))]  # below the lowest knot, and at it
    run = [(after(values[0]), score(last[0]))]  # vertices since the last jump
    for at, value in enumerate(values[1:], start=1):
        (low, _), rank = run[-1], last[at - 1]
        steps = subdivided(rank, first[at])[1:]
        run += [(low + (value - low) * (step - rank) / (first[at] - rank), score(step)) for step in steps]
        if first[at] < last[at] < 1.0:  # a tie: the value itself has the middle rank, its neighbours those beside it
            rows += [*lines(run, tolerance), (value, 0.0, score((first[at] + last[at]) / 2))]
            run = [(after(value), score(last[at]))]
    rows += [*lines(run, tolerance), (run[-1][0], 0.0, score(1.0))]
    table = np.array(rows)
    return table[1:, 0].copy(), table


def after(value: float) -> float:
    """The next float32."""
    return float(np.nextafter(np.float32(value), np.float32(np.inf)))


def lines(vertices: list[tuple[float, float]], tolerance: float) -> list[tuple[float, float, float]]:
    """Few straight pieces (low, slope, score) through a run of vertices (x, score), each vertex within the tolerance."""
    x, y = np.array(vertices, np.float64).T
    x = x.astype(np.float32).astype(np.float64)
    told_apart = np.append(np.diff(x) > 0, True)
    x, y = x[told_apart], y[told_apart]
    pieces = []
    start = 0
    while start + 1 < len(x):
        end = start + 1
        for candidate in range(start + 2, len(x)):
            inner = slice(start + 1, candidate)
            slope = (y[candidate] - y[start]) / (x[candidate] - x[start])
            if np.abs(y[start] + slope * (x[inner] - x[start]) - y[inner]).max() > tolerance:
                break
            end = candidate
        pieces.append((x[start], (y[end] - y[start]) / (x[end] - x[start]), y[start]))
        start = end
    return pieces


def subdivided(low: float, high: float) -> list[float]:
    """Ranks from low to high, halving towards 0 and 1 in the outermost intervals."""
    steps = {low, high}
    if low == 0.0:
        steps |= {high * 0.5**k for k in range(1, 24) if high * 0.5**k > SMALLEST_RANK}
    if high == 1.0:
        steps |= {1 - (1 - low) * 0.5**k for k in range(1, 24) if (1 - low) * 0.5**k > SMALLEST_RANK}
    return sorted(steps)
