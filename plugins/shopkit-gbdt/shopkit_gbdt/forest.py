"""Trees as plain arrays: what both libraries' models become on their way to ONNX."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Forest:
    """An additive ensemble of binary trees over columns [dense, ids].

    A split is a chain of one or more tests, x ≤ value or x = value, of which the first that holds decides; if none holds, x goes
    the other way than by the last. A numeric split is one test. A set of categories has a test for each category by itself, and
    two for each run of neighbouring ids. Children and roots are split indices, or `~leaf` where negative. A tree's splits are
    neighbours, its root the first of them; so are its leaves.
    """

    feature: np.ndarray
    """int64 (n_splits,): column read."""
    start: np.ndarray
    """int64 (n_splits + 1,): split i has the tests start[i]:start[i + 1]."""
    value: np.ndarray
    """float64 (n_tests,)."""
    is_equality: np.ndarray
    """bool (n_tests,): x = value, not x ≤ value."""
    true_left: np.ndarray
    """bool (n_tests,): whether a value for which the test holds goes left."""
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

    def _goes_left(self, split: int, x: np.ndarray) -> np.ndarray:
        tests = slice(self.start[split], self.start[split + 1])
        holds = np.where(self.is_equality[tests], x[:, None] == self.value[tests], x[:, None] <= self.value[tests])
        true_left = self.true_left[tests]
        by_tests = np.where(holds.any(axis=1), true_left[holds.argmax(axis=1)], ~true_left[-1])
        return np.asarray(np.where(np.isnan(x), self.nan_left[split], by_tests))

    @property
    def n_splits(self) -> np.ndarray:
        """int64 (n_trees,): splits of each tree, which has one leaf more."""
        ends = np.append(np.where(self.roots < 0, 0, self.roots), len(self.feature))
        # A tree of one leaf has no root split: the tree before it ends where the next one with splits begins.
        starts = np.minimum.accumulate(np.where(np.append(self.roots < 0, False), len(self.feature), ends)[::-1])[::-1]
        return np.diff(starts)

    @property
    def size(self) -> int:
        """Numbers learnt: those compared with, and leaf values."""
        return len(self.value) + len(self.leaves)

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Forest:
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Chain:
    """The tests of one split, as in `Forest`."""

    values: list[float]
    is_equality: list[bool]
    true_left: list[bool]

    @classmethod
    def of_intervals(cls, boundaries: list[float]) -> Chain:
        """(−∞, b₁] left, (b₁, b₂] right, …, in turn."""
        return cls(boundaries, [False] * len(boundaries), [at % 2 == 0 for at in range(len(boundaries))])

    @classmethod
    def of_members(cls, members: np.ndarray) -> Chain:
        """Ascending ids from 0 that go left; the others go right.

        >>> Chain.of_members(np.array([0, 1, 4, 7, 8]))
        Chain(values=[1.0, 4.0, 6.0, 8.0], is_equality=[False, True, False, False], true_left=[True, True, False, True])
        """
        chain = cls([], [], [])
        for run in np.split(members, np.flatnonzero(np.diff(members) > 1) + 1):
            if len(run) == 1:
                chain._add(float(run[0]), True, True)
                continue
            if len(run) and run[0] > 0:
                chain._add(float(run[0] - 1), False, False)
            # No member at all: everything is ≤ ∞ and goes right.
            chain._add(float(run[-1]) if len(run) else np.inf, False, len(run) > 0)
        return chain

    def _add(self, value: float, is_equality: bool, true_left: bool) -> None:
        self.values.append(value)
        self.is_equality.append(is_equality)
        self.true_left.append(true_left)


@dataclass(frozen=True)
class Split:
    """One split while a forest is being put together; children as in `Forest`, within their own tree."""

    feature: int
    tests: Chain
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
    chains = [split.tests for split in splits]
    return Forest(
        feature=np.array([split.feature for split in splits], np.int64),
        start=np.cumsum([0, *(len(chain.values) for chain in chains)], dtype=np.int64),
        value=np.array([value for chain in chains for value in chain.values], np.float64),
        is_equality=np.array([flag for chain in chains for flag in chain.is_equality], bool),
        true_left=np.array([flag for chain in chains for flag in chain.true_left], bool),
        nan_left=np.array([split.nan_left for split in splits], bool),
        left=np.array(left, np.int64),
        right=np.array(right, np.int64),
        leaves=np.concatenate(leaves).astype(np.float64),
        roots=np.array(roots, np.int64),
        target=np.array(targets, np.int64),
        base=np.asarray(base, np.float64),
    )
