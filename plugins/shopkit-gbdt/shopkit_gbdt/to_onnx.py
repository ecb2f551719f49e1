"""A forest as an ONNX `TreeEnsembleRegressor`.

Exactness. LightGBM and scikit-learn compare in float64, and so does this graph: inputs are float32 numbers and int64 ids, whose
cast to float64 loses nothing (ids are far below 2⁵³), thresholds are kept as float64, and leaves are summed in float64 (the
operator's type is that of its input). Every row takes the very branches the library takes, and the score is off by the
rounding of the one final float32. In float32 a threshold t would have to become the largest float32 that is not above it, as
x ≤ t ⇔ x ≤ ⌊t⌋ for each float32 x; the branches would be as exact, but 300 float32 leaves sum with an error near 1e-5, for 10 %
of a batch's time and none of a single row's.

Sets of categories. The operator of ai.onnx.ml 4 compares with one number and knows no sets. A set is a chain of `≤` over the
boundaries of its runs of neighbouring ids, whose true branches lead to the two children in turn: the ensemble is a graph, as a
child has several parents, but it is stored once. ONNX Runtime wants the child of a false branch next to its parent, so only the
last test of a chain has a child there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.ml.v4 as ml
import spox.opset.ai.onnx.v21 as op
from shopkit.features.base import FeatureSpec
from shopkit.models.to_onnx import IR_VERSION

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
    scores = ml.tree_ensemble_regressor(x, **_Writer(forest).attributes())
    base = forest.base.astype(np.float32)
    model = spox.build(inputs, {"scores": op.add(scores, op.const(base)) if base.any() else scores})
    model.ir_version = IR_VERSION
    return model
