"""Examples as they stand in the file."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit.errors import DataError
from shopkit.runtime.canonical import canonicalise
from shopkit.schema import MISSING_TIME, Kind, Role
from shopkit.sources.base import Tables
from shopkit.sources.database import DatabaseSource
from shopkit.sources.settings import DatabaseSettings
from shopkit.views.base import Examples
from shopkit.views.materialise import Materialised, materialise
from tests.data import as_tables, visits


def made(
    frame: pd.DataFrame, path: Path, types: dict[str, Kind] | None = None, time_zone: str = "UTC", **roles: Role
) -> tuple[Materialised, dict[str, list[object]]]:
    examples = Examples(as_tables(frame, time_zone=time_zone)["data"], roles=roles)
    result = materialise(examples, types or {}, path / "examples.parquet", time_zone)
    return result, pq.read_table(path / "examples.parquet").to_pydict()


# -- canonical values ---------------------------------------------------------------------------------------------


def test_kinds_follow_the_types_of_the_source(tmp_path):
    frame = visits()
    result, _ = made(frame, tmp_path, visit_id="key", at="time", bought="target")
    assert {c.name: (c.kind, c.role) for c in result.schema} == {
        "visit_id": ("string", "key"),
        "at": ("time", "time"),
        "pages": ("number", "feature"),
        "seconds": ("number", "feature"),
        "channel": ("string", "feature"),
        "browser": ("number", "feature"),
        "is_weekend": ("number", "feature"),
        "bought": ("number", "target"),
    }
    types = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "examples.parquet")}
    assert types == {
        **dict.fromkeys(types, "float"),
        "visit_id": "string",
        "at": "int64",
        "channel": "string",
        "bought": "double",
    }


def test_whole_numbers_declared_as_text_are_the_same_text_with_and_without_missing_values(tmp_path):
    for codes in ([3, 5, 3], [3.0, 5.0, np.nan]):
        result, columns = made(pd.DataFrame({"code": codes, "y": [1, 0, 1]}), tmp_path, {"code": "string"}, y="target")
        assert result.schema["code"].integer
        assert columns["code"][:2] == ["3", "5"]
    assert columns["code"][2] == ""


def test_whole_numbers_beyond_a_double_keep_their_digits(tmp_path):
    big = 9_007_199_254_740_993
    frame = pd.DataFrame({"id": pd.array([big, None], "Int64"), "x": [1.0, 2.0], "y": [0, 1]})
    assert made(frame, tmp_path, id="key", y="target")[1]["id"] == [str(big), ""]


def test_times_are_seconds_utc(tmp_path):
    winter, summer = dt.datetime(2024, 1, 1, 12), dt.datetime(2024, 7, 1, 12)
    frame = pd.DataFrame({"at": [summer, winter, None], "day": [dt.date(2024, 1, 1), None, dt.date(2024, 1, 3)], "y": [1, 0, 1]})
    result, columns = made(frame, tmp_path, time_zone="Europe/Berlin", y="target")
    utc = dt.UTC
    assert columns["at"] == [
        dt.datetime(2024, 7, 1, 10, tzinfo=utc).timestamp(),
        dt.datetime(2024, 1, 1, 11, tzinfo=utc).timestamp(),
        MISSING_TIME,
    ]
    assert columns["day"][:2] == [dt.datetime(2023, 12, 31, 23, tzinfo=utc).timestamp(), MISSING_TIME]
    assert result.schema["at"].unit == "Europe/Berlin"


values = {
    "number": st.one_of(st.none(), st.floats(-(2.0**100), 2.0**100, width=32)),
    "whole": st.one_of(st.none(), st.integers(-(2**40), 2**40)),
    "text": st.one_of(st.none(), st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8)),
    "flag": st.booleans(),
    "at": st.one_of(st.none(), st.datetimes(dt.datetime(1950, 1, 1), dt.datetime(2100, 1, 1))),
}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.fixed_dictionaries(values), min_size=1, max_size=20))
def test_materialised_columns_are_the_canonical_ones_of_the_raw_columns(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("law")
    frame = pd.DataFrame(rows).astype(
        {"whole": "Int64", "text": "object", "flag": bool, "at": "datetime64[us]", "number": "float64"}
    )
    frame["text"] = frame["text"].where(frame["text"].notna(), None)
    frame["code"] = frame["whole"].astype("float64")  # as pandas gives whole numbers with missing ones
    frame["row"] = range(len(frame))
    frame["y"] = 1.0
    result, columns = made(frame, folder, {"code": "string"}, "America/New_York", row="key", y="target")
    order = [int(row) for row in columns["row"]]
    for column in result.schema:
        expected = canonicalise(frame[column.name], column)[order]
        np.testing.assert_array_equal(np.array(columns[column.name], expected.dtype), expected, err_msg=column.name)


# -- order and whole ----------------------------------------------------------------------------------------------


def test_rows_are_in_order_of_time_then_keys_and_equal_data_give_equal_bytes(tmp_path):
    frame = pd.DataFrame(
        {"id": [10, 9, 2, 1], "at": pd.to_datetime(["2024-01-02", "2024-01-01", "2024-01-02", "2024-01-03"]), "y": [0, 1, 0, 1]}
    )
    frame["x"] = [1.5, 2.5, 3.5, 4.5]
    digests = set()
    for rows in ([0, 1, 2, 3], [3, 1, 0, 2]):
        _, columns = made(frame.iloc[rows], tmp_path, id="key", at="time", y="target")
        assert columns["id"] == ["9", "2", "10", "1"]
        digests.add(hashlib.sha256((tmp_path / "examples.parquet").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_without_a_key_rows_keep_their_order_and_get_a_number(tmp_path):
    frame = visits(70_000)[["pages", "bought"]]
    result, columns = made(frame, tmp_path, bought="target")
    assert [column.name for column in result.schema.of_role("key")] == ["row"]
    assert columns["row"] == [str(i) for i in range(70_000)]
    assert columns["pages"] == frame.pages.tolist()


def test_rows_without_a_target_are_set_aside_and_counted(tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [1.0, np.nan, 0.0]})
    result, columns = made(frame, tmp_path, y="target")
    assert (result.n_rows, dict(result.left_out)) == (2, {"target is missing": 1})
    assert columns["row"] == ["0", "2"]


def test_an_engine_that_is_not_duckdb_hands_its_rows_over(tmp_path):
    import sqlite3

    with sqlite3.connect(tmp_path / "shop.sqlite") as connection:
        visits(200).assign(at=lambda v: v["at"].astype(str)).to_sql("visits", connection, index=False)
    connection.close()
    tables: Tables = DatabaseSource(DatabaseSettings(url=f"sqlite://{tmp_path}/shop.sqlite")).open()
    examples = Examples(tables["visits"], roles={"visit_id": "key", "bought": "target", "at": "time"})
    here = materialise(examples, {}, tmp_path / "sqlite.parquet")
    there, _ = made(visits(200), tmp_path, visit_id="key", bought="target", at="time")
    assert here.n_rows == there.n_rows == 200
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "sqlite.parquet"), pd.read_parquet(tmp_path / "examples.parquet"))


def test_it_says_what_it_does_and_how_many_examples_are_written(tmp_path, said):
    made(visits(200), tmp_path, visit_id="key", bought="target", at="time")
    assert [value for name, value in said if name == "what"] == [
        "computing the view",
        "looking at the columns",
        "writing examples",
    ]
    assert said[-2:] == [("total", 0), ("done", 200)]


# -- what carries nothing -----------------------------------------------------------------------------------------


def test_constant_empty_and_identifying_columns_are_ignored_with_a_note(tmp_path):
    n = 300
    frame = pd.DataFrame(
        {
            "constant": "same",
            "empty": np.nan,
            "token": [f"t{i}" for i in range(n)],
            "order_id": np.arange(n),
            "amount": np.arange(n) * 1.0,
            "n_pages": np.arange(n),
            "review": [f"review number {i} of a thing" for i in range(n)],
            "half": [1.0] * 200 + [np.nan] * 100,
            "y": np.arange(n) % 2,
        }
    )
    result, _ = made(frame, tmp_path, y="target")
    ignored = {column.name: column.note for column in result.schema.of_role("ignored")}
    assert ignored == {
        "constant": "constant: every row has the same value",
        "empty": "all values are missing",
        "token": "an identifier: nearly every row has a value of its own",
        "order_id": "an identifier: nearly every row has a value of its own",
    }
    assert f"token: {ignored['token']}" in result.notes


def test_a_role_given_is_kept_and_a_type_without_a_kind_is_left_out(tmp_path):
    frame = pd.DataFrame({"tags": [{"a": 1}, {"a": 2}], "same": [1, 1], "x": [1, 2], "y": [0, 1]})
    result, _ = made(frame, tmp_path, y="target", same="feature")
    assert result.schema["same"].role == "feature"
    assert result.schema["tags"].role == "ignored"
    assert "which no kind of column takes" in result.schema["tags"].note
    with pytest.raises(DataError, match=r"Column 'tags' is of type .* which cannot be the target"):
        made(frame, tmp_path, tags="target")


# -- what cannot be used ------------------------------------------------------------------------------------------

FRAME = pd.DataFrame(
    {"id": [1, 2], "at": pd.to_datetime(["2024-01-01", "2024-01-02"]), "x": [1.0, 2.0], "w": [1.0, 2.0], "y": [0, 1]}
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": [7, 7], "at": [pd.Timestamp("2024-01-01")] * 2}, r"The key is not unique: 2 examples have id=7, at=2024-01-01"),
        ({"x": [1.0, np.inf]}, r"Column 'x', row 1 \(id=2, at=2024-01-02 00:00:00\): inf is not a finite number"),
        ({"x": [1.0, -1e300]}, r"Column 'x', row 1 .* is not a finite number"),
        ({"y": [np.nan, np.nan]}, r"The target 'y' is missing in all 2 rows"),
        ({"y": pd.to_datetime(["2024-01-01"] * 2)}, r"The target 'y' is a time"),
        ({"w": [1.0, -1.0]}, r"Weight column 'w' is -1\.0 at id=2, .*; a weight must be a number of at least 0"),
        ({"w": [1.0, np.nan]}, r"Weight column 'w' is nan|Weight column 'w' is None"),
    ],
)
def test_bad_values(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        made(FRAME.assign(**changes), tmp_path, id="key", at="time", w="weight", y="target")
    assert not (tmp_path / "examples.parquet").exists()


def test_no_examples(tmp_path):
    table = as_tables(FRAME)["data"]
    with pytest.raises(DataError, match="The view gives no examples"):
        materialise(Examples(table.filter(ibis.literal(False))), {}, tmp_path / "examples.parquet")


@pytest.mark.parametrize(
    ("name", "roles", "words"),
    [
        ("Shopkit_Score", {}, ""),
        ("shopkit_", {}, ""),
        ("FILE_ROW_NUMBER", {}, ""),
        ("shopkit_at", {"shopkit_at": "time"}, " names the row and"),
        ("Part", {"Part": "key"}, " names the row and"),
        ("TARGET", {"TARGET": "time"}, " names the row and"),
    ],
)
def test_names_that_shopkit_gives_itself_are_refused(tmp_path, name, roles, words):
    message = f"The column '{name}'{words} is called as one that shopkit makes itself. Rename it in the source."
    examples = Examples(ibis.table({"x": "float64", name: "string"}), roles=roles)
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        materialise(examples, {}, tmp_path / "examples.parquet")


def test_columns_that_stand_beside_no_place_may_be_called_part_and_target(tmp_path):
    frame = visits(200).rename(columns={"channel": "part", "bought": "Target", "pages": "file_row"})
    result, _ = made(frame, tmp_path, visit_id="key", at="time", Target="target")
    assert [result.schema[name].role for name in ("part", "Target", "file_row")] == ["feature", "target", "feature"]


def test_names_that_case_alone_tells_apart_are_refused(tmp_path):
    examples = Examples(ibis.table(dict.fromkeys(("a", "Price", "b", "pricE", "B"), "float64")))
    message = (
        "The examples have the columns 'Price' and 'pricE' (upper and lower case count as one). Rename one of them in the source."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        materialise(examples, {}, tmp_path / "examples.parquet")


def test_a_type_for_a_column_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"A type is given for column 'xx', which the examples do not have\.|Did you mean"):
        made(FRAME, tmp_path, {"xx": "string"}, y="target")


def test_text_declared_as_a_number(tmp_path):
    with pytest.raises(DataError, match=r"Column 'x' is of type VARCHAR, and features\.types\.x says number\."):
        made(FRAME.assign(x=["a", "b"]), tmp_path, {"x": "number"}, y="target")
