"""Features as LightGBM takes them in: a block of rows at a time."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np
from shopkit.features.tensors import FeatureArrays, take

from shopkit_gbdt.columns import side_by_side, width

BLOCK_BYTES = 1 << 25
"""Of numbers, as float32, that are read at once."""
NOTHING = np.empty((0, 0), np.float32)


class Rows(lgb.Sequence):
    """Features side by side, of which one block is in memory at a time, wherever they stand.

    Args:
        features: `dense` and `ids`, in memory or on disk.
        order: int64 (N,): the rows in another order than theirs.
    """

    def __init__(self, features: FeatureArrays, order: np.ndarray | None = None) -> None:
        self._features = features
        self._order = order
        self._n_rows = len(next(iter(features.values())))
        self.batch_size = max(1, BLOCK_BYTES // (4 * width(features)))
        self._start, self._block = -1, NOTHING

    def __len__(self) -> int:
        return self._n_rows

    def __getitem__(self, rows: int | slice | list[int]) -> np.ndarray:
        """float32 (n, n_columns) of a slice, which LightGBM turns into bins; float64 (n_columns,) of one row of its sample, whose
        rows are asked for in rising order."""
        if isinstance(rows, slice | list):
            self._start, self._block = -1, NOTHING
            return self._read(rows if isinstance(rows, slice) else np.array(rows))
        start = rows - rows % self.batch_size
        if start != self._start:
            self._start, self._block = start, self._read(slice(start, min(start + self.batch_size, len(self))))
        return np.asarray(self._block[rows - start], np.float64)

    def _read(self, rows: slice | np.ndarray) -> np.ndarray:
        return side_by_side(take(self._features, rows if self._order is None else self._order[rows]))


class Binned(lgb.Dataset):
    """A dataset whose bins do not depend on how its rows are taken in."""

    def get_params(self) -> dict[str, Any]:
        """All that were given. LightGBM leaves out the seed, by which the sample for bins is drawn, and the least rows of a leaf,
        by which columns are passed over, when it takes in rows by the block, and in no other case."""
        return self.params or {}
