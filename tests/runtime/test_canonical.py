from __future__ import annotations

import datetime as dt
import decimal
import math
import re
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkit.errors import DataError
from shopkit.runtime.canonical import canonical_value, canonicalise
from shopkit.schema import MISSING_TIME, Column

NUMBER = Column("price", "number")
TEXT = Column("color", "string")
CODE = Column("browser", "string", integer=True)
TIME = Column("at", "time")
LOCAL = Column("at", "time", unit="America/New_York")


@pytest.mark.parametrize(
    "values",
    [
        [1.5, None, True],
        [1.5, float("nan"), 1],
        [decimal.Decimal("1.5"), pd.NA, True],
        pd.Series([1.5, None, 1.0]),
        pd.Series([1.5, None, 1.0], dtype="Float64"),
        np.array([1.5, np.nan, 1.0]),
    ],
)
def test_numbers_become_float32_with_nan(values: object) -> None:
    result = canonicalise(values, NUMBER)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, np.array([1.5, np.nan, 1.0], np.float32))


def test_a_double_column_keeps_float64() -> None:
    assert canonicalise([0.1], Column("x", "number", double=True))[0] == 0.1


@pytest.mark.parametrize(
    "values",
    [
        ["red", None, ""],
        pd.Series(["red", None, ""]),
        pd.Series(["red", pd.NA, ""], dtype="string"),
        pd.Categorical(["red", None, ""]),
        np.array(["red", "", ""]),
    ],
)
def test_strings_become_objects_with_empty_for_missing(values: object) -> None:
    result = canonicalise(values, TEXT)
    assert result.dtype == object
    assert result.tolist() == ["red", "", ""]
    assert all(type(value) is str for value in result)


@pytest.mark.parametrize(
    "values",
    [[3, None], [3.0, float("nan")], ["3", ""], ["3.0", pd.NA], pd.Series([3, None]), pd.Series([3, None], dtype="Int64")],
)
def test_whole_numbers_become_their_text(values: object) -> None:
    assert canonicalise(values, CODE).tolist() == ["3", ""]


@pytest.mark.parametrize("values", [[2**60 + 1, None], pa.array([2**60 + 1, None]), pd.Series([2**60 + 1, None], dtype="Int64")])
def test_large_ids_stay_exact(values: object) -> None:
    assert canonicalise(values, CODE).tolist() == [str(2**60 + 1), ""]


def test_arrow_columns_are_read() -> None:
    assert canonicalise(pa.array(["a", None]).dictionary_encode(), TEXT).tolist() == ["a", ""]
    assert canonicalise(pa.chunked_array([[1.5], [None]]), NUMBER)[0] == 1.5
    berlin = pa.array([dt.datetime(2017, 6, 30, 18)], pa.timestamp("ms", "Europe/Berlin"))
    assert canonicalise(berlin, Column("at", "time", unit="Asia/Tokyo")).tolist() == [1498845600]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["2017-06-30 18:00:00", None], 1498845600),
        ([dt.datetime(2017, 6, 30, 18), pd.NaT], 1498845600),
        ([dt.datetime(2017, 6, 30, 20, tzinfo=dt.timezone(dt.timedelta(hours=2))), None], 1498845600),
        (np.array(["2017-06-30T18:00:00", "NaT"], "datetime64[ns]"), 1498845600),
        (pd.Series(pd.to_datetime(["2017-06-30 18:00:00", None])), 1498845600),
        (pd.Series(pd.to_datetime(["2017-06-30 18:00:00", None]).tz_localize("UTC").tz_convert("Asia/Tokyo")), 1498845600),
        ([dt.date(2017, 6, 30), None], 1498780800),
        ([1498845600, None], 1498845600),
        (np.array([1498845600, MISSING_TIME]), 1498845600),
    ],
)
def test_times_become_seconds(values: object, expected: int) -> None:
    assert canonicalise(values, TIME).tolist() == [expected, MISSING_TIME]


