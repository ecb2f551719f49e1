"""Splits of a file, whose columns are never in memory whole, and of no rows at all."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopkit.errors import DataError
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


def test_a_column_of_a_file_takes_the_memory_it_is_given_and_no_more(table: tuple[Path, dict[str, np.ndarray]]) -> None:
    rows = Rows.of_file(SCHEMA, N, table[0], memory=100_000)
    for of in (rows.codes, rows.distinct):
        with pytest.raises(duckdb.OutOfMemoryException):
            of("who")


@pytest.mark.parametrize("split", [StratifiedSplit(StratifiedSplitSettings()), SPLITS[-1]], ids=["stratified", "given"])
def test_no_rows_leave_a_part_without_rows(split: Split) -> None:
    rows = Rows(SCHEMA, 0, lambda _: np.array([], object))
    message = (
        "The split leaves the train part without rows (train 0, validation 0, test 0, of 0). Give more rows or other fractions."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        assign(split, rows)
