"""Histories as estimators learn from them: everyone's items end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from shopkit.features.base import FeatureBlock
from shopkit.features.tensors import FeatureArrays, Ragged
from shopkit.models.base import Arrays

from shopkit_recommend.models.inputs import FIRST_ITEM


@dataclass(frozen=True)
class Histories:
    """Sequences of known items, in the order of the examples."""

    items: np.ndarray
    """int64 (total,): item of each step, from 0."""
    offsets: np.ndarray
    """int64 (N + 1,): sequence i has the steps offsets[i]:offsets[i + 1]."""
    n_items: int
    weight: np.ndarray | None = None
    """float64 (N,): how many like it each sequence counts; None where each counts 1."""

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    @property
    def row(self) -> np.ndarray:
        """int64 (total,): whose step it is."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)

    @property
    def weight_of_steps(self) -> np.ndarray | None:
        """float64 (total,)."""
        return None if self.weight is None else self.weight[self.row]

    @property
    def counts(self) -> np.ndarray:
        """(n_items,): how often each item stands in the sequences, by their weight."""
        return np.bincount(self.items, self.weight_of_steps, minlength=self.n_items)

    @property
    def matrix(self) -> sp.csr_matrix:
        """Who has what: 0 or 1, float64 (N, n_items)."""
        found = sp.csr_matrix((np.ones(len(self.items)), self.items, self.offsets), (len(self.offsets) - 1, self.n_items))
        found.sum_duplicates()
        found.data[:] = 1
        return found

    def weighed(self, matrix: sp.csr_matrix) -> sp.csr_matrix:
        """A matrix with a row for each sequence, each times its weight."""
        if self.weight is None:
            return matrix
        return sp.csr_matrix(sp.diags_array(self.weight.astype(matrix.dtype)) @ matrix)

    def pairs(self, steps: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each item that another follows so many steps later in its sequence, that one, and how often it counts, float64."""
        row = self.row
        follows = np.flatnonzero(row[steps:] == row[:-steps])
        times = np.ones(len(follows)) if self.weight is None else self.weight[row[follows]]
        return self.items[follows], self.items[follows + steps], times


def n_interactions(part: Arrays) -> int:
    """Steps of all rows, with what came next."""
    return len(part) + int(np.sum(part.features["lengths"]))


def steps_of(features: FeatureArrays, block: FeatureBlock) -> np.ndarray:
    """A column of all steps end to end, int64 ids or float32 numbers (total,)."""
    values = features[block.tensor]
    if isinstance(values, Ragged):
        return np.asarray(values.values[:, block.start], values.dtype)
    inside = np.arange(values.shape[1]) < np.asarray(features["lengths"])[:, None]
    return np.asarray(values[:, :, block.start][inside])


def attributes_of_items(part: Arrays, item: FeatureBlock, others: Sequence[FeatureBlock]) -> np.ndarray:
    """What stands beside an item most often, the lowest id of several: int64 (ids of items, columns), 0 where nothing does.

    Args:
        item: the column of items.
        others: columns of ids of the same steps.
    """
    items = steps_of(part.features, item)
    found = np.zeros((item.cardinality, len(others)), np.int64)
    for at, block in enumerate(others):
        ids = steps_of(part.features, block)
        pairs, counts = np.unique((items * block.cardinality + ids)[ids != 0], return_counts=True)
        rising = pairs[np.lexsort((-pairs, counts))]  # of those that name one item, the last one stays
        found[rising // block.cardinality, at] = rising % block.cardinality
    return found


def whole_sequences(part: Arrays, block: FeatureBlock, n_items: int) -> Histories:
    """The histories of the rows with what came next at their ends; steps of unknown items are left out, and rows of weight 0."""
    lengths = np.asarray(part.features["lengths"])
    ids = np.insert(steps_of(part.features, block), np.cumsum(lengths), part.target + FIRST_ITEM)
    known = ids >= FIRST_ITEM
    if part.weight is not None:
        known &= np.repeat(part.weight > 0, lengths + 1)
    starts = np.cumsum(lengths + 1) - (lengths + 1)
    offsets = np.concatenate([[0], np.cumsum(np.add.reduceat(known, starts, dtype=np.int64))])
    weight = None if part.weight is None else part.weight.astype(np.float64)
    return Histories(ids[known] - FIRST_ITEM, offsets, n_items, weight)
