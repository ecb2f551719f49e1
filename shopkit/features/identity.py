"""Numbers as they are."""

from __future__ import annotations

from collections.abc import Sequence

import ibis.expr.types as ir
import ndonnx as ndx
import numpy as np

from shopkit.features import traced
from shopkit.features.base import FitContext, State
from shopkit.features.number import NumberExtractor


class Identity(NumberExtractor):
    """x itself. Missing stays NaN, for models that read it, or becomes 0 by the setting."""

    name = "identity"

    def learn(self, values: ir.Column, context: FitContext) -> State:
        return {}

    def encode(self, x: ndx.Array, states: Sequence[State]) -> ndx.Array:
        return x

    def encode_with_missing(self, x: ndx.Array, missing: ndx.Array, states: Sequence[State]) -> ndx.Array:
        return x if self.settings.missing == "keep" else traced.impute(x, [0.0] * len(states))

    def encode_reference(self, values: np.ndarray, state: State) -> np.ndarray:
        return values[:, None]

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        rows = super().reference(values, state)
        if self.settings.missing == "keep":
            rows[:, 0] = values
        return rows
