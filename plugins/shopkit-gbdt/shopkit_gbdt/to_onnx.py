"""A forest as an ONNX `TreeEnsembleRegressor`.

Exactness. LightGBM and scikit-learn compare in float64, and so does this graph: inputs are float32 numbers and int64 ids, whose
cast to float64 loses nothing (ids are far below 2⁵³), thresholds are kept as float64, and leaves are summed in float64 (the
operator's type is that of its input). Every row takes the very branches the library takes, and the score is off by the
rounding of the one final float32. In float32 a threshold t would have to become the largest float32 that is not above it, as
x ≤ t ⇔ x ≤ ⌊t⌋ for each float32 x; the branches would be as exact, but 300 float32 leaves sum with an error near 1e-5, for 10 %
of a batch's time and none of a single row's.

Sets of categories. The operator of ai.onnx.ml 4 compares with one number and knows no sets. A set is a chain of tests, one for
each category or run of neighbouring ids, whose true branches lead to the two children: the ensemble is a graph, as a child has
several parents, but it is stored once. ONNX Runtime wants the child of a false branch next to its parent, so only the last test
of a chain has a child there. The other way, a column of 0 and 1 for each set, looked up by id, was slower for a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.ml.v4 as ml
import spox.opset.ai.onnx.v21 as op
from shopkit.features.base import FeatureSpec
from shopkit.onnx_format import pin_versions

from shopkit_gbdt.forest import Forest


def to_onnx(forest: Forest, features: FeatureSpec) -> onnx.ModelProto:
    """Inputs `dense` (N, n_dense) and/or `ids` (N, n_ids), output `scores` float32 (N, n_outputs)."""
    inputs = {}
    if features.n_dense:
        inputs["dense"] = spox.argument(spox.Tensor(np.float32, ("N", features.n_dense)))
    if features.n_ids:
        inputs["ids"] = spox.argument(spox.Tensor(np.int64, ("N", features.n_ids)))
    columns = [op.cast(value, to=np.float64) for value in inputs.values()]
    x = op.concat(columns, axis=1) if len(columns) == 2 else columns[0]
    scores = ml.tree_ensemble_regressor(x, **_attributes(forest))
    model = spox.build(inputs, {"scores": scores})
    pin_versions(model)
    return model


def _attributes(forest: Forest) -> dict[str, Any]:
    """The operator's attributes. Node ids: a test is its own index, a leaf follows after all tests."""
    n_tests, n_leaves = len(forest.value), len(forest.leaves)
    split = np.repeat(np.arange(len(forest.feature)), np.diff(forest.start))  # (n_tests,)
    is_last = np.isin(np.arange(n_tests), forest.start[1:] - 1)
    left, right = (
        np.where(child >= 0, forest.start[np.maximum(child, 0)], n_tests + ~child)[split] for child in (forest.left, forest.right)
    )
    when_true = np.where(forest.true_left, left, right)
    when_false = np.where(is_last, np.where(forest.true_left, right, left), np.arange(n_tests) + 1)
    modes = np.where(forest.is_equality, "BRANCH_EQ", "BRANCH_LEQ")

    n_splits = forest.n_splits
    trees = np.arange(len(n_splits))
    tree_of_leaf = np.repeat(trees, n_splits + 1)
    tree = np.concatenate([np.repeat(trees, n_splits)[split], tree_of_leaf])
    order = np.argsort(tree, kind="stable")  # a tree's root stands first among its nodes

    def nodes(tests: np.ndarray) -> np.ndarray:
        """Of every node in order; leaves have 0."""
        return np.concatenate([tests, np.zeros(n_leaves, tests.dtype)])[order]

    return {
        "n_targets": len(forest.base),
        "base_values_as_tensor": forest.base,
        "nodes_treeids": tree[order].tolist(),
        "nodes_nodeids": order.tolist(),
        "nodes_modes": np.concatenate([modes, np.full(n_leaves, "LEAF")])[order].tolist(),
        "nodes_featureids": nodes(forest.feature[split]).tolist(),
        "nodes_values_as_tensor": nodes(forest.value),
        "nodes_truenodeids": nodes(when_true).tolist(),
        "nodes_falsenodeids": nodes(when_false).tolist(),
        # NaN takes the first true branch that leads where it should, or else the only false one.
        "nodes_missing_value_tracks_true": nodes((forest.true_left == forest.nan_left[split]).astype(int)).tolist(),
        "target_treeids": tree_of_leaf.tolist(),
        "target_nodeids": (n_tests + np.arange(n_leaves)).tolist(),
        "target_ids": forest.target[tree_of_leaf].tolist(),
        "target_weights_as_tensor": forest.leaves,
    }
