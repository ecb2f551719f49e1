"""Bags as a sparse matrix, for models that multiply with it."""

from __future__ import annotations

import warnings
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from shopkit.features.tensors import FeatureArrays, Ragged


class SparseRows:
    """Bags of N rows as a matrix (N, n_terms) of float32, of which only what is there is kept.

    Args:
        features: with `bag_ids` and `bag_weights`.
        n_terms: terms of the joint vocabulary.
    """

    def __init__(self, features: FeatureArrays, n_terms: int) -> None:
        ids, weights = features["bag_ids"], features["bag_weights"]
        if isinstance(ids, Ragged) and isinstance(weights, Ragged):
            lengths, self.ids, self.weights = weights.lengths, ids.values, weights.values
        else:
            there = np.asarray(weights) != 0
            lengths, self.ids, self.weights = there.sum(1), np.asarray(ids)[there], np.asarray(weights)[there]
        self.shape = (len(lengths), n_terms)
        self.lengths = lengths
        self._rows = compressed(lengths, self.ids, self.weights, self.shape)

    def __matmul__(self, table: Tensor) -> Tensor:
        """table (n_terms, width) → float32 (N, width)."""
        product: Tensor = self._rows @ table.float()
        return product

    @cached_property
    def transposed(self) -> Tensor:
        """(n_terms, N), so that the product with a gradient is as fast as the product with a table."""
        order = np.argsort(self.ids, kind="stable")
        counts = np.bincount(self.ids, minlength=self.shape[1])
        rows = np.repeat(np.arange(self.shape[0], dtype=self.ids.dtype), self.lengths)[order]
        return compressed(counts, rows, self.weights[order], self.shape[::-1])

    @cached_property
    def present(self) -> Tensor:
        """(n_terms, N) of 1 where a row has the term."""
        ones = self.transposed.values() != 0
        parts = self.transposed.crow_indices(), self.transposed.col_indices()
        return torch.sparse_csr_tensor(*parts, ones.float(), self.transposed.shape)

    def mean_square(self) -> np.ndarray:
        """Of each term, float64 (n_terms,)."""
        squares = np.bincount(self.ids, np.square(self.weights, dtype=np.float64), self.shape[1])
        return np.asarray(squares / max(1, self.shape[0]))


def compressed(lengths: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    """A matrix by rows: how many values each has, (rows,), and the column of each value."""
    small = len(columns) < np.iinfo(np.int32).max
    index = np.int32 if small else np.int64
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(index)
    # Copies of what is memory-mapped: torch warns of arrays that cannot be written to.
    parts = ((offsets, index), (columns, index), (values, np.float32))
    starts, places, given = (torch.from_numpy(np.require(part, dtype, "W")) for part, dtype in parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls the layout beta
        return torch.sparse_csr_tensor(starts, places, given, shape)