@pytest.mark.parametrize(
    "values", [["2017-06-30 18:00:00"], np.array(["2017-06-30T18:00:00"], "datetime64[s]"), [dt.datetime(2017, 6, 30, 18)]]
)
def test_a_naive_time_is_read_in_the_columns_zone(values: object) -> None:
    assert canonicalise(values, Column("at", "time", unit="Europe/Berlin")).tolist() == [1498838400]


@pytest.mark.parametrize("text", ["7", " 7", "7 ", "+7", "7.", "7.0", " +7.00 "])
def test_a_whole_number_is_one_however_it_is_written(text: str) -> None:
    assert canonicalise([text, "-7", "007", "7.5", "+-7", "x 7"], CODE).tolist() == ["7", "-7", "007", "7.5", "+-7", "x 7"]


class PolarsSeries:
    """As much of one as is needed: polars itself need not be installed."""

    __module__ = "polars.series.series"

    def __init__(self, values: list[object]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def to_list(self) -> list[object]:
        return self.values

    def to_numpy(self) -> np.ndarray:
        raise AssertionError("whole numbers with a missing one would come as floats")


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ([2**53 + 1, None], CODE),
        ([1.5, None], NUMBER),
        ([dt.datetime(2017, 6, 30, 18, tzinfo=dt.UTC), None], TIME),
        ([["a", None], None], Column("items", "string", sequence=True)),
    ],
)
def test_a_series_of_polars_is_the_list_of_its_values(values: list[object], column: Column) -> None:
    found, expected = canonicalise(PolarsSeries(values), column), canonicalise(values, column)
    assert str(found.tolist()) == str(expected.tolist())


def test_before_1970_rounds_down() -> None:
    assert canonicalise(["1969-12-31 23:59:58.5"], TIME).tolist() == [-2]


@pytest.mark.parametrize(
    ("values", "column", "message"),
    [
        ([1.0, "abc"], NUMBER, r"Column 'price', row 11: 'abc' \(str\) is not a number\."),
        ([1.0, float("inf")], NUMBER, r"Column 'price', row 11: inf is not a finite number\."),
        (np.array([1.0, 1e300]), NUMBER, r"Column 'price', row 11: 1e\+300 is not a finite number"),
        (["a", 3], TEXT, r"Column 'color', row 11: 3 \(int\) is not text"),
        (["a", True], TEXT, r"Column 'color', row 11: True \(bool\) is not text"),
        (["a", b"a"], TEXT, r"Column 'color', row 11: b'a' \(bytes\) is not text"),
        (np.array([3, 4]), TEXT, r"Column 'color', row 10: .*3.* is not text"),
        ([1, True], CODE, r"Column 'browser', row 11: True \(bool\) is not a whole number or its text"),
        ([1, 2.5], CODE, r"Column 'browser', row 11: 2\.5 \(float\) is not a whole number"),
        (["2017-01-01", "2017-13-01"], TIME, r"Column 'at', row 11: '2017-13-01' \(str\) is not a time, e\.g\. "),
        ([dt.date(2017, 1, 1), 1.5], TIME, r"Column 'at', row 11: 1\.5 \(float\) is not a time"),
        ([1.0, np.timedelta64(3, "ns")], NUMBER, r"row 11: np\.timedelta64\(3,'ns'\) \(timedelta64\) is not a number"),
        (np.array([3], "m8[s]"), NUMBER, r"row 10: .* \(timedelta64\) is not a number"),
        (pa.array([dt.timedelta(1)]), NUMBER, r"row 10: .* \(timedelta64\) is not a number"),
        (pa.array([[1], None]), NUMBER, r"row 10: .* is not a number"),
        ([1.0, 10**400], NUMBER, r"row 11: inf is not a finite number"),
        ([1, np.timedelta64(3, "ns")], CODE, r"row 11: .* \(timedelta64\) is not a whole number"),
        ([1, decimal.Decimal("2.5")], CODE, r"row 11: Decimal\('2\.5'\) \(Decimal\) is not a whole number"),
        (np.array(["2024-01-01"], "M8[ns]"), CODE, r"row 10: .* \(datetime64\) is not a whole number"),
        ([1, float("inf")], CODE, r"row 11: inf \(float\) is not a whole number"),
        (["1", "caf\udce9"], CODE, r"row 11: 'caf\\udce9' \(str\) is not Unicode"),
        ([0, 2**70], TIME, r"row 11: 1180591620717411303424 \(int\) is not a time"),
        (np.array([2**63 + 5], np.uint64), TIME, r"row 10: .* \(uint64\) is not a time"),
        (np.array([3], "m8[s]"), TIME, r"row 10: .* \(timedelta64\) is not a time"),
        (np.array(["2024-01-01", "20000-01-01"], "M8[s]"), LOCAL, r"row 11: .*20000-01-01.* is not a time"),
        (np.zeros((2, 2)), NUMBER, r"Column 'price': expected one value per row, got an array of shape \(2, 2\)"),
    ],
)
def test_a_wrong_value_is_named_with_its_row(values: object, column: Column, message: str) -> None:
    with pytest.raises(DataError, match=message):
        canonicalise(values, column, first_row=10)


