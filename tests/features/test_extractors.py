"""Laws that every extractor obeys: the graph equals the slow reference, whatever the value."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit.features.settings import FeaturePlan
from shopkit.schema import MISSING_TIME
from tests.features.fitting import Fitted, fit_column, fit_table, floats, texts

RNG = np.random.default_rng(0)
N_TRAIN = 400
NAN = float("nan")

NUMBERS = floats([*RNG.lognormal(1.0, 1.5, N_TRAIN - 60).round(2), *[0.0] * 40, *[NAN] * 10, *range(-5, 5)])
STRINGS = texts([*RNG.choice(["red", "green", "blue", "ultra violet", "café"], N_TRAIN - 30), *[""] * 20, *"abcdefghij"])
TIMES = np.array([*RNG.integers(1_500_000_000, 1_700_000_000, N_TRAIN - 4), *[MISSING_TIME] * 3, -86_400 * 365 * 3])
TARGET = (RNG.random(N_TRAIN) < 0.3).astype(np.float64)

EXTRACTORS: dict[str, tuple[str, Any, float]] = {
    # name of the case → kind, spec, tolerance
    "identity": ("number", "identity", 0),
    "identity_zero": ("number", {"name": "identity", "missing": "zero", "indicator": "always"}, 0),
    "standardize": ("number", "standardize", 1e-5),
    "standardize_plain": ("number", {"name": "standardize", "indicator": "never"}, 1e-5),
    "log1p": ("number", "log1p", 1e-5),
    "quantile_uniform": ("number", {"name": "quantile", "output": "uniform"}, 3e-3),
    "quantile_normal": ("number", {"name": "quantile", "n_quantiles": 100}, 0.05),
    "bucketize": ("number", "bucketize", 0),
    "bucketize_one_hot": ("number", {"name": "bucketize", "encode": "one_hot", "strategy": "uniform", "n_bins": 5}, 0),
    "bucketize_edges": ("number", {"name": "bucketize", "edges": [0.0, 1.5, 7.0]}, 0),
    "piecewise_linear": ("number", "piecewise_linear", 1e-2),
    "piecewise_linear_target": ("number", {"name": "piecewise_linear", "edges": "target", "n_bins": 6}, 1e-2),
    "impute": ("number", "impute", 0),
    "impute_constant": ("number", {"name": "impute", "strategy": "constant", "value": -1.0, "indicator": "never"}, 0),
    "vocabulary": ("string", "vocabulary", 0),
    "vocabulary_rare": ("string", {"name": "vocabulary", "min_count": 5, "max_size": 3}, 0),
    "one_hot": ("string", "one_hot", 0),
    "one_hot_rare": ("string", {"name": "one_hot", "min_count": 5, "max_size": 3}, 0),
    "target_rate": ("string", "target_rate", 1e-6),
    "time_parts": ("time", "time_parts", 1e-5),
    "time_parts_all": (
        "time",
        {"name": "time_parts", "parts": ["elapsed", "day_of_month", "weekday", "hour", "day_of_year"], "indicator": "never"},
        1e-5,
    ),
}
TRAIN = {"number": NUMBERS, "string": STRINGS, "time": TIMES}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": st.one_of(
        st.just(NAN),
        st.sampled_from([float(value) for value in NUMBERS[:50]]),
        st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False),
        st.floats(-50, 500, width=32, allow_subnormal=False),
    ),
    "string": st.one_of(
        st.sampled_from(["", "red", "café", "a", "Red", "red "]), st.text(st.characters(codec="utf-8", exclude_characters="\0"))
    ),
    "time": st.one_of(st.just(MISSING_TIME), st.integers(-60_000_000_000, 250_000_000_000)),
}


def as_column(kind: str, values: list[Any]) -> np.ndarray:
    return {"number": floats, "string": texts, "time": lambda v: np.array(v, np.int64)}[kind](values)


@cache
def fitted(case: str) -> Fitted:
    kind, spec, _ = EXTRACTORS[case]
    return fit_column(TRAIN[kind], spec, target=TARGET)


@pytest.mark.parametrize("case", EXTRACTORS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_graph_equals_reference(case: str, data: st.DataObject) -> None:
    kind, _, tolerance = EXTRACTORS[case]
    values = as_column(kind, data.draw(st.lists(VALUES[kind], min_size=1, max_size=30)))
    of_graph, expected = fitted(case).of_column("x", values), fitted(case).reference("x", values)
    assert of_graph.shape == expected.shape
    # Beyond float32's range of exactness a value's own rounding dominates: relative there, absolute near 1.
    np.testing.assert_allclose(of_graph, expected, atol=tolerance, rtol=1e-5 if tolerance else 0)


@pytest.mark.parametrize("case", EXTRACTORS)
def test_graph_equals_reference_on_training_values(case: str) -> None:
    kind, _, tolerance = EXTRACTORS[case]
    np.testing.assert_allclose(
        fitted(case).of_column("x", TRAIN[kind]), fitted(case).reference("x", TRAIN[kind]), atol=tolerance, rtol=1e-5
    )


@pytest.mark.parametrize("case", EXTRACTORS)
def test_permuted_rows_give_permuted_features_and_one_row_is_enough(case: str) -> None:
    values = TRAIN[EXTRACTORS[case][0]]
    whole = fitted(case).of_column("x", values)
    order = np.random.default_rng(1).permutation(len(values))
    np.testing.assert_array_equal(fitted(case).of_column("x", values[order]), whole[order])
    for at in (0, len(values) - 1):
        np.testing.assert_allclose(fitted(case).of_column("x", values[at : at + 1]), whole[at : at + 1], atol=1e-6)


@pytest.mark.parametrize("case", EXTRACTORS)
def test_no_rows_give_no_rows(case: str) -> None:
    values = TRAIN[EXTRACTORS[case][0]][:0]
    assert fitted(case).of_column("x", values).shape == (0, sum(block.width for block in fitted(case).blocks("x")))


@pytest.mark.parametrize("case", EXTRACTORS)
def test_blocks_cover_the_outputs(case: str) -> None:
    of_case = fitted(case)
    outputs = of_case.run({"x": TRAIN[EXTRACTORS[case][0]]})
    spec = of_case.features.spec
    assert {name: values.shape[1] for name, values in outputs.items()} == {
        name: width for name, width in (("dense", spec.n_dense), ("ids", spec.n_ids)) if width
    }
    given = EXTRACTORS[case][1]
    for block in spec.blocks:
        assert (block.column, block.extractor) == ("x", given if isinstance(given, str) else given["name"])
        assert len(block.names) == block.width
        if block.tensor == "ids":
            ids = outputs["ids"][:, block.start : block.start + block.width]
            assert ids.dtype == np.int64
            assert 0 <= ids.min() <= ids.max() < block.cardinality
        else:
            assert outputs["dense"].dtype == np.float32


@pytest.mark.parametrize("case", EXTRACTORS)
def test_graph_is_a_valid_model_of_the_promised_versions_and_deterministic(case: str) -> None:
    kind, spec, _ = EXTRACTORS[case]
    model = fitted(case).features.model
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 10
    assert not [tensor.name for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.DOUBLE]
    assert {(opset.domain, opset.version) for opset in model.opset_import} <= {("", 21), ("ai.onnx.ml", 4)}
    again = fit_column(TRAIN[kind], spec, target=TARGET).features.model
    assert again.SerializeToString(deterministic=True) == model.SerializeToString(deterministic=True)


@pytest.mark.parametrize("case", [case for case in EXTRACTORS if EXTRACTORS[case][0] == "number"])
def test_double_columns_go_in_as_float64_and_come_out_as_float32(case: str) -> None:
    of_case = fit_column(NUMBERS.astype(np.float64), EXTRACTORS[case][1], target=TARGET)
    values = NUMBERS.astype(np.float64)
    found = of_case.of_column("x", values)
    assert found.dtype == (np.int64 if of_case.features.spec.n_ids else np.float32)
    np.testing.assert_allclose(found, fitted(case).of_column("x", NUMBERS), atol=2e-4)


def test_standardize_keeps_the_precision_of_a_double_column() -> None:
    values = 1e9 + np.arange(10, dtype=np.float64)
    expected = (np.arange(10) - 4.5) / np.arange(10).std()
    np.testing.assert_allclose(fit_column(values, "standardize").of_column("x", values)[:, 0], expected, atol=1e-5)


@pytest.mark.parametrize("case", EXTRACTORS)
def test_stacked_columns_equal_single_ones(case: str) -> None:
    kind, spec, _ = EXTRACTORS[case]
    values = TRAIN[kind]
    others = {"b": np.roll(values, 7), "x": values, "c": values[::-1].copy()}
    if kind == "number":
        others["c"] = np.nan_to_num(others["c"])  # one column without missing values: no indicator of its own
    of_three = fit_table(others, FeaturePlan(columns=dict.fromkeys(others, spec)), target=TARGET)
    outputs = of_three.run(others)
    found = np.column_stack([outputs[b.tensor][:, b.start : b.start + b.width] for b in of_three.blocks("x")])
    # Equal up to the last bit of a product with a wider matrix.
    np.testing.assert_allclose(found, fitted(case).of_column("x", values), atol=1e-6)
    if kind != "string":
        n_nodes = [len(one.features.model.graph.node) for one in (of_three, fitted(case))]
        assert n_nodes[0] <= n_nodes[1] + 3, "nodes grow with columns"


@pytest.mark.parametrize("case", EXTRACTORS)
@pytest.mark.parametrize("n_rows", [1, 5])
def test_constant_training_parts(case: str, n_rows: int) -> None:
    kind, spec, tolerance = EXTRACTORS[case]
    missing, usual = {"number": (NAN, 3.0), "string": ("", "red"), "time": (MISSING_TIME, 1_600_000_000)}[kind]
    of_case = fit_column(as_column(kind, [usual] * n_rows), spec, target=TARGET[:n_rows])
    asked = as_column(kind, [usual, missing])
    found = of_case.of_column("x", asked)
    assert np.isfinite(found[0]).all()
    np.testing.assert_allclose(found, of_case.reference("x", asked), atol=max(tolerance, 1e-6))


@pytest.mark.parametrize("case", [case for case in EXTRACTORS if EXTRACTORS[case][0] == "number"])
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_any_training_part(case: str, data: st.DataObject) -> None:
    _, spec, tolerance = EXTRACTORS[case]
    # Values that differ by less than float32 tells apart beside the others may fall on either side of an edge.
    some = st.floats(-(2.0**40), 2.0**40, width=32).map(lambda value: value if abs(value) > 2.0**-10 else 0.0)
    values = floats(data.draw(st.lists(st.one_of(some, st.sampled_from([0.0, 1.0, 1.5])), min_size=1, max_size=40)))
    of_case = fit_column(values, spec, target=np.arange(len(values), dtype=np.float64))
    assert np.isfinite(of_case.of_column("x", values)).all()
    expected = of_case.reference("x", values)
    np.testing.assert_allclose(of_case.of_column("x", values), expected, atol=max(tolerance, 1e-4), rtol=1e-4)


@pytest.mark.parametrize("case", EXTRACTORS)
def test_fit_sees_training_rows_only(case: str) -> None:
    kind, spec, _ = EXTRACTORS[case]
    planted = {"number": 1e6, "string": "planted", "time": 4_000_000_000}[kind]
    values = np.concatenate([TRAIN[kind], as_column(kind, [planted] * 300)])
    is_train = np.arange(len(values)) < N_TRAIN
    target = np.concatenate([TARGET, np.ones(300)])
    of_case = fit_column(values, spec, target=target, is_train=is_train)
    assert of_case.features.model.SerializeToString() == fitted(case).features.model.SerializeToString()
