"""The items of a history as the ids of what is recommended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import ndonnx as ndx
import numpy as np
from shopkit.errors import ConfigError
from shopkit.features import traced
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FitContext, State
from shopkit.schema import Kind


class Catalogue(Extractor):
    """Item → 2 + its class in the target; 0 missing, 1 unknown. So one table of items is both read and recommended from. Of a
    longer history, the steps that are not read are given as well: they have been seen."""

    accepts: ClassVar[tuple[Kind, ...]] = ("string",)

    def fit(self, column: str, context: FitContext) -> State:
        """
        Raises:
            ConfigError: the target has no classes.
        """
        if not context.classes:
            raise ConfigError(
                f"features.columns.{column}: catalogue gives the items of a target of items, and this target has no classes. "
                "Choose task=next_item, or the extractor vocabulary."
            )
        return {"items": np.array(context.classes, object)}

    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        cardinality = traced.FIRST_ID + len(state["items"])
        return (FeatureBlock(column, "catalogue", "ids", 0, 1, (column,), cardinality=cardinality, rest=True),)

    def transform(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> Encoded:
        return Encoded(ids=traced.stack([_ids(column, state["items"]) for column, state in zip(columns, states, strict=True)]))

    def categories(self, state: State) -> Sequence[str]:
        return list(map(str, state["items"]))

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        known = {"": traced.MISSING_ID} | {item: traced.FIRST_ID + at for at, item in enumerate(state["items"])}
        return np.array([known.get(value, traced.UNKNOWN_ID) for value in values], np.int64).reshape(-1, 1)


def _ids(column: ndx.Array, items: np.ndarray) -> ndx.Array:
    ids = np.concatenate([[traced.MISSING_ID], np.arange(len(items)) + traced.FIRST_ID]).astype(np.int64)
    return traced.look_up(column, np.concatenate([np.array([""], object), items]), ids, traced.UNKNOWN_ID)
