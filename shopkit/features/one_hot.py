"""Categories as 0/1 positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.ml.v4 as ml

from shopkit.features import traced
from shopkit.features.aggregates import counts
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FitContext, State
from shopkit.schema import Kind


class OneHot(Extractor):
    """A position for each category, by falling count; unknown and rare are all zeros.

    Missing has a position where the training part had it.
    """

    accepts: ClassVar[tuple[Kind, ...]] = ("string",)

    def fit(self, column: str, context: FitContext) -> State:
        categories, _ = counts(column, context, self.settings.min_count, self.settings.max_size)
        known = context.vocabularies.get(column, ())
        every = np.array([*known, *(category for category in categories if category not in set(known))], object)
        # A column without a category that is frequent enough still needs a position.
        return {"categories": every if len(every) else np.array([""], object)}

    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        names = tuple(f"{column}={category}" if category else f"{column} is missing" for category in state["categories"])
        return (FeatureBlock(column, "one_hot", "dense", 0, len(names), names),)

    def transform(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> Encoded:
        return Encoded(dense=traced.side_by_side([positions(c, state) for c, state in zip(columns, states, strict=True)]))

    def categories(self, state: State) -> Sequence[str]:
        return list(map(str, state["categories"]))

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        return np.array([[value == category for category in state["categories"]] for value in values], np.float32)


def positions(column: ndx.Array, state: State) -> ndx.Array:
    """(N,) strings → (N, n_categories) float32, looked up and spread in one node."""
    return ndx.asarray(ml.one_hot_encoder(column.unwrap_spox(), cats_strings=[str(c) for c in state["categories"]], zeros=1))
