"""What a feature graph gives, array by array, and how arrays of varying length are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Tensor = Literal["dense", "ids", "sequence_dense", "sequence_ids", "tokens", "bag", "image"]
"""`dense`: numbers. `ids`: one category each. `sequence_dense`, `sequence_ids`: the same for each step of a sequence column.
`tokens`: a text as token ids. `bag`: a sparse vector, e.g. of n-gram weights. `image`: pixels."""

READ_BY: dict[str, str] = {
    "sequence_dense": "features:sequences",
    "sequence_ids": "features:sequences",
    "tokens": "features:tokens",
    "bag": "features:bags",
    "image": "features:images",
}
"""Tensor → the tag of the models that read it; every model reads the others."""

STEPS, REST, TOKENS, TERMS = "T", "R", "P", "K"
"""Names of the dimensions that vary: steps of a sequence that are read and that are not, tokens of a text, distinct terms of a
bag."""


@dataclass(frozen=True)
class ArrayKind:
    """One output of the feature graph, and one array of a batch: (N, …)."""

    dtype: type[Any]
    varies: str = ""
    """The dimension that varies from batch to batch, the second one; empty if none does."""
    lengths: str = ""
    """The array that says how much of that dimension each row fills; the rest is 0."""


ARRAYS: dict[str, ArrayKind] = {
    "dense": ArrayKind(np.float32),
    "ids": ArrayKind(np.int64),
    "sequence_dense": ArrayKind(np.float32, STEPS, "lengths"),
    "sequence_ids": ArrayKind(np.int64, STEPS, "lengths"),
    "lengths": ArrayKind(np.int64),
    "rest_ids": ArrayKind(np.int64, REST),
    "tokens": ArrayKind(np.int64, TOKENS, "token_lengths"),
    "token_lengths": ArrayKind(np.int64),
    "bag_ids": ArrayKind(np.int64, TERMS),
    "bag_weights": ArrayKind(np.float32, TERMS),
    "image": ArrayKind(np.uint8),
}
"""Every array there can be. A bag has no lengths: its padding is what weighs 0. Nor has the rest of a sequence, the steps that
`features.max_length` leaves out, which say no more than what was among them: its padding is id 0."""

FIXED = ("dense", "ids")
"""What plain columns become row by row; transformed in large batches, and each distinct string once."""


class Ragged:
    """Rows of varying length end to end, behaving as the array (N, longest of the rows asked for, …) padded with 0.

    Args:
        values: (total, …), in memory or memory-mapped; ids may be stored as int32.
        offsets: int64 (N + 1,): row i is `values[offsets[i] : offsets[i + 1]]`.
        dtype: of what is given out.
    """

    def __init__(self, values: np.ndarray, offsets: np.ndarray, dtype: type[Any]) -> None:
        self.values = values
        self.offsets = offsets
        self.dtype = dtype

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """int64 (N,)."""
        return np.diff(self.offsets)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Rows by slice, index or mask, padded to the longest of them, at least 1."""
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        elif rows.dtype == bool:
            rows = np.flatnonzero(rows)
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        padded = np.zeros((len(rows), max(1, int(lengths.max(initial=0))), *self.values.shape[1:]), self.dtype)
        before = np.cumsum(lengths) - lengths
        places = np.repeat(starts - before, lengths) + np.arange(lengths.sum())
        padded[np.arange(padded.shape[1]) < lengths[:, None]] = self.values[places]
        return padded


FeatureArrays = Mapping[str, Any]
"""Array → (N, …) as models are trained on it: a numpy array, or `Ragged` where rows vary in length. Slicing either by rows gives
what the graph gives."""


def take(features: FeatureArrays, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
    """Those rows of every array, padded as the graph would give them."""
    return {name: np.asarray(values[rows]) for name, values in features.items()}


def row_lengths(features: FeatureArrays) -> np.ndarray | None:
    """How long each row is, int64 (N,): steps and tokens together, else terms of a bag; None where no array varies."""
    found = [np.asarray(features[name]) for name in ("lengths", "token_lengths") if name in features]
    if found:
        return np.asarray(sum(found))
    bag = features.get("bag_weights")
    if bag is None:
        return None
    return bag.lengths if isinstance(bag, Ragged) else (bag != 0).sum(1)


def filled(tensors: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Which places of a padded array hold something, bool (N, dimension that varies)."""
    kind = ARRAYS[name]
    if not kind.lengths:
        return np.asarray((tensors[name] != 0).any(2) if name == "rest_ids" else tensors["bag_weights"] != 0)
    return np.arange(tensors[name].shape[1]) < tensors[kind.lengths][:, None]
