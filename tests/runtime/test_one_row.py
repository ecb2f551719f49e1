from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkit.errors import DataError
from shopkit.runtime import Predictor
from shopkit.runtime.canonical import canonical_value
from shopkit.runtime.one_row import OneRow
from shopkit.schema import Column
from tests.handmade import exported_file

COLUMNS = [(Column("price", "number"), "price"), (Column("color", "string"), "color"), (Column("pages", "number"), "in/pages")]
NUMBERS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(width=32, allow_infinity=False)


@given(NUMBERS, st.none() | st.text(st.characters(codec="utf-8")), NUMBERS)
def test_a_row_at_once_is_its_values_one_by_one(price: object, color: object, pages: object) -> None:
    row = {"pages": pages, "color": color, "price": price}
    found = OneRow(COLUMNS).feed(row)
    if found is None:  # what needs a closer look goes the slow way
        assert isinstance(color, str)
        assert not color.isascii()
        return
    for column, name in COLUMNS:
        expected = canonical_value(row[column.name], column)
        assert found[name].dtype == expected.dtype
        assert found[name].shape == (1,)
        np.testing.assert_array_equal(found[name], expected)


@pytest.mark.parametrize("price", [1e39, -math.inf, math.inf, 10**400, "3", np.datetime64("2024-01-01")])
def test_values_that_need_a_closer_look(price: object) -> None:
    assert OneRow(COLUMNS).feed({"price": price, "color": "red", "pages": 1}) is None


@pytest.mark.parametrize(
    "column",
    [
        Column("at", "time"),
        Column("x", "number", double=True),
        Column("x", "string", integer=True),
        Column("x", "number", sequence=True),
    ],
)
def test_columns_that_need_a_closer_look(column: Column) -> None:
    assert OneRow([*COLUMNS, (column, column.name)]).feed({"price": 1, "color": "red", "pages": 1, column.name: 1}) is None


def test_a_missing_column_is_named() -> None:
    with pytest.raises(KeyError, match="color"):
        OneRow(COLUMNS).feed({"price": 1, "pages": 1})


@pytest.mark.parametrize("row", [{"price": 2.5, "color": "red"}, {"price": None, "color": None}, {"price": True, "color": "röt"}])
def test_all_ways_to_ask_give_one_answer(row: dict[str, object], tmp_path: Path) -> None:
    predictor = Predictor(exported_file(tmp_path))
    answer = predictor({**row, "customer": 7})
    assert list(answer) == ["customer", "probability", "label"]
    assert type(answer["probability"]) is float
    assert type(answer["label"]) is str
    assert predictor([{**row, "customer": 7}]) == [answer]
    frame = predictor(pd.DataFrame([{**row, "customer": 7}], index=["a"]))
    assert frame.index.tolist() == ["a"]
    assert frame.to_dict("records") == [pytest.approx(answer)]


def test_a_frame_without_rows_has_an_answer_without_rows(tmp_path: Path) -> None:
    frame = Predictor(exported_file(tmp_path))(pd.DataFrame({"price": np.empty(0), "color": np.empty(0, object)}))
    assert list(frame.columns) == ["probability", "label"]
    assert len(frame) == 0


def test_a_value_of_another_type_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Column 'price', row 0: 'dear' \\(str\\) is not a number"):
        Predictor(exported_file(tmp_path))({"price": "dear", "color": "red"})
