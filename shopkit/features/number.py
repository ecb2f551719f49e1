"""What the extractors of number columns share: the missing rule and its indicator."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import ibis.expr.types as ir
import ndonnx as ndx
import numpy as np

from shopkit.features import traced
from shopkit.features.aggregates import n_missing, present
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FitContext, State
from shopkit.schema import Kind


def wants_indicator(settings: Any, state: State) -> bool:
    """Whether `x is missing` gets a position: `auto` gives it one if the training part had missing values."""
    return settings.indicator == "always" or (settings.indicator == "auto" and int(state["n_missing"]) > 0)


def indicator_block(column: str, extractor: str) -> FeatureBlock:
    return FeatureBlock(column, extractor, "dense", 0, 1, (f"{column} is missing",))


def indicators(missing: ndx.Array, settings: Any, states: Sequence[State]) -> list[ndx.Array]:
    """The wanted indicators of missing (N, C) as one float32 part, or none."""
    wanted = [at for at, state in enumerate(states) if wants_indicator(settings, state)]
    if not wanted:
        return []
    if len(wanted) < len(states):
        missing = ndx.take(missing, ndx.asarray(np.array(wanted)), axis=1)
    return [ndx.astype(missing, ndx.float32)]


class NumberExtractor(Extractor):
    """Number → float32 positions, 0 where missing, and an indicator. Subclasses say what happens to a present value."""

    name: ClassVar[str]
    accepts: ClassVar[tuple[Kind, ...]] = ("number",)

    @abstractmethod
    def learn(self, values: ir.Column, context: FitContext) -> State:
        """State of one column; `values` is float64 with NULL for missing."""

    @abstractmethod
    def encode(self, x: ndx.Array, states: Sequence[State]) -> ndx.Array:
        """(N, C) without NaN, each column's `fill` in its place → (N, sum of widths)."""

    @abstractmethod
    def encode_reference(self, values: np.ndarray, state: State) -> np.ndarray:
        """The same for present float64 values (N,) → (N, width), slow and obvious."""

    def names(self, column: str, state: State) -> tuple[str, ...]:
        """A name per position."""
        return (column,)

    def fit(self, column: str, context: FitContext) -> State:
        state = self.learn(present(context.table[column]), context)
        return {**state, "n_missing": np.array(n_missing(context, column))}

    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        names = self.names(column, state)
        main = FeatureBlock(column, self.name, "dense", 0, len(names), names)
        return (main, indicator_block(column, self.name)) if wants_indicator(self.settings, state) else (main,)

    def transform(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> Encoded:
        x = traced.stack(columns)  # (N, C)
        missing = traced.missing(x)
        dense = traced.float32(self.encode_with_missing(x, missing, states))
        return Encoded(dense=traced.side_by_side([dense, *indicators(missing, self.settings, states)]))

    def encode_with_missing(self, x: ndx.Array, missing: ndx.Array, states: Sequence[State]) -> ndx.Array:
        """One position a column: encode, then write 0 where missing. Overridden where filling in x first costs less."""
        return ndx.where(missing, traced.float32_constant(0.0), traced.float32(self.encode(x, states)))

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        values = values.astype(np.float64)
        missing = np.isnan(values)
        width = len(self.names("", state))
        rows = np.zeros((len(values), width), np.float32)
        if not missing.all():
            rows[~missing] = self.encode_reference(values[~missing], state)
        if wants_indicator(self.settings, state):
            rows = np.column_stack([rows, missing.astype(np.float32)])
        return rows