@given(st.lists(st.one_of(st.none(), st.floats(-1e30, 1e30), st.integers(-(2**60), 2**60), st.booleans())))
def test_a_column_is_its_values_one_by_one(values: list[object]) -> None:
    whole = canonicalise(values, NUMBER)
    np.testing.assert_array_equal(whole, [canonical_value(value, NUMBER)[0] for value in values])


@given(
    st.lists(st.one_of(st.none(), st.integers(-(2**70), 2**70), st.integers(0, 99).map(np.int64), st.integers(0, 99).map(str)))
)
def test_a_column_of_codes_is_its_values_one_by_one(values: list[object]) -> None:
    assert canonicalise(values, CODE).tolist() == [canonical_value(value, CODE)[0] for value in values]


@pytest.mark.parametrize("value", [True, np.bool_(True), 2**60, np.float32(1.5), np.int64(7), float("nan"), 1e300, -1e39])
def test_one_number_is_what_a_column_of_it_is(value: object) -> None:
    try:
        expected = canonicalise([value], NUMBER)
    except DataError as error:
        with pytest.raises(DataError, match=re.escape(str(error))):
            canonical_value(value, NUMBER)
    else:
        np.testing.assert_array_equal(canonical_value(value, NUMBER), expected)


class Color(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("values", "column", "expected"),
    [
        ([Color.RED], TEXT, ["red"]),
        ([Color.RED], CODE, ["red"]),
        (np.array(["red", None], np.dtypes.StringDType(na_object=None)), TEXT, ["red", ""]),
        (np.ma.array(["red", "blue"], mask=[True, False]), TEXT, ["", "blue"]),
        (np.ma.array([1.5, 2.5], mask=[True, False]), NUMBER, [math.nan, 2.5]),
        (np.ma.array([1, 2], mask=[True, False]), CODE, ["", "2"]),
        (np.ma.array(np.array([5, 6], "M8[s]"), mask=[True, False]), TIME, [MISSING_TIME, 6]),
        ([decimal.Decimal("1.5"), decimal.Decimal("NaN"), decimal.Decimal("sNaN")], NUMBER, [1.5, math.nan, math.nan]),
        ([decimal.Decimal(2**60 + 1), decimal.Decimal("3.0"), decimal.Decimal("NaN")], CODE, [str(2**60 + 1), "3", ""]),
        (pa.array([2**60, None]), NUMBER, [2.0**60, math.nan]),
        ([np.datetime64("20000-01-01")], TIME, [568_971_820_800]),
        ([np.datetime64("1969-12-31T23:59:59.5")], LOCAL, [-1 + 5 * 3600]),
    ],
)
def test_what_other_libraries_make_of_values(values: Any, column: Column, expected: list[object]) -> None:
    found = canonicalise(values, column)
    np.testing.assert_array_equal(found, np.array(expected, found.dtype))
    singles = values.tolist() if isinstance(values, np.ma.MaskedArray) and column is not TIME else values
    if isinstance(singles, list):
        np.testing.assert_array_equal([canonical_value(value, column)[0] for value in singles], found)


