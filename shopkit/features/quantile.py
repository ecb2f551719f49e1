"""Ranks among the training values, as normal or uniform scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
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


class Quantile(NumberExtractor):
    """Interpolated rank of x among training quantiles, mapped to a standard normal (or left uniform, 0 to 1).

    As scikit-learn's `QuantileTransformer`: a value that fills several quantiles gets the middle of their ranks. The normal
    score is interpolated between knots, which are added in the tails where it bends.
    """

    name = "quantile"

    def learn(self, values: ir.Column, context: FitContext) -> State:
        ranks = np.linspace(0, 1, self.settings.n_quantiles)
        knots = quantiles(values, ranks.tolist(), context).astype(np.float32)
        return {"ranks": ranks[: len(knots)], "knots": knots.astype(np.float64)}

    def encode(self, x: ndx.Array, states: Sequence[State]) -> ndx.Array:
        score = normal_score if self.settings.output == "normal" else float
        found = [segments(state, score) for state in states]
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


def segments(state: State, score: Callable[[float], float]) -> tuple[np.ndarray, np.ndarray]:
    """The score's pieces: ascending edges (E,), and (E + 1, 3) rows (low, slope, score there): score + slope · (x − low)."""
    ranks, knots = state["ranks"], state["knots"]
    if len(knots) == 0:
        return np.array([]), np.zeros((1, 3))
    values = np.unique(knots)
    first = ranks[np.searchsorted(knots, values, "left")]
    last = ranks[np.searchsorted(knots, values, "right") - 1]
    middle = (first + last) / 2
    middle[-1], middle[0] = 1.0, 0.0
    edges: list[float] = []
    rows = [(0.0, 0.0, score(0.0))]  # below the lowest knot

    def piece(low: float, slope: float, start: float) -> None:
        edges.append(low)
        rows.append((low, slope, start))

    for at, value in enumerate(values):
        low = value
        if at == 0 or first[at] < middle[at] < last[at]:  # the value itself has another rank than its neighbours
            piece(value, 0.0, score(middle[at]))
            low = float(np.nextafter(np.float32(value), np.float32(np.inf)))
        if at + 1 == len(values):
            piece(low, 0.0, score(1.0))
            break
        span, rise = values[at + 1] - low, first[at + 1] - last[at]
        steps = subdivided(last[at], first[at + 1])
        places = [float(np.float32(low + span * (step - last[at]) / rise)) for step in steps]
        for (start, place), (end, next_place) in pairwise(zip(steps, places, strict=True)):
            if place < next_place:
                piece(place, (score(end) - score(start)) / (next_place - place), score(start))
    return np.array(edges), np.array(rows)


def subdivided(low: float, high: float) -> list[float]:
    """Ranks from low to high, halving towards 0 and 1 in the outermost intervals."""
    steps = {low, high}
    if low == 0.0:
        steps |= {high * 0.5**k for k in range(1, 24) if high * 0.5**k > SMALLEST_RANK}
    if high == 1.0:
        steps |= {1 - (1 - low) * 0.5**k for k in range(1, 24) if (1 - low) * 0.5**k > SMALLEST_RANK}
    return sorted(steps)
