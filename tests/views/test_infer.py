"""What the columns of examples are, from the types of the engine and from their values."""

from __future__ import annotations

import re
from collections.abc import Iterator

import duckdb
import pytest

from shopkit.errors import DataError
from shopkit.schema import Column, Schema
from shopkit.views.infer import infer_schema, raw_columns


@pytest.fixture
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
        yield connection


def inferred(engine, columns: str, kinds=None, roles=None, units=None, rows: str = "range(300) AS t(i)") -> Schema:
    engine.execute(f"CREATE OR REPLACE TABLE examples AS SELECT {columns} FROM {rows}")
    raw = raw_columns(engine, "examples")
    return infer_schema(engine, "examples", raw, kinds or {}, roles or {}, units or {}, "Europe/Berlin")


WHOLE = ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"]
IMAGE = "{'height': i, 'width': 1, 'channels': 3, 'pixels': 'x'::BLOB}"


KINDS = {
    "number": [
        *(f"(i % 2)::{name}" for name in WHOLE),
        *("i::FLOAT", "i::DOUBLE", "i::DECIMAL(9, 2)", "i % 2 = 0"),
    ],
    "string": ["(i % 3)::VARCHAR", "CASE WHEN i % 2 = 0 THEN 'good' ELSE 'bad' END::mood"],
    "time": [
        "DATE '2024-01-01' + i::INTEGER",
        *(f"(TIMESTAMP '2024-01-01' + INTERVAL (i) HOUR)::{name}" for name in ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMPTZ")),
    ],
    "image": [IMAGE],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in KINDS.items() for value in values])
def test_kinds_follow_the_types(engine, kind, value):
    (column,) = inferred(engine, f"{value} AS x", units={"x": "EUR"})
    unit = "Europe/Berlin" if kind == "time" else "EUR"
    assert column == Column("x", kind, "feature", unit=unit, channels=3 if kind == "image" else column.channels)
    if kind != "image":
        (column,) = inferred(engine, f"[{value}, {value}] AS x")
        unit = "Europe/Berlin" if kind == "time" else ""
        assert column == Column("x", kind, "feature", sequence=True, unit=unit)


@pytest.mark.parametrize(
    "value", ["TIME '10:00'", "INTERVAL (i) DAY", "'x'::BLOB", "MAP {'a': i}", "{'a': i}", "[[i]]", "[[i::DECIMAL(9, 2)]]"]
)
def test_other_types_have_no_kind(engine, value):
    column = inferred(engine, f"{value} AS x, i AS y")["x"]
    dtype = engine.execute("DESCRIBE examples").fetchall()[0][1]
    assert column == Column("x", "string", "ignored", note=f"of type {dtype}, which no kind of column takes")
    with pytest.raises(DataError, match=rf"^Column 'x' is of type {re.escape(dtype)}, which cannot be the key\. Cast it in the "):
        inferred(engine, f"{value} AS x, i AS y", roles={"x": "key"})


def test_given_kinds_and_roles(engine):
    found = inferred(
        engine,
        "i AS id, i * 1.0::DOUBLE AS shelf, i AS g, i AS at, i::VARCHAR AS late, i % 2 AS y, i % 5 AS code, "
        "(i % 5)::DOUBLE AS c2, 'a' AS same, i % 7 AS w",
        kinds={"code": "string", "c2": "string", "late": "time"},
        roles={"id": "key", "shelf": "key", "g": "group", "at": "time", "y": "target", "same": "feature", "w": "weight"},
    )
    zone = "Europe/Berlin"
    assert list(found) == [
        Column("id", "string", "key", integer=True),
        Column("shelf", "string", "key", integer=True),
        Column("g", "string", "group", integer=True),
        Column("at", "time", "time", unit=zone),
        Column("late", "time", "feature", unit=zone),
        Column("y", "number", "target", double=True),
        Column("code", "string", "feature", integer=True),
        Column("c2", "string", "feature", integer=True),
        Column("same", "string", "feature"),
        Column("w", "number", "weight"),
    ]


# -- columns that say nothing -------------------------------------------------------------------------------------------

MISSING, CONSTANT = "all values are missing", "constant: every row has the same value"
IDENTIFIER = "an identifier: nearly every row has a value of its own"


