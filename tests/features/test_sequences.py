"""Sequence columns through the feature graph. That steps become what values alone do is in the conformance suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopkit.errors import ConfigError, DataError
from shopkit.features.base import FeatureBlock, State
from shopkit.features.graph import FittedFeatures, fit
from shopkit.features.plan import ResolvedPlan, resolve
from shopkit.features.sequences import steps_context
from shopkit.features.settings import FeaturePlan
from shopkit.features.tensors import take
from shopkit.features.training_part import training_part
from shopkit.features.transform import footprint, session, transform
from shopkit.features.vocabulary import Vocabulary
from shopkit.registry import load_registry
from shopkit.runtime.sequences import graph_feed
from shopkit.schema import INPUT_PREFIX, LENGTHS_INPUT, MISSING_TIME, Column, Schema

COLUMNS = (
    Column("item", "string", sequence=True),
    Column("spend", "number", sequence=True),
    Column("age", "number"),
    Column("town", "string"),
)
ROWS: dict[str, list[Any]] = {
    "item": [["tea", "", "milk"], [], ["tea"], ["tea", "bread"]],
    "spend": [[1.0, float("nan"), 3.0], [], [5.0], [2.0, 2.5]],
    "age": [30.0, 40.0, float("nan"), 50.0],
    "town": ["ulm", "", "bonn", "ulm"],
}
READS = frozenset({"features:sequences"})


def write(folder: Path, rows: Mapping[str, list[Any]] = ROWS) -> Path:
    types = {"item": pa.list_(pa.string()), "spend": pa.list_(pa.float32()), "age": pa.float32(), "town": pa.string()}
    path = folder / "examples.parquet"
    pq.write_table(pa.table({name: pa.array(values, types[name]) for name, values in rows.items()}), path)
    return path


def fitted(folder: Path, tags: frozenset[str] = READS, **settings: Any) -> tuple[FittedFeatures, ResolvedPlan]:
    path = write(folder)
    target = np.array([0, 1, 0, 1])
    with training_part(path, np.ones(4, bool), target) as context:
        plan = resolve(FeaturePlan(**settings), Schema(COLUMNS), context, tags, load_registry())
        return fit(plan, context), plan


def run(features: FittedFeatures, rows: Mapping[str, list[Any]], least: int = 1) -> dict[str, np.ndarray]:
    from shopkit.runtime import canonicalise

    raw = {column.name: canonicalise(rows[column.name], column) for column in COLUMNS}
    feed = graph_feed(raw, COLUMNS, {name: INPUT_PREFIX + name for name in raw}, LENGTHS_INPUT, least=least)
    graph = session(features.model)
    names = [value.name for value in graph.get_outputs()]
    return dict(zip(names, graph.run(names, feed), strict=True))


def test_plain_and_sequence_columns_stand_in_tensors_of_their_own(tmp_path):
    features, _ = fitted(tmp_path)
    found = run(features, ROWS)
    assert found["sequence_ids"][:, :, 0].tolist() == [[2, 0, 4], [0, 0, 0], [2, 0, 0], [2, 3, 0]]
    assert found["lengths"].tolist() == [3, 0, 1, 2]
    logs = np.log1p([1, 3, 5, 2, 2.5])
    scaled = (logs - logs.mean()) / logs.std()
    np.testing.assert_allclose(found["sequence_dense"][[0, 0, 2, 3, 3], [0, 2, 0, 0, 1], 0], scaled, atol=1e-6)
    # The second step of the first row is a missing number: 0, and said to be missing.
    assert found["sequence_dense"][0, 1].tolist() == [0, 1]
    assert not found["sequence_dense"][1].any()
    assert set(found) == {"dense", "sequence_dense", "sequence_ids", "lengths"}
    assert features.spec.widths == {"dense": found["dense"].shape[1], "sequence_dense": 2, "sequence_ids": 1}
    assert features.spec.sequence_cardinalities == (5,)
    shapes = {value.name: [dim.dim_param for dim in value.type.tensor_type.shape.dim] for value in features.model.graph.input}
    assert shapes == {
        "column.item": ["N", "L"], "column.spend": ["N", "L"], "column.age": ["N"], "column.town": ["N"], LENGTHS_INPUT: ["N"]
    }  # fmt: skip
    assert sorted(footprint(features.model).columns) == ["item", "spend"]


@pytest.mark.parametrize(("keep", "kept"), [("latest", slice(-2, None)), ("earliest", slice(0, 2))])
def test_of_a_longer_sequence_the_chosen_end_is_read(tmp_path, keep, kept):
    features, _ = fitted(tmp_path, max_length=2, keep=keep)
    cut = {name: [row[kept] if isinstance(row, list) else row for row in rows] for name, rows in ROWS.items()}
    for least in (1, 6):
        whole, short = run(features, ROWS, least), run(features, cut, least)
        for name in whole:
            np.testing.assert_array_equal(whole[name], short[name])
        assert whole["sequence_ids"].shape[1] == 2
        assert whole["lengths"].tolist() == [2, 0, 1, 2]


class WithRest(Vocabulary):
    """A vocabulary that also gives what is not read."""

    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        return tuple(replace(block, rest=True) for block in super().blocks(column, state))


@pytest.mark.parametrize("keep", ["latest", "earliest"])
@pytest.mark.parametrize("max_length", [0, 1, 2, 3, 5])
def test_the_rest_of_a_sequence_is_given_where_it_is_wanted(tmp_path, monkeypatch, keep, max_length):
    monkeypatch.setattr("shopkit.features.vocabulary.Vocabulary", WithRest)
    features, _ = fitted(tmp_path, max_length=max_length, keep=keep)
    assert features.spec.shapes["rest_ids"] == ("R", 1)
    arrays = transform(features.model, features.spec, tmp_path / "examples.parquet", {"train": np.ones(4, bool)})
    n_read = max_length or 3
    for found in (run(features, ROWS), run(features, ROWS, least=6), take(arrays["train"], slice(None))):
        for row, ids in zip(found["rest_ids"][:, :, 0].tolist(), [[2, 0, 4], [], [2], [2, 3]], strict=True):
            expected = ids[n_read:] if keep == "earliest" else ids[: max(0, len(ids) - n_read)]
            assert [value for value in row if value] == [value for value in expected if value]
    alone = run(features, {name: rows[2:3] for name, rows in ROWS.items()})
    assert not alone["rest_ids"].any()  # its one step is read


def test_what_stands_beyond_a_row_means_nothing(tmp_path):
    features, _ = fitted(tmp_path)
    raw = {name: np.array(ROWS[name], np.float32 if name == "age" else object) for name in ("age", "town")}
    feed = {INPUT_PREFIX + name: values[:1] for name, values in raw.items()}
    answers = []
    for item, spend in (("", np.nan), ("tea", 7.0)):
        feed[INPUT_PREFIX + "item"] = np.array([["milk", item]], object)
        feed[INPUT_PREFIX + "spend"] = np.array([[1.0, spend]], np.float32)
        answers.append(session(features.model).run(None, {**feed, LENGTHS_INPUT: np.array([1])}))
    for first, second in zip(*answers, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("keep", ["latest", "earliest"])
@pytest.mark.parametrize("max_length", [0, 2])
def test_a_length_counts_the_steps_that_there_are(tmp_path, keep, max_length):
    features, _ = fitted(tmp_path, max_length=max_length, keep=keep)
    feed = {INPUT_PREFIX + "age": np.ones(3, np.float32), INPUT_PREFIX + "town": np.array(["ulm"] * 3, object)}
    feed[INPUT_PREFIX + "item"] = np.array([["tea", "bread", "milk"]] * 3, object)
    feed[INPUT_PREFIX + "spend"] = np.array([[1.0, 3.0, 5.0]] * 3, np.float32)
    too_long, exact = (
        session(features.model).run(None, {**feed, LENGTHS_INPUT: np.array(lengths)}) for lengths in ([9, 3, -2], [3, 3, 0])
    )
    for first, second in zip(too_long, exact, strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_step_has_the_target_and_the_weight_of_its_row(tmp_path):
    target, weight = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 0.5, 0.25, 2.0])
    with training_part(write(tmp_path), np.ones(4, bool), target, weight) as context:
        steps = steps_context(context, "item")
        found = steps.table.mutate(y=steps.target, w=steps.weight).order_by(steps.row).to_pyarrow()
    assert found["item"].to_pylist() == ["tea", "", "milk", "tea", "tea", "bread"]
    assert found["y"].to_pylist() == [0, 0, 0, 2, 3, 3]
    assert found["w"].to_pylist() == [1, 1, 1, 0.25, 2, 2]


def test_arrays_for_training_are_padded_where_they_are_sliced(tmp_path):
    features, _ = fitted(tmp_path)
    parts = {"train": np.array([True, True, False, False]), "test": np.array([False, False, True, True])}
    arrays = transform(features.model, features.spec, tmp_path / "examples.parquet", parts, tmp_path)
    whole = run(features, ROWS)
    for part, rows in parts.items():
        for name, values in take(arrays[part], slice(None)).items():
            expected = whole[name][rows]
            if name.startswith("sequence_"):
                expected = expected[:, : max(1, whole["lengths"][rows].max())]
            np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("in_files", [True, False])
def test_steps_may_be_times_and_exact_numbers(tmp_path, in_files):
    day = 86_400
    rows = [[0, day // 4], [], [day // 2], [MISSING_TIME, 0]]
    at, exact = (
        pa.array(rows, pa.list_(pa.int64())),
        pa.array([[1e8 + 1, 1e8], [], [1e8 + 2], [1e8, 1e8]], pa.list_(pa.float64())),
    )
    pq.write_table(pa.table({"at": at, "exact": exact}), tmp_path / "examples.parquet")
    schema = Schema((Column("at", "time", sequence=True), Column("exact", "number", sequence=True, double=True)))
    chosen = {"at": {"name": "time_parts", "parts": ["hour"]}, "exact": "standardize"}
    with training_part(tmp_path / "examples.parquet", np.ones(4, bool)) as context:
        features = fit(resolve(FeaturePlan(columns=chosen), schema, context, READS, load_registry()), context)
    parts = {"train": np.ones(4, bool)}
    folder = tmp_path if in_files else None
    found = take(transform(features.model, features.spec, tmp_path / "examples.parquet", parts, folder)["train"], slice(None))
    assert found["lengths"].tolist() == [2, 0, 1, 2]
    scaled = (np.array([1, 0, 2, 0, 0]) - 0.6) / np.array([1, 0, 2, 0, 0]).std()  # sine, cosine, is missing, and the number
    expected = [[[0, 1, 0], [1, 0, 0]], [[0, 0, 0]] * 2, [[0, -1, 0], [0, 0, 0]], [[0, 0, 1], [0, 1, 0]]]
    np.testing.assert_allclose(found["sequence_dense"][:, :, :3], expected, atol=1e-6)
    np.testing.assert_allclose(found["sequence_dense"][[0, 0, 2, 3, 3], [0, 1, 0, 0, 1], 3], scaled, atol=1e-6)


def test_a_model_that_reads_no_sequences_is_given_none(tmp_path):
    features, plan = fitted(tmp_path, tags=frozenset())
    assert [column.note for column in plan.schema if column.sequence] == ["a sequence, which this model does not read"] * 2
    assert not features.spec.has_sequences
    assert [value.name for value in features.model.graph.input] == ["column.age", "column.town"]


def test_sequences_alone_are_features_enough(tmp_path):
    features, _ = fitted(tmp_path, ignore=["age", "town"])
    arrays = transform(features.model, features.spec, tmp_path / "examples.parquet", {"train": np.ones(4, bool)})
    assert set(arrays["train"]) == {"sequence_dense", "sequence_ids", "lengths"}


def test_an_extractor_is_chosen_for_a_sequence_as_for_any_column(tmp_path):
    features, plan = fitted(tmp_path, columns={"item": "one_hot", "spend": {"name": "bucketize", "n_bins": 2}})
    assert [a.why for a in plan.assignments][:2] == ["chosen for this column"] * 2
    assert features.spec.widths["sequence_dense"] == 4
    assert features.spec.sequence_cardinalities == (4,)


def test_edges_of_steps_stand_where_the_target_of_their_row_jumps(tmp_path):
    # Of the present steps 1, 3 and 5 are in rows of target 0, 2 and 2.5 in a row of target 1.
    features, _ = fitted(tmp_path, columns={"spend": {"name": "piecewise_linear", "edges": "target", "n_bins": 3}})
    found = run(features, {**ROWS, "spend": [[1.0, 2.0, 2.5], [], [3.0], [5.0, 1.0]]})["sequence_dense"]
    filled = [(steps[:3] > 0).sum() for steps in (*found[0], found[2, 0], *found[3, :2])]
    assert filled == [0, 2, 2, 3, 3, 0]


def test_target_rates_are_refused_for_sequences(tmp_path):
    with pytest.raises(ConfigError, match="values of their own, which the steps of the sequence 'item' cannot have"):
        fitted(tmp_path, columns={"item": "target_rate"})


def test_without_plain_columns_a_model_that_reads_no_sequences_is_told_so(tmp_path):
    with pytest.raises(DataError, match=r"No feature column is left: .*a sequence, which this model does not read"):
        fitted(tmp_path, tags=frozenset(), ignore=["age", "town"])


def test_a_negative_limit_is_refused():
    with pytest.raises(ConfigError, match=r"features.max_length is -1; it must be at least 0"):
        FeaturePlan(max_length=-1)
