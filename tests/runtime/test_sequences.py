"""Sequence columns at the edge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkit.errors import DataError
from shopkit.runtime import canonicalise
from shopkit.runtime.sequences import cells, graph_feed
from shopkit.schema import MISSING_TIME, Column

SPEND = Column("spend", "number", sequence=True)
ITEM = Column("item", "string", sequence=True)
CODE = Column("code", "string", sequence=True, integer=True)
SEEN = Column("seen", "time", sequence=True)


def as_lists(values: np.ndarray) -> list[list[object]]:
    return [row.tolist() for row in values]


@pytest.mark.parametrize(
    "rows",
    [
        [["a", None], [], None, ["b"]],
        [("a", None), (), float("nan"), ("b",)],
        [np.array(["a", None], object), np.array([], object), None, np.array(["b"])],
        pd.Series([["a", None], [], None, ["b"]]),
        pa.array([["a", None], [], None, ["b"]]),
        pa.array([["x"], ["a", None], [], None, ["b"]]).slice(1),
        pa.chunked_array([pa.array([["a", None], []]), pa.array([None, ["b"]])]),
    ],
)
def test_every_kind_of_list_becomes_the_same(rows):
    assert as_lists(canonicalise(rows, ITEM)) == [["a", ""], [], [], ["b"]]


def test_steps_are_canonical_as_values_of_plain_columns_are():
    (spend,) = canonicalise([[1, None, True]], SPEND)
    assert spend.dtype == np.float32
    np.testing.assert_array_equal(spend, np.array([1, np.nan, 1], np.float32))
    assert as_lists(canonicalise([[3, 3.0, None, "7.0"]], CODE)) == [["3", "3", "", "7"]]
    assert as_lists(canonicalise([["1970-01-02", None]], SEEN)) == [[86_400, MISSING_TIME]]
    assert [row.dtype for row in canonicalise([[], []], SPEND)] == [np.float32, np.float32]


@pytest.mark.parametrize(
    ("rows", "column", "message"),
    [
        (
            [["a"], "b"],
            ITEM,
            r"Column 'item', row 1: 'b' \(str\) is not a list. It is a sequence column: give a list",
        ),
        ([[], ["a"], ["b", 3]], ITEM, r"Column 'item', row 2, step 1: 3 \(int\) is not text"),
        ([[1.0], [2.0, float("inf")]], SPEND, r"Column 'spend', row 1, step 1: inf is not a finite number"),
        (pa.array([["a"], ["1", "b"]]), SPEND, r"Column 'spend', row 0, step 0: 'a' \(str\) is not a number"),
    ],
)
def test_a_wrong_value_is_named_with_its_row_and_step(rows, column, message):
    with pytest.raises(DataError, match=message):
        canonicalise(rows, column)


def test_a_wrong_row_is_numbered_from_the_first_of_its_file():
    with pytest.raises(DataError, match=r"row 101, step 0"):
        canonicalise([[], [3]], ITEM, first_row=100)


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), max_size=6), st.integers(1, 9))
def test_padding_stands_on_the_right_and_lengths_say_where(rows, least):
    raw = {"spend": canonicalise(rows, SPEND), "item": canonicalise([list(map(str, row)) for row in rows], ITEM)}
    names = {"spend": "a", "item": "b"}
    feed = graph_feed(raw, [SPEND, ITEM], names, least=least)
    width = max([least, *map(len, rows)])
    assert feed["a"].shape == feed["b"].shape == (len(rows), width)
    assert feed["a"].dtype == np.float32
    assert feed["lengths"].tolist() == list(map(len, rows))
    for i, row in enumerate(rows):
        assert feed["a"][i, : len(row)].tolist() == row
        assert np.isnan(feed["a"][i, len(row) :]).all()
        assert feed["b"][i].tolist() == [*map(str, row), *[""] * (width - len(row))]


def test_cells_give_each_row_its_own_steps():
    assert as_lists(cells(np.arange(4), np.array([1, 0, 3]))) == [[0], [], [1, 2, 3]]


def test_parallel_sequences_have_one_length():
    raw = {"spend": canonicalise([[1], [1, 2]], SPEND), "item": canonicalise([["a"], ["b"]], ITEM)}
    with pytest.raises(DataError, match=r"Row 1: 'spend' has 2 steps and 'item' has 1\. The sequences of a row run side by side"):
        graph_feed(raw, [SPEND, ITEM], {"spend": "spend", "item": "item"})


@pytest.mark.parametrize(
    "row",
    [
        np.array(["2024-01-01", "NaT"], "M8[ns]"),
        np.array(["2024-01-01", "NaT"], "M8[s]"),
        pd.Series(pd.to_datetime(["2024-01-01", None])).astype("datetime64[ns]"),
        pd.Series(pd.to_datetime(["2024-01-01", None])).dt.tz_localize("UTC"),
        pd.DatetimeIndex(["2024-01-01", None]),
    ],
)
def test_the_times_of_a_row_may_be_numpys_or_pandas(row: Any) -> None:
    (found,) = canonicalise([row], Column("at", "time", sequence=True))
    assert found.tolist() == [1_704_067_200, MISSING_TIME]


@pytest.mark.parametrize("row", [pd.Series(["a", None]), pd.Index(["a", None]), np.array(["a", None], object)])
def test_a_row_may_be_of_pandas(row: Any) -> None:
    (found,) = canonicalise([row], Column("items", "string", sequence=True))
    assert found.tolist() == ["a", ""]


@pytest.mark.parametrize("row", [np.zeros((2, 2)), pd.DataFrame({"a": [1, 2]}), {1, 2}])
def test_a_row_of_another_shape_is_refused(row: object) -> None:
    with pytest.raises(DataError, match=r"(?s)Column 'x', row 0: .* is not a list\. It is a sequence column"):
        canonicalise([row], Column("x", "number", sequence=True))
