"""Trees as plain arrays: what both libraries' models become on their way to ONNX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Forest:
    """An additive ensemble of binary trees over columns [dense, ids].

    A split has one or more ascending `boundaries`: they cut the number line into intervals (−∞, b₁], (b₁, b₂], …, (bₖ, ∞) that
    go left and right in turn. A numeric split has one boundary; a set of categories has two for each run of neighbouring ids.
    A tree's splits are neighbours, its root the first of them; so are its leaves.
    Children and roots are split indices, or `~leaf` where negative.
    """

    feature: np.ndarray
    """int64 (n_splits,): column read."""
    start: np.ndarray
    """int64 (n_splits + 1,): split i has boundaries[start[i]:start[i + 1]]."""
    boundaries: np.ndarray
    """float64 (n_boundaries,)."""
    first_left: np.ndarray
    """bool (n_splits,): whether the lowest interval goes left."""
    nan_left: np.ndarray
    """bool (n_splits,): whether a missing number goes left."""
    left: np.ndarray
    """int64 (n_splits,)."""
    right: np.ndarray
    """int64 (n_splits,)."""
    leaves: np.ndarray
    """float64 (n_leaves,): values of all leaves."""
    roots: np.ndarray
    """int64 (n_trees,)."""
    target: np.ndarray
    """int64 (n_trees,): the score a tree adds to."""
    base: np.ndarray
    """float64 (n_outputs,): the scores before any tree."""

    def scores(self, x: np.ndarray) -> np.ndarray:
        """The scores, slow and obvious: x (N, n_columns) → float64 (N, n_outputs)."""
        found = np.tile(self.base, (len(x), 1))
        columns = np.asarray(x.T, np.float64, order="C")
        for root, target in zip(self.roots.tolist(), self.target.tolist(), strict=True):
            pending = [(root, np.arange(len(x)))]
            while pending:
                node, rows = pending.pop()
                if node < 0:
                    found[rows, target] += self.leaves[~node]
                elif len(rows):
                    goes_left = self._goes_left(node, columns[self.feature[node], rows])
                    pending += [(int(self.left[node]), rows[goes_left]), (int(self.right[node]), rows[~goes_left])]
        return found

    def _goes_left(self, node: int, values: np.ndarray) -> np.ndarray:
        boundaries = self.boundaries[self.start[node] : self.start[node + 1]]
        interval = np.searchsorted(boundaries, values)
        by_interval = (interval % 2 == 0) == self.first_left[node]
        return np.asarray(np.where(np.isnan(values), self.nan_left[node], by_interval))

    @property
    def n_splits(self) -> np.ndarray:
        """int64 (n_trees,): splits of each tree, which has one leaf more."""
        ends = np.append(np.where(self.roots < 0, 0, self.roots), len(self.feature))
        # A tree of one leaf has no root split: the tree before it ends where the next one with splits begins.
        starts = np.minimum.accumulate(np.where(np.append(self.roots < 0, False), len(self.feature), ends)[::-1])[::-1]
        return np.diff(starts)

    @property
    def size(self) -> int:
        """Numbers learnt: boundaries and leaf values."""
        return len(self.boundaries) + len(self.leaves)

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Forest:
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Split:
    """One split while a forest is being put together; children as in `Forest`, within their own tree."""

    feature: int
    boundaries: list[float]
    first_left: bool
    nan_left: bool
    left: int
    right: int


@dataclass(frozen=True)
class Tree:
    """One tree; its root is split 0, or its only leaf."""

    splits: list[Split]
    leaves: np.ndarray
    target: int


def plant(trees: Iterable[Tree], base: np.ndarray) -> Forest:
    """Trees as one forest."""
    splits: list[Split] = []
    leaves: list[np.ndarray] = [np.zeros(0)]
    left, right, roots, targets = [], [], [], []
    n_leaves = 0
    for tree in trees:
        first = len(splits)

        def shifted(child: int, first: int = first, n_leaves: int = n_leaves) -> int:
            return child + first if child >= 0 else child - n_leaves

        roots.append(shifted(0 if tree.splits else -1))
        targets.append(tree.target)
        left += [shifted(split.left) for split in tree.splits]
        right += [shifted(split.right) for split in tree.splits]
        splits += tree.splits
        leaves.append(tree.leaves)
        n_leaves += len(tree.leaves)
    counts = [len(split.boundaries) for split in splits]
    return Forest(
        feature=np.array([split.feature for split in splits], np.int64),
        start=np.cumsum([0, *counts], dtype=np.int64),
        boundaries=np.array([boundary for split in splits for boundary in split.boundaries], np.float64),
        first_left=np.array([split.first_left for split in splits], bool),
        nan_left=np.array([split.nan_left for split in splits], bool),
        left=np.array(left, np.int64),
        right=np.array(right, np.int64),
        leaves=np.concatenate(leaves).astype(np.float64),
        roots=np.array(roots, np.int64),
        target=np.array(targets, np.int64),
        base=np.asarray(base, np.float64),
    )


def runs(members: np.ndarray) -> tuple[list[float], bool]:
    """Ascending ids that go left → boundaries, and whether the lowest interval goes left.

    >>> runs(np.array([3, 4, 5, 9]))
    ([2.0, 5.0, 8.0, 9.0], False)
    >>> runs(np.array([0, 1]))
    ([1.0], True)
    """
    if not len(members):
        return [float("inf")], False
    gaps = np.flatnonzero(np.diff(members) > 1)
    firsts = members[np.concatenate([[0], gaps + 1])]
    lasts = members[np.concatenate([gaps, [len(members) - 1]])]
    boundaries = np.stack([firsts - 1, lasts], axis=1).ravel().astype(float).tolist()
    from_zero = bool(firsts[0] == 0)
    return boundaries[from_zero:], from_zero
