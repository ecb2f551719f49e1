"""Signed logarithm, standardised."""

from __future__ import annotations

from collections.abc import Sequence

import ibis.expr.types as ir
import ndonnx as ndx
import numpy as np

from shopkit.features import traced
from shopkit.features.aggregates import mean_and_scale
from shopkit.features.base import FitContext, State
from shopkit.features.number import NumberExtractor


class Log1p(NumberExtractor):
    """sign(x) · log(1 + |x|), then zero mean and unit variance: for counts, amounts and other long tails."""

    name = "log1p"

    def learn(self, values: ir.Column, context: FitContext) -> State:
        mean, scale = mean_and_scale(values.sign() * (1 + values.abs()).ln(), context)
        return {"mean": np.array(mean), "scale": np.array(scale)}

    def encode(self, x: ndx.Array, states: Sequence[State]) -> ndx.Array:
        logs = ndx.sign(x) * ndx.log(ndx.abs(x) + traced.like(x, 1.0))
        mean = [float(state["mean"]) for state in states]
        return traced.scale(logs, mean, [1.0 / float(state["scale"]) for state in states])

    def encode_reference(self, values: np.ndarray, state: State) -> np.ndarray:
        scaled: np.ndarray = (np.sign(values) * np.log1p(np.abs(values)) - state["mean"]) / state["scale"]
        return scaled[:, None]
