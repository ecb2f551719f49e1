"""Missing numbers filled in."""

from __future__ import annotations

from collections.abc import Sequence

import ibis.expr.types as ir
import ndonnx as ndx
import numpy as np

from shopkit.features import traced
from shopkit.features.aggregates import answers
from shopkit.features.base import FitContext, State
from shopkit.features.number import NumberExtractor


class Impute(NumberExtractor):
    """x, or the training part's mean or median, or a constant, where x is missing."""

    name = "impute"

    def learn(self, values: ir.Column, context: FitContext) -> State:
        if self.settings.strategy == "constant":
            return {"fill": np.array(float(self.settings.value))}
        fill = values.mean() if self.settings.strategy == "mean" else values.quantile(0.5)
        return {"fill": np.array(float(answers(context, fill=fill)["fill"] or 0.0))}

    def encode(self, x: ndx.Array, states: Sequence[State]) -> ndx.Array:
        return x

    def encode_with_missing(self, x: ndx.Array, missing: ndx.Array, states: Sequence[State]) -> ndx.Array:
        return traced.impute(x, [float(state["fill"]) for state in states])

    def encode_reference(self, values: np.ndarray, state: State) -> np.ndarray:
        return values[:, None]

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        rows = super().reference(values, state)
        rows[np.isnan(values), 0] = state["fill"]
        return rows
