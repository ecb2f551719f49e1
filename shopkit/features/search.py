"""Binary search in the graph."""

from __future__ import annotations

from collections.abc import Sequence

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.ml.v4 as ml
import spox.opset.ai.onnx.v21 as op


def segment(x: ndx.Array, edges: Sequence[np.ndarray], tables: Sequence[np.ndarray]) -> list[ndx.Array]:
    """Which interval between a column's edges each value lies in, and what that interval's row of the table says.

    One balanced tree for each column: log2(E) comparisons a value, where comparing with every edge would make (N, C, E) of
    them. (11 columns × 4,096 rows, 256 edges: 2.2 ms against 3.4 ms, and memory that does not grow with E.)

    Args:
        x: (N, C) float32, no NaN.
        edges: for each column ascending edges (E,); interval i is `edges[i - 1] <= x < edges[i]`.
        tables: for each column (E + 1, T) numbers.

    Returns:
        T arrays (N, C) float32.
    """
    n_columns, n_tables = len(edges), tables[0].shape[1]
    forest = Forest(n_targets=n_tables * n_columns)
    for column, (column_edges, table) in enumerate(zip(edges, tables, strict=True)):
        forest.add_tree(column, column_edges, table, targets=[at * n_columns + column for at in range(n_tables)])
    found = forest.evaluate(x)
    if n_tables == 1:
        return [found]
    return [ndx.asarray(part) for part in op.split(found.unwrap_spox(), num_outputs=n_tables, axis=1)]


class Forest:
    """The attributes of one `TreeEnsembleRegressor`, grown tree by tree."""

    def __init__(self, n_targets: int) -> None:
        self.n_targets = n_targets
        self.n_trees = 0
        self.features: list[int] = []
        self.trees: list[int] = []
        self.ids: list[int] = []
        self.below: list[int] = []
        self.reached: list[int] = []
        self.thresholds: list[float] = []
        self.modes: list[str] = []
        self.leaves: list[tuple[int, int, int, float]] = []

    def add_tree(self, feature: int, edges: np.ndarray, table: np.ndarray, targets: Sequence[int]) -> None:
        tree, start = self.n_trees, len(self.ids)
        self.n_trees += 1

        def grow(low: int, high: int) -> int:
            at = len(self.ids)
            self.trees.append(tree)
            self.ids.append(at - start)
            self.features.append(feature)
            self.below.append(0)
            self.reached.append(0)
            if low == high:
                self.modes.append("LEAF")
                self.thresholds.append(0.0)
                self.leaves += [(tree, at - start, target, float(table[low, t])) for t, target in enumerate(targets)]
            else:
                middle = (low + high) // 2
                self.modes.append("BRANCH_LT")
                self.thresholds.append(float(edges[middle]))
                self.below[at] = grow(low, middle)
                self.reached[at] = grow(middle + 1, high)
            return at - start

        grow(0, len(edges))

    def evaluate(self, x: ndx.Array) -> ndx.Array:
        """(N, C) float32 → (N, n_targets) float32."""
        trees, ids, targets, weights = zip(*self.leaves, strict=True)
        return ndx.asarray(
            ml.tree_ensemble_regressor(
                x.unwrap_spox(),
                n_targets=self.n_targets,
                nodes_featureids=self.features,
                nodes_treeids=self.trees,
                nodes_nodeids=self.ids,
                nodes_truenodeids=self.below,
                nodes_falsenodeids=self.reached,
                nodes_values=self.thresholds,
                nodes_modes=self.modes,
                target_treeids=trees,
                target_nodeids=ids,
                target_ids=targets,
                target_weights=weights,
            )
        )
