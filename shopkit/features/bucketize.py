"""Bins of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import ndonnx as ndx
import numpy as np

from shopkit.features import traced
from shopkit.features.aggregates import answers, present, quantiles
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FitContext, State
from shopkit.schema import Kind


class Bucketize(Extractor):
    """The bin a number falls into, as an id or one-hot. A value equal to an edge falls into the upper bin."""

    accepts: ClassVar[tuple[Kind, ...]] = ("number",)

    def fit(self, column: str, context: FitContext) -> State:
        return {"edges": np.unique(self._edges(column, context).astype(np.float32)).astype(np.float64)}

    def _edges(self, column: str, context: FitContext) -> np.ndarray:
        if self.settings.edges:
            return np.array(self.settings.edges)
        values, n_bins = present(context.table[column]), self.settings.n_bins
        if self.settings.strategy == "quantile":
            edges = np.unique(quantiles(values, np.linspace(0, 1, n_bins + 1).tolist(), context))
            return edges[1:-1]
        found = answers(context, low=values.min(), high=values.max())
        if found["low"] == found["high"]:  # or there is none
            return np.array([])
        return np.linspace(found["low"], found["high"], n_bins + 1)[1:-1]

    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        n_bins = len(state["edges"]) + 1
        if self.settings.encode == "ids":
            return (FeatureBlock(column, "bucketize", "ids", 0, 1, (column,), cardinality=traced.FIRST_ID + n_bins),)
        borders = ["", *(f"{edge:.4g}" for edge in state["edges"]), ""]
        names = tuple(f"{column} in {low}..{high}" for low, high in pairwise(borders))
        return (FeatureBlock(column, "bucketize", "dense", 0, n_bins, names),)

    def transform(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> Encoded:
        if self.settings.encode == "ids":
            return Encoded(ids=self._ids(columns, states))
        # Position by position: the value has reached the bin's lower border and not its upper one.
        x = traced.stack(columns)
        spread = ndx.take(
            x, ndx.asarray(np.repeat(np.arange(len(states)), [len(state["edges"]) + 1 for state in states])), axis=1
        )
        low = np.concatenate([np.append(-np.inf, state["edges"]) for state in states])
        high = np.concatenate([np.append(state["edges"], np.inf) for state in states])
        inside = (spread >= traced.like(x, low)) & (spread < traced.like(x, high))
        return Encoded(dense=ndx.astype(inside, ndx.float32))

    def _ids(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> ndx.Array:
        # The id is the number of edges reached. Every number reaches −inf, twice; NaN does not: missing is 0, the first bin 2.
        # Where a column has fewer edges than another stands NaN, which no number reaches, infinity included.
        edges = np.full((len(states), traced.FIRST_ID + max(len(state["edges"]) for state in states)), np.nan)
        edges[:, : traced.FIRST_ID] = -np.inf
        for at, state in enumerate(states):
            edges[at, traced.FIRST_ID : traced.FIRST_ID + len(state["edges"])] = state["edges"]
        # Rows stand innermost, where comparing and adding go through memory in order: five times faster than (N, C, edges).
        x = ndx.reshape(traced.end_to_end(columns), (len(columns), 1, -1))
        reached = ndx.astype(x >= traced.like(x, edges[:, :, None]), ndx.float32)  # (C, edges, N)
        return ndx.astype(ndx.sum(reached, axis=1), ndx.int64).T

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        bins = np.searchsorted(state["edges"], values, side="right")
        missing = np.isnan(values)
        if self.settings.encode == "ids":
            return np.where(missing, traced.MISSING_ID, bins + traced.FIRST_ID)[:, None]
        rows = np.eye(len(state["edges"]) + 1, dtype=np.float32)[bins]
        rows[missing] = 0
        return rows
