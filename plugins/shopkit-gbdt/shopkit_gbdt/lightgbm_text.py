"""LightGBM's model text, read into a forest.

Source: LightGBM 4, `Tree::ToString`, `Tree::NumericalDecision`, `Tree::CategoricalDecision` (include/LightGBM/tree.h).
"""

from __future__ import annotations

import re

import numpy as np

from shopkit_gbdt.forest import Chain, Forest, Split, Tree, plant

CATEGORICAL, DEFAULT_LEFT = 1, 2
MISSING_ZERO, MISSING_NAN = 1, 2
"""Bits 2 and 3 of `decision_type`; 0 there means that the training part had no missing value: NaN is then read as 0."""

ZERO = float(np.float32(1e-35))
"""LightGBM's kZeroThreshold: a value as close to 0 is 0 (`RowPairFunctionFromDenseMatric`, src/c_api.cpp)."""
BELOW_ZERO = float(np.nextafter(-ZERO, -np.inf))


def read(text: str, base: np.ndarray) -> Forest:
    """`Booster.model_to_string()` → forest, to which `base` (n_outputs,) is added."""
    header, *trees = re.split(r"^Tree=\d+\n", text.partition("\nend of trees")[0], flags=re.MULTILINE)
    n_targets = int(_fields(header)["num_tree_per_iteration"])
    return plant([_tree(_fields(tree), at % n_targets) for at, tree in enumerate(trees)], base)


def _fields(text: str) -> dict[str, str]:
    return {key: value for key, equals, value in (line.partition("=") for line in text.splitlines()) if equals}


def _tree(fields: dict[str, str], target: int) -> Tree:
    def array(name: str, dtype: type) -> np.ndarray:
        return np.array(fields.get(name, "").split(), dtype)

    categories = _CategorySets(array("cat_boundaries", np.int64), array("cat_threshold", np.uint32))
    columns = (array(name, np.int64).tolist() for name in ("split_feature", "decision_type", "left_child", "right_child"))
    splits = []
    for feature, decision, left, right, threshold in zip(*columns, array("threshold", np.float64).tolist(), strict=True):
        if decision & CATEGORICAL:
            tests, nan_left = Chain.of_members(categories[int(threshold)]), False
        else:
            boundaries, nan_left = _numeric(threshold, decision >> 2, bool(decision & DEFAULT_LEFT))
            tests = Chain.of_intervals(boundaries)
        splits.append(Split(feature, tests, nan_left, left, right))
    return Tree(splits, array("leaf_value", np.float64), target)


def _numeric(threshold: float, missing: int, default_left: bool) -> tuple[list[float], bool]:
    """Boundaries of the intervals that go left and right in turn, and whether NaN goes left."""
    if abs(threshold) <= ZERO:  # cannot divide the values that are taken for 0
        threshold = ZERO if threshold >= 0 else BELOW_ZERO
    if missing == MISSING_NAN:
        return [threshold], default_left
    if missing != MISSING_ZERO:
        return [threshold], threshold >= 0
    edges = sorted({BELOW_ZERO, ZERO, threshold})
    # An interval is told by its upper edge; above the highest all go right.
    sides = [default_left if BELOW_ZERO < edge <= ZERO else edge <= threshold for edge in edges] + [False]
    return [edge for at, edge in enumerate(edges) if sides[at] != sides[at + 1]], default_left


class _CategorySets:
    """Bit sets of ids that go left, 32 to a word."""

    def __init__(self, starts: np.ndarray, words: np.ndarray) -> None:
        self.starts = starts
        self.words = words

    def __getitem__(self, at: int) -> np.ndarray:
        words = self.words[self.starts[at] : self.starts[at + 1]]
        return np.flatnonzero(np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little"))
