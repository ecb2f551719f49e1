"""Sets as boundaries; a forest by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shopkit_gbdt import forest as forests
from shopkit_gbdt.forest import Chain, Split, Tree, plant


@given(st.sets(st.integers(0, 60)))
def test_members_go_left_and_nothing_else(members: set[int]) -> None:
    split = Split(0, Chain.of_members(np.array(sorted(members), np.int64)), False, ~0, ~1)
    forest = plant([Tree([split], np.array([1.0, 0.0]), 0)], np.zeros(1))
    scores = forest.scores(np.arange(80)[:, None])[:, 0]
    assert set(np.flatnonzero(scores).tolist()) == members
    assert len(forest.value) <= max(1, len(members))


def test_trees_of_one_leaf_between_others() -> None:
    stump = Tree([Split(0, Chain.of_intervals([0.5]), False, ~0, ~1)], np.array([1.0, 2.0]), 0)
    only_leaf = Tree([], np.array([10.0]), 0)
    forest = plant([only_leaf, stump, only_leaf, only_leaf, stump, only_leaf], np.array([100.0]))
    assert forest.n_splits.tolist() == [0, 1, 0, 0, 1, 0]
    assert forest.scores(np.array([[0.0], [1.0], [np.nan]])).ravel().tolist() == [142.0, 144.0, 144.0]
    again = forests.Forest.from_arrays(forest.to_arrays())
    assert again.scores(np.zeros((1, 1))).item() == 142.0
