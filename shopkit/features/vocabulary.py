"""Categories as ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import ndonnx as ndx
import numpy as np

from shopkit.features import traced
from shopkit.features.aggregates import counts
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FitContext, State
from shopkit.schema import Kind


class Vocabulary(Extractor):
    """Category → id for embeddings: 0 missing, 1 unknown or rare, then by falling count."""

    accepts: ClassVar[tuple[Kind, ...]] = ("string",)

    def fit(self, column: str, context: FitContext) -> State:
        # One more than asked for, as "" is counted too and has its own id anyway.
        categories, _ = counts(column, context, self.settings.min_count, self.settings.max_size + 1)
        found = categories[categories != ""][: self.settings.max_size]
        # Missing is none: another extractor may have had a position for it in an earlier run.
        known = [category for category in context.vocabularies.get(column, ()) if category]
        more = [category for category in found if category not in set(known)]
        return {"categories": np.array([*known, *more], object)}

    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        n_ids = traced.FIRST_ID + len(state["categories"])
        return (FeatureBlock(column, "vocabulary", "ids", 0, 1, (column,), cardinality=n_ids),)

    def transform(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> Encoded:
        return Encoded(ids=traced.stack([ids(column, state) for column, state in zip(columns, states, strict=True)]))

    def categories(self, state: State) -> Sequence[str]:
        return list(map(str, state["categories"]))

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        known = {"": traced.MISSING_ID} | {category: traced.FIRST_ID + at for at, category in enumerate(state["categories"])}
        return np.array([known.get(value, traced.UNKNOWN_ID) for value in values], np.int64).reshape(-1, 1)


def ids(column: ndx.Array, state: State) -> ndx.Array:
    """(N,) strings → (N,) int64 ids."""
    categories = state["categories"]
    known = np.arange(len(categories), dtype=np.int64) + traced.FIRST_ID
    return traced.look_up(
        column,
        np.concatenate([np.array([""], object), categories]),
        np.concatenate([np.array([traced.MISSING_ID]), known]),
        traced.UNKNOWN_ID,
    )
