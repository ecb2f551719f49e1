from __future__ import annotations

from dataclasses import replace

import ndonnx as ndx
import numpy as np
import onnx
import spox

from shopkit.features import traced
from shopkit.features.base import Encoded
from shopkit.features.settings import StandardizeSettings
from shopkit.features.standardize import Standardize
from shopkit.testing.data import N_ROWS
from tests.testing.broken.base import broken


class OtherThanItsReference(Standardize):
    """The reference forgets the scale."""

    def encode_reference(self, values, state):
        return (values - state["mean"])[:, None]


class Overflows(Standardize):
    """Far values become infinite."""

    def encode(self, x, states):
        return ndx.exp(super().encode(x, states))

    def encode_with_missing(self, x, missing, states):
        return ndx.where(missing, traced.float32_constant(0.0), self.encode(x, states))

    def encode_reference(self, values, state):
        with np.errstate(over="ignore"):
            return np.exp(super().encode_reference(values, state))


class FillsOtherThanItsReference(Standardize):
    """Missing is 7 in the graph."""

    def encode_with_missing(self, x, missing, states):
        return ndx.where(missing, traced.float32_constant(7.0), self.encode(x, states))


class FixedBatch(Standardize):
    """Knows one number of rows."""

    def transform(self, columns, states):
        return Encoded(dense=ndx.reshape(super().transform(columns, states).dense, (N_ROWS, -1)))


class TakesTheFirstRow(Standardize):
    """The mean is the first row's value."""

    def fit(self, column, context):
        first = context.table.order_by(context.row).limit(1).to_pyarrow()[column][0].as_py()
        return {**super().fit(column, context), "mean": np.array(float(np.nan_to_num(first)) + 1e-3)}


class Remembers(Standardize):
    """Counts its fits."""

    n_fits = 0

    def fit(self, column, context):
        self.n_fits += 1
        return {**super().fit(column, context), "mean": np.array(float(self.n_fits))}


class Draws(Standardize):
    """The mean is drawn."""

    def fit(self, column, context):
        return {**super().fit(column, context), "mean": np.array(np.random.default_rng().normal())}


class CustomOperator(Standardize):
    """Uses an operator of ONNX Runtime's own."""

    def transform(self, columns, states):
        dense = super().transform(columns, states).dense
        values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", "W"]) for name in ("x", "y")]
        node = onnx.helper.make_node("QuickGelu", ["x"], ["y"], domain="com.microsoft")
        graph = onnx.helper.make_graph([node], "custom", values[:1], values[1:])
        opsets = [onnx.helper.make_opsetid("", 21), onnx.helper.make_opsetid("com.microsoft", 1)]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
        return Encoded(dense=ndx.asarray(spox.inline(model)(dense.unwrap_spox())["y"]))


class ClaimsTooMuch(Standardize):
    """The block is a position wider than the output."""

    def blocks(self, column, state):
        main, *rest = super().blocks(column, state)
        return (replace(main, width=2, names=(column, f"{column} again")), *rest)


class ForgetsARow(Standardize):
    """Training-time values lack the last row."""

    def fit_transform_rows(self, column, context, state):
        return np.zeros((N_ROWS - 1, 1), np.float32)


BROKEN = {
    check: broken("features", target, StandardizeSettings, message)
    for check, target, message in (
        ("check_features_graph_equals_reference", OtherThanItsReference, r"graph must equal the reference on number columns, tr"),
        ("check_features_steps_of_sequences_are_values", OtherThanItsReference, r"steps must become what values alone do"),
        ("check_features_unseen_values_are_answered", Overflows, r"an unseen value gives NaN or infinity"),
        (
            "check_features_missing_values_are_answered",
            FillsOtherThanItsReference,
            r"missing values, fitted on ordinary columns, but",
        ),
        ("check_features_any_number_of_rows", FixedBatch, r"One row and no rows at all work .* Instead it raised"),
        ("check_features_order_of_rows_does_not_matter", TakesTheFirstRow, r"order of the training rows must not matter"),
        ("check_features_know_the_training_part_only", Remembers, r"must remember nothing of earlier fits"),
        ("check_features_are_deterministic", Draws, r"fitting twice must give the same state on number columns, state 'mean'"),
        ("check_features_use_standard_operators", CustomOperator, r"outside the ONNX standard: com\.microsoft:QuickGelu"),
        ("check_features_blocks_match_the_output", ClaimsTooMuch, r"blocks say 5 positions of `dense` for 400 rows"),
        (
            "check_features_training_rows_fit_their_blocks",
            ForgetsARow,
            r"must give float32 \(400, 2\), one row for each training row",
        ),
    )
}