@pytest.mark.parametrize(
    ("value", "note"),
    [
        ("NULL::INTEGER", MISSING),
        ("'nan'::DOUBLE", MISSING),
        ("''", MISSING),
        ("CASE WHEN i < 150 THEN '' END", MISSING),
        ("NULL::DATE", MISSING),
        ("NULL::INTEGER[]", MISSING),
        ("3", CONSTANT),
        ("'a'", CONSTANT),
        ("[1, 2]", CONSTANT),
        ("CASE WHEN i > 0 THEN 3 END", ""),
        ("CASE WHEN i > 0 THEN 'a' ELSE '' END", ""),
        ("CASE WHEN i > 0 THEN 1.5::DOUBLE ELSE 'nan' END", ""),
        # text: a value for each row, or for nearly each
        ("'A' || i", IDENTIFIER),
        ("uuid()", IDENTIFIER),
        ("'A' || CASE WHEN i < 14 THEN 0 ELSE i END", IDENTIFIER),  # 287 of 300
        ("'A' || CASE WHEN i < 15 THEN 0 ELSE i END", IDENTIFIER),  # 286
        ("'A' || CASE WHEN i < 16 THEN 0 ELSE i END", ""),  # 285 are just 0.95
        ("CASE WHEN i < 200 THEN '' ELSE 'A' || i END", IDENTIFIER),
        ("CASE WHEN i < 201 THEN '' ELSE 'A' || i END", ""),
        ("' A' || i || ' '", IDENTIFIER),
        ("'A ' || i", ""),
        ("'第' || i", ""),
        ("CASE WHEN i % 2 = 0 THEN 'A' ELSE 'A ' END || i", ""),
        ("CASE WHEN i % 2 = 0 OR i = 1 THEN 'A' ELSE 'A ' END || i", IDENTIFIER),
        # numbers: by their name as well
        ("i", ""),
        ("i::DOUBLE", ""),
        ("DATE '2024-01-01' + i::INTEGER", ""),
        ("['A' || i]", ""),
    ],
)
def test_columns_that_say_nothing_are_ignored_and_it_is_said_why(engine, value, note):
    (column, *_) = inferred(engine, f"{value} AS x, i % 2 AS y")
    assert (column.role, column.note) == ("ignored" if note else "feature", note)
    (column, *_) = inferred(engine, f"{value} AS x, i % 2 AS y", roles={"x": "feature"})
    assert (column.role, column.note) == ("feature", "")


@pytest.mark.parametrize("name", ["id", "order_id", "uuid", "guid", "key", "number", "no", "order_no", "orderId", "orderID"])
def test_numbers_are_identifiers_by_their_name_too(engine, name):
    assert inferred(engine, f"i AS {name}")[name].note == IDENTIFIER
    assert inferred(engine, f"i % 100 AS {name}")[name].note == ""
    assert inferred(engine, f"i::DOUBLE AS {name}")[name].note == ""


@pytest.mark.parametrize("name", ["paid", "idle", "kno", "numbers", "casino", "PAID", "ORDERID"])
def test_names_that_only_end_alike(engine, name):
    assert inferred(engine, f"i AS {name}")[name].note == ""


def test_what_is_said_to_be_a_number_or_a_time_is_no_code(engine):
    columns = "i::VARCHAR AS day, i AS order_no, i::VARCHAR AS code"
    found = inferred(engine, columns, {"day": "time", "order_no": "number", "code": "string"})
    assert [column.role for column in found] == ["feature", "feature", "ignored"]


def test_few_rows_are_no_sign_of_an_identifier(engine):
    assert inferred(engine, "'A' || i AS x", rows="range(99) AS t(i)")["x"].note == ""
    assert inferred(engine, "'A' || i AS x", rows="range(100) AS t(i)")["x"].note == IDENTIFIER
    assert inferred(engine, "'A' || i AS x", rows="range(20000) AS t(i)")["x"].note == IDENTIFIER


# -- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "given", "message"),
    [
        (
            "i AS pages",
            {"kinds": {"page": "string"}},
            "A type is given for column 'page', which the examples do not have. Did you mean 'pages'?",
        ),
        (
            "i AS pages",
            {"roles": {"page": "key"}},
            "A role is given for column 'page', which the examples do not have. Did you mean 'pages'?",
        ),
        (
            "[i] AS x",
            {"roles": {"x": "target"}},
            "Column 'x' is of type BIGINT[], which cannot be the target. Cast it in the source.",
        ),
        (
            f"{IMAGE} AS x",
            {"roles": {"x": "weight"}},
            "Column 'x' is of type STRUCT(height BIGINT, width INTEGER, channels INTEGER, pixels BLOB), which cannot be the "
            "weight. Cast it in the source.",
        ),
        (
            f"[{IMAGE}] AS x",
            {},
            "Column 'x' is of type STRUCT(height BIGINT, width INTEGER, channels INTEGER, pixels BLOB)[], which cannot be of "
            "kind image. An image is a struct of height, width, channels, pixels; the source image_folder of shopkit-vision "
            "makes them of files.",
        ),
        (
            "i AS x",
            {"kinds": {"x": "image"}},
            "Column 'x' is of type BIGINT, which cannot be of kind image. An image is a struct of height, width, channels, "
            "pixels; the source image_folder of shopkit-vision makes them of files.",
        ),
        (
            "i::VARCHAR AS x",
            {"kinds": {"x": "number"}},
            "Column 'x' is of type VARCHAR, and features.types.x says number. Make it one in the source, with "
            "source.types={x: number} if that is files, and the values that mean missing in source.null_values.",
        ),
        *(
            (
                f"{value} AS x",
                {"kinds": {"x": "string"}},
                f"Column 'x' is of type {dtype}, and features.types.x says string. Make it text in the source, with "
                "source.types={x: string} if that is files of text.",
            )
            for value, dtype in (
                ("i % 2 = 0", "BOOLEAN"),
                ("DATE '2024-01-01'", "DATE"),
                ("[i::DECIMAL(9, 2)]", "DECIMAL(9,2)[]"),
            )
        ),
        (
            "DATE '2024-01-01' AS y",
            {"roles": {"y": "target"}},
            "The target 'y' is a time (DATE); give a number or a category.",
        ),
        (
            "{'height': 1, 'width': 1, 'channels': 1 + i % 3, 'pixels': 'x'::BLOB} AS x",
            {"roles": {"x": "feature"}},
            "Column 'x' has images of 1 and of 2 and of 3 channels. Convert them to one number of channels in the source.",
        ),
    ],
)
def test_refused(engine, columns, given, message):
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        inferred(engine, columns, **given)