@given(st.lists(st.one_of(st.none(), st.text())))
def test_canonical_strings_are_left_as_they_are(values: list[str | None]) -> None:
    once = canonicalise(values, TEXT)
    assert canonicalise(once, TEXT).tolist() == once.tolist()


@pytest.mark.parametrize("values", [["fine", "caf\udce9"], np.array(["fine", "caf\udce9"])], ids=["list", "array"])
def test_text_that_is_no_unicode_is_refused(values: object) -> None:
    with pytest.raises(DataError, match=r"Column 'text', row 1: 'caf\\udce9' \(str\) is not Unicode: half of a pair"):
        canonicalise(values, Column("text", "string"))
    with pytest.raises(DataError, match=r"Column 'text', row 0: 'caf\\udce9' \(str\) is not Unicode"):
        canonical_value("caf\udce9", Column("text", "string"))
    assert canonical_value("café 中文", Column("text", "string")).tolist() == ["café 中文"]


@given(st.lists(st.sampled_from(["", "red", "3", "3.0", "ä 漢", None]), max_size=60), st.booleans(), st.booleans())
def test_arrow_arrays_that_repeat_themselves_are_as_the_same_values_in_a_list(values, integer, as_dictionary):
    column = Column("c", "string", integer=integer)
    array = pa.array(values, pa.string())
    given_array = array.dictionary_encode() if as_dictionary else array
    expected = canonicalise(values, column)
    np.testing.assert_array_equal(canonicalise(given_array, column), expected)
    np.testing.assert_array_equal(canonicalise(pa.chunked_array([given_array, given_array]), column)[: len(values)], expected)


@pytest.mark.parametrize(
    ("array", "column", "expected"),
    [
        (pa.array([3, None, 3, 2**60] * 9), Column("c", "string", integer=True), ["3", "", "3", str(2**60)] * 9),
        (pa.array([3, None] * 9), Column("c", "number"), [3.0, np.nan] * 9),
        (pa.array([True, None, False] * 9), Column("c", "number"), [1.0, np.nan, 0.0] * 9),
        (pa.array(["2024-03-01", None] * 9), Column("c", "time"), [1_709_251_200, MISSING_TIME] * 9),
        (pa.array(["2024-03-01"] * 9), Column("c", "time", unit="America/New_York"), [1_709_269_200] * 9),
        (
            pa.array([dt.datetime(2024, 3, 1), None] * 9, pa.timestamp("us")),
            Column("c", "time", unit="America/New_York"),
            [1_709_269_200, MISSING_TIME] * 9,
        ),
    ],
)
def test_arrow_arrays_of_few_distinct_values(array, column, expected):
    np.testing.assert_array_equal(canonicalise(array, column), np.array(expected, canonicalise(array, column).dtype))


def test_a_wrong_value_among_repeated_ones_keeps_its_row():
    array = pa.array(["3", "3"] * 30 + ["x", "2024-03-01"] * 20).dictionary_encode()
    with pytest.raises(DataError, match=r"Column 'c', row 100: '3' \(str\) is not a time"):
        canonicalise(array, Column("c", "time"), 100)
    with pytest.raises(DataError, match=r"Column 'c', row 7: 3 \(int\) is not text"):
        canonicalise(pa.array([3] * 9).dictionary_encode(), Column("c", "string"), 7)
