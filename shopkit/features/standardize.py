"""Zero mean and unit variance."""

from __future__ import annotations

from collections.abc import Sequence

import ibis.expr.types as ir
import ndonnx as ndx
import numpy as np

from shopkit.features import traced
from shopkit.features.aggregates import mean_and_scale
from shopkit.features.base import FitContext, State
from shopkit.features.number import NumberExtractor


class Standardize(NumberExtractor):
    """(x − mean) / standard deviation of the training part; a constant column gives 0."""

    name = "standardize"

    def learn(self, values: ir.Column, context: FitContext) -> State:
        mean, scale = mean_and_scale(values, context)
        return {"mean": np.array(mean), "scale": np.array(scale)}

    def encode(self, x: ndx.Array, states: Sequence[State]) -> ndx.Array:
        mean = [float(state["mean"]) for state in states]
        return traced.scale(x, mean, [1.0 / float(state["scale"]) for state in states])

    def encode_with_missing(self, x: ndx.Array, missing: ndx.Array, states: Sequence[State]) -> ndx.Array:
        return self.encode(traced.impute(x, [float(state["mean"]) for state in states]), states)

    def encode_reference(self, values: np.ndarray, state: State) -> np.ndarray:
        scaled: np.ndarray = (values - state["mean"]) / state["scale"]
        return scaled[:, None]
