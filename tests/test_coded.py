"""A column of a file as numbers: those that numpy gives for all of it in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shopkit.coded import coded
from shopkit.schema import PARTS, Column, Schema
from shopkit.split import Rows
from shopkit.split.base import NAMES, Split, assign
from shopkit.split.given import GivenSplit
from shopkit.split.group import GroupSplit
from shopkit.split.group_kfold import GroupKfoldSplit
from shopkit.split.kfold import KfoldSplit
from shopkit.split.leave_last_out import LeaveLastOutSplit
from shopkit.split.settings import (
    GivenSplitSettings,
    GroupKfoldSplitSettings,
    GroupSplitSettings,
    KfoldSplitSettings,
    LeaveLastOutSplitSettings,
    StratifiedSplitSettings,
)
from shopkit.split.stratified import StratifiedSplit

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
VALUES = st.one_of(
    st.lists(TEXTS, min_size=1, max_size=60).map(lambda texts: np.array(texts, object)),
    st.lists(st.integers(-5, 5) | st.integers(-(2**62), 2**62), min_size=1, max_size=60).map(lambda n: np.array(n, np.int64)),
    st.lists(st.floats(width=32) | st.sampled_from([0.0, -0.0]), min_size=1, max_size=60).map(lambda n: np.array(n, np.float32)),
    st.lists(st.floats() | st.just(float("nan")), min_size=1, max_size=60).map(np.array),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES, st.integers(1, 20))
def test_codes_and_values_are_those_of_numpy(tmp_path: Path, values: np.ndarray, rows_a_group: int) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(
        pa.table({'a "name"': values, "place": values, "value": values, "examples": values}), path, row_group_size=rows_a_group
    )
    in_memory = Rows(Schema(()), len(values), lambda _: values)
    with coded(path, 'a "name"') as found:
        codes, distinct = found.codes(len(values)), found.distinct()
        assert found.n_distinct == len(distinct)
    assert codes.dtype == np.int32
    np.testing.assert_array_equal(codes, in_memory.codes("x"))
    np.testing.assert_array_equal(distinct.astype(str) if values.dtype == object else distinct, in_memory.distinct("x"))
    assert distinct.dtype == values.dtype


N = 20_000
SCHEMA = Schema(
    (Column("at", "time", "time"), Column("y", "string", "target"), Column("who", "string", "group"), Column("part", "string"))
)
SPLITS: list[Split] = [
    GroupSplit(GroupSplitSettings(seed=3)),
    GroupKfoldSplit(GroupKfoldSplitSettings(fold=1)),
    StratifiedSplit(StratifiedSplitSettings(seed=1)),
    KfoldSplit(KfoldSplitSettings(fold=2)),
    LeaveLastOutSplit(LeaveLastOutSplitSettings()),
    GivenSplit(GivenSplitSettings("part", match="pattern", train="^a", validation="^b", test="^c")),
]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    columns = {
        "at": rng.integers(0, 500, N) * 3600,
        "y": rng.choice(np.array(["yes", "no", "", "perhaps"], object), N, p=[0.1, 0.6, 0.1, 0.2]),
        "who": np.array([f"customer {i}" if i else "" for i in rng.integers(0, 3_000, N)], object),
        "part": np.array([f"{'abc'[i % 3]}{i}" for i in rng.integers(0, 40, N)], object),
    }
    path = tmp_path_factory.mktemp("rows") / "examples.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=1_500)
    return path, columns


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: type(split).__name__)
def test_a_split_of_a_file_is_that_of_its_columns_in_memory(split: Split, table: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, columns = table
    parts = assign(split, Rows.of_file(SCHEMA, N, path, memory=64 << 20))
    assert parts.dtype == np.int8
    assert set(NAMES[parts]) == set(PARTS)
    np.testing.assert_array_equal(parts, assign(split, Rows(SCHEMA, N, columns.__getitem__)))
