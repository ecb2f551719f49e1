"""The file of examples, from tables of every type, and each sentence that says why there is none."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkit.contract.settings import ColumnRules, ContractSettings
from shopkit.errors import DataError
from shopkit.schema import MISSING_TIME, Role
from shopkit.sources.engine import fetch
from shopkit.views.base import Examples
from shopkit.views.infer import infer_schema
from shopkit.views.materialise import Materialised, _even, materialise

NAN = math.nan


@pytest.fixture(scope="module")
def table() -> Callable[[str], ir.Table]:
    """A table by its query."""
    connection, names = ibis.duckdb.connect(), count()

    def of(query: str) -> ir.Table:
        name = f"rows_{next(names)}"
        connection.con.execute(f"CREATE VIEW {name} AS {query}")
        return connection.table(name)

    return of


def seconds(*moment: int) -> int:
    return int(dt.datetime(*moment, tzinfo=dt.UTC).timestamp())  # type: ignore[misc,arg-type]


BERLIN_DAYS = [seconds(2024, 3, 30, 23), seconds(1969, 12, 30, 23), MISSING_TIME]
BERLIN_NOONS = [seconds(2024, 7, 1, 10), seconds(2024, 1, 1, 11), MISSING_TIME]


def made(rows: ir.Table, folder: Path, types: Any = None, **options: Any) -> tuple[Materialised, dict[str, list[Any]]]:
    roles: dict[str, Role] = options.pop("roles", {"y": "target"})
    result = materialise(Examples(rows, roles=roles), types or {}, folder / "examples.parquet", **options)
    return result, pq.read_table(folder / "examples.parquet").to_pydict()


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        # two values and a missing one
        ("1.25::DECIMAL(9, 2), 2.5, NULL", "number", [1.25, 2.5, NAN]),
        ("3::HUGEINT, 4::HUGEINT, NULL", "number", [3.0, 4.0, NAN]),
        ("true, false, NULL", "number", [1.0, 0.0, NAN]),
        ("1.5::DOUBLE, 'nan'::DOUBLE, NULL", "number", [1.5, NAN, NAN]),
        ("3::BIGINT, 9007199254740993, NULL", "string", ["3", "9007199254740993", ""]),
        ("3.0::DOUBLE, 4.0, NULL", "string", ["3", "4", ""]),
        ("'a', '', NULL", "string", ["a", "", ""]),
        ("'00000000-0000-0000-0000-00000000000a'::UUID, uuid(), NULL", "string", None),
        ("DATE '2024-03-31', DATE '1969-12-31', NULL", "time", BERLIN_DAYS),
        ("TIMESTAMP '2024-07-01 12:00:00.75', TIMESTAMP '2024-01-01 12:00:00', NULL", "time", BERLIN_NOONS),
        (
            "TIMESTAMPTZ '2024-07-01 12:00:00.75+03', TIMESTAMPTZ '1969-12-31 23:59:59.5+00', NULL",
            "time",
            [seconds(2024, 7, 1, 9), -1, MISSING_TIME],
        ),
        ("1700000000::BIGINT, -5, NULL", "time", [1_700_000_000, -5, MISSING_TIME]),
        ("'2024-07-01 12:00:00', '2024-01-01 12:00:00', NULL", "time", BERLIN_NOONS),
        ("[1.25::DECIMAL(9, 2), NULL], [], NULL", "number", [[1.25, NAN], [], []]),
        ("[true, NULL], [false], NULL", "number", [[1.0, NAN], [0.0], []]),
        ("[3::BIGINT, NULL], [9007199254740993], NULL", "string", [["3", ""], ["9007199254740993"], []]),
        ("['a', NULL], ['b'], NULL", "string", [["a", ""], ["b"], []]),
        ("[1.5::DOUBLE, NULL], [2], NULL", "number", [[1.5, NAN], [2.0], []]),
        ("[3::INTEGER, NULL], [4], NULL", "number", [[3.0, NAN], [4.0], []]),
    ],
)  # fmt: skip
def test_values_of_every_type(table, tmp_path, values, kind, expected):
    rows = table(f"SELECT unnest([0, 1, 0]) AS y, unnest(range(3)) AS row, unnest([{values}]) AS x")
    roles = {"y": "target", "row": "key", "x": "feature"}
    result, columns = made(rows, tmp_path, {"x": kind}, time_zone="Europe/Berlin", roles=roles)
    assert result.schema["x"].kind == kind
    if expected is None:
        assert columns["x"][0] == "00000000-0000-0000-0000-00000000000a"
        assert [len(value) for value in columns["x"]] == [36, 36, 0]
    else:
        assert repr(columns["x"]) == repr(expected)


def test_the_file_is_compressed_in_groups_of_equal_size_with_the_types_of_the_kinds(table, tmp_path):
    rows = table("SELECT i % 2 AS y, i::DOUBLE AS x, [i, i] AS steps, 'a' || (i % 9) AS s FROM range(140000) AS t(i)")
    result, columns = made(rows, tmp_path)
    file = pq.ParquetFile(tmp_path / "examples.parquet")
    assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [65_536, 65_536, 140_000 - 131_072]
    assert {file.metadata.row_group(0).column(at).compression for at in range(5)} == {"ZSTD"}
    assert file.schema_arrow.equals(
        pa.schema({"row": pa.string(), "y": pa.float64(), "x": pa.float32(), "steps": pa.list_(pa.float32()), "s": pa.string()}),
        check_metadata=False,
    )
    assert (result.n_rows, columns["x"][-1], columns["steps"][70_000]) == (140_000, 139_999.0, [70_000.0, 70_000.0])
    assert (dict(result.left_out), result.notes) == ({}, ())


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(1, 7))
def test_batches_are_cut_alike_however_they_come(sizes, size):
    rows = pa.table({"x": pa.array(range(sum(sizes)), pa.int64())})
    batches, start = [], 0
    for n in sizes:
        batches += rows.slice(start, n).to_batches()
        start += n
    found = list(_even(pa.RecordBatchReader.from_batches(rows.schema, batches), size))
    assert [part.num_rows for part in found] == [size] * (len(rows) // size) + [len(rows) % size] * (len(rows) % size > 0)
    assert pa.concat_tables([rows.slice(0, 0), *found])["x"].to_pylist() == list(range(len(rows)))


def test_a_value_beyond_the_first_batch_is_named_with_its_row(table, tmp_path):
    rows = table("SELECT i % 2 AS y, CASE WHEN i = 70000 THEN 'soon' ELSE '2024-01-01' END AS x FROM range(70002) AS t(i)")
    with pytest.raises(DataError, match=r"^Column 'x', row 70000: 'soon'"):
        made(rows, tmp_path, {"x": "time"})
    steps = table("SELECT i % 2 AS y, [1.0, CASE WHEN i = 70000 THEN 'inf'::DOUBLE ELSE i END] AS x FROM range(70002) AS t(i)")
    with pytest.raises(DataError, match=r"^Column 'x', row 70000, step 1: inf is not a finite number"):
        made(steps, tmp_path)


def test_lists_of_nothing_but_empty_lists_keep_their_type(table, tmp_path):
    result, columns = made(table("SELECT i % 2 AS y, []::VARCHAR[] AS a, []::DOUBLE[] AS b FROM range(3) AS t(i)"), tmp_path)
    assert (columns["a"], columns["b"], result.n_rows) == ([[]] * 3, [[]] * 3, 3)
    types = {field.name: field.type for field in pq.read_schema(tmp_path / "examples.parquet")}
    assert (types["a"], types["b"]) == (pa.list_(pa.string()), pa.list_(pa.float32()))


@pytest.mark.parametrize(
    ("taken", "key"),
    [(["Row"], "row_number"), (["row", "ROW_NUMBER"], "row_2"), (["row", "row_number", "row_2"], "row_3"), (["row_2"], "row")],
)
def test_columns_called_like_the_key_leave_it_another_name(table, tmp_path, taken, key):
    values = ", ".join(f"7 - i AS {name}" for name in taken)
    _, columns = made(table(f"SELECT {values}, i % 2 AS y FROM range(4) AS t(i)"), tmp_path)
    assert columns.pop(key) == ["0", "1", "2", "3"]
    assert columns == {"y": [0.0, 1.0, 0.0, 1.0], **{name: [7.0, 6.0, 5.0, 4.0] for name in taken}}


def test_roles_given_go_over_those_of_the_view_and_counts_of_nothing_are_not_told(table, tmp_path):
    rows = table("SELECT i AS a, i + 1 AS b, i % 2 AS y, 'k' || i AS s FROM range(4) AS t(i)")
    counts = {"none": rows.count() - 4, "four": rows.count()}
    examples = Examples(
        rows, roles={"y": "target", "a": "key"}, kinds={"b": "string"}, units={"a": "x", "b": "EUR"}, left_out=counts
    )
    result = materialise(examples, {}, tmp_path / "x.parquet", roles={"a": "feature", "s": "key"}, scratch=tmp_path)
    assert {c.name: (c.kind, c.role, c.unit) for c in result.schema} == {
        "a": ("number", "feature", "x"),
        "b": ("string", "feature", "EUR"),
        "y": ("number", "target", ""),
        "s": ("string", "key", ""),
    }
    assert result.left_out == {"four": 4}
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]
    assert materialise(examples, {"b": "number"}, tmp_path / "x.parquet").schema["b"].kind == "number"


def test_queries_go_on_in_the_scratch_folder(table, tmp_path):
    with pytest.raises(FileNotFoundError):
        made(table("SELECT 1 AS x, 0 AS y"), tmp_path, scratch=tmp_path / "absent")


def test_what_needs_more_memory_goes_on_in_a_folder_of_the_scratch_folder(table, tmp_path, monkeypatch):
    found = []

    def inferred(engine: Any, *given: Any) -> Any:
        found.extend(fetch(engine, "SELECT current_setting('temp_directory')")[0])
        return infer_schema(engine, *given)

    monkeypatch.setattr("shopkit.views.materialise.infer_schema", inferred)
    made(table("SELECT i AS x, i % 2 AS y FROM range(4) AS t(i)"), tmp_path, scratch=tmp_path)
    assert [Path(folder).parent for folder in found] == [tmp_path]


def test_what_is_later_than_the_day_a_run_was_begun_is_put_aside(table, tmp_path):
    rows = table("SELECT DATE '2024-01-01' + i::INT AS day, i % 2 AS y FROM range(9) AS t(i)")
    given = {"contract": ContractSettings(limit=1.0), "roles": {"day": "time", "y": "target"}}
    result, columns = made(rows, tmp_path, now=dt.datetime(2024, 1, 4, 12), **given)
    assert result.left_out == {"in quarantine.parquet: day in the future": 4}
    assert len(columns["day"]) == 5


def test_rows_that_break_the_contract_stand_beside_the_examples_and_are_counted_by_rule(table, tmp_path):
    rows = table("SELECT i AS id, i % 3 AS y, i - 1.0 AS x FROM range(9) AS t(i)")
    contract = ContractSettings(columns={"x": ColumnRules(min=0)}, target=ColumnRules(allowed=[0, 1]), limit=1.0)
    result, columns = made(rows, tmp_path, contract=contract, roles={"id": "key", "y": "target"})
    assert columns["id"] == ["1", "3", "4", "6", "7"]
    assert sum(result.left_out.values()) == 4
    assert all(reason.startswith("in quarantine.parquet: ") for reason in result.left_out)
    assert sorted(pq.read_table(tmp_path / "quarantine.parquet")["id"].to_pylist()) == [0, 2, 5, 8]


def test_equal_keys_are_put_aside_by_a_contract_unless_it_takes_any(table, tmp_path):
    rows = table("SELECT 5 AS id, i % 2 AS y, i AS x FROM range(2) AS t(i)")
    roles = {"id": "key", "y": "target", "x": "feature"}
    message = (
        "The key is not unique: 2 examples have id=5. Name all columns that together tell rows apart, or remove the repeats in "
        "the source."
    )
    for contract in (None, ContractSettings(keys="any")):
        with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
            made(rows, tmp_path, contract=contract, roles=roles)


# -- what cannot be used ------------------------------------------------------------------------------------------------


def fails(rows: ir.Table, folder: Path, message: str, **options: Any) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        made(rows, folder, **options)
    assert not (folder / "examples.parquet").exists()


@pytest.mark.parametrize(
    ("value", "shown"), [("'inf'::DOUBLE", "inf"), ("'-inf'::FLOAT", "-inf"), ("1e39", "1e+39"), ("-4e38", "-4e+38")]
)
def test_the_first_infinite_number_is_named(table, tmp_path, value, shown):
    rows = table(f"SELECT i AS id, i % 2 AS y, CASE WHEN i < 3 THEN i WHEN i < 5 THEN {value} END AS x FROM range(6) AS t(i)")
    message = f"Column 'x', row 3 (id=3): {shown} is not a finite number. Clean it in the source, or leave the value missing."
    for role in ("feature", "ignored"):
        fails(rows, tmp_path, message, roles={"id": "key", "y": "target", "x": role})


def test_the_largest_float32_is_finite(table, tmp_path):
    _, columns = made(table("SELECT i % 2 AS y, 3.4028234663852886e38::DOUBLE * (i - 1) AS x FROM range(3) AS t(i)"), tmp_path)
    assert columns["x"] == [-3.4028234663852886e38, 0.0, 3.4028234663852886e38]


@pytest.mark.parametrize(("value", "shown"), [("-1.5::DOUBLE", "-1.5"), ("'nan'::DOUBLE", "nan"), ("NULL", "None"), ("-1", "-1")])
def test_a_weight_is_a_number_of_at_least_0(table, tmp_path, value, shown):
    rows = table(f"SELECT i AS id, i % 2 AS y, CASE WHEN i <> 2 THEN i ELSE {value} END AS w FROM range(4) AS t(i)")
    roles = {"id": "key", "y": "target", "w": "weight"}
    shown = shown if "::" in value or value in ("NULL", "-1") else f"{value}"
    message = f"Weight column 'w' is {shown} at id=2; a weight must be a number of at least 0."
    fails(rows, tmp_path, message, roles=roles)
    _, columns = made(table("SELECT i AS id, i % 2 AS y, i AS w FROM range(3) AS t(i)"), tmp_path, roles=roles)
    assert columns["w"] == [0.0, 1.0, 2.0]


def test_sequences_of_a_row_are_equally_long(table, tmp_path):
    rows = table(
        "SELECT i AS id, i % 2 AS y, range(i) AS a, range(i) AS b, CASE WHEN i < 3 THEN range(i) END AS c "
        "FROM range(1, 6) AS t(i)"
    )
    message = (
        "Row 2 (id=3): 'a' has 3 steps and 'c' has 0. The sequences of a row run side by side: give each one value for every "
        "step, missing where unknown, or leave a column out of the view."
    )
    roles: dict[str, Role] = {"id": "key", "y": "target"}
    fails(rows, tmp_path, message, roles=roles)
    made(rows, tmp_path, roles={**roles, "c": "ignored"})


def test_no_examples_and_no_targets(table, tmp_path):
    nothing = "The view gives no examples: the tables have no rows that fit its settings."
    fails(table("SELECT 1 AS x, 0 AS y WHERE false"), tmp_path, nothing)
    rows = table("SELECT i AS x, CASE WHEN i >= 2000 THEN 1.0 END AS y FROM range(2000) AS t(i)")
    fails(rows, tmp_path, "The target 'y' is missing in all 2,000 rows.")
    result, _ = made(table("SELECT i AS x, CASE WHEN i > 0 THEN i % 2 END AS y FROM range(5) AS t(i)"), tmp_path)
    assert (result.n_rows, result.left_out) == (4, {"target is missing": 1})
