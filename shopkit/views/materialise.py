"""Examples made once, as Parquet of canonical columns, by whichever engine ran the view."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shopkit.contract.check import enforce
from shopkit.contract.settings import ContractSettings
from shopkit.errors import DataError
from shopkit.progress import advance, counted, doing
from shopkit.raw import IMAGE_TYPE, image_structs
from shopkit.runs import replacing
from shopkit.runtime.canonical import canonical_steps, canonicalise
from shopkit.schema import MISSING_TIME, Column, Kind, Role, Schema
from shopkit.sources.engine import BELIEVE_NO_STATISTICS, alike, bound, fetch, literal, quote, save
from shopkit.spark import in_our_words, streamed
from shopkit.views.base import Examples
from shopkit.views.infer import RawColumn, infer_schema, raw_columns

BATCH_ROWS = 65_536
QUARANTINE = "quarantine.parquet"
IMAGE_ROWS = 1024
"""Rows at once where each has an image."""
ROW_KEY = "row"
"""The key made for examples that have none: their row number in the source, from 0."""
OURS, FILE_ROW = "shopkit_", "file_row_number"
"""What names of helper columns begin with, and DuckDB's own."""
BESIDE_PLACES = ("part", "target")
"""What stands beside the keys and times of rows in a run's files, and the answers with it."""
FLOAT32_MAX = 3.4028234663852886e38
ARROW_TYPES = {"string": pa.string(), "time": pa.int64(), "image": IMAGE_TYPE}


@dataclass(frozen=True)
class Materialised:
    """What stands in the file."""

    schema: Schema
    n_rows: int
    left_out: Mapping[str, int]
    """Reason → number of examples left out for it."""
    notes: tuple[str, ...]
    """What was inferred, for the report: `column: why`."""


def materialise(
    examples: Examples,
    types: Mapping[str, Kind],
    path: Path,
    time_zone: str = "UTC",
    roles: Mapping[str, Role] | None = None,
    contract: ContractSettings | None = None,
    now: dt.datetime | None = None,
    memory: int = 2 << 30,
    scratch: Path | None = None,
) -> Materialised:
    """Run the view and write its examples, ordered by time and keys, with canonical columns.

    Args:
        types: column → kind, over what the view says and what is inferred.
        path: the Parquet file to write: float32 (the target float64), text, int64 seconds UTC, images as structs.
        time_zone: of times without one.
        roles: column → role, over what the view says and what is inferred.
        contract: what the examples must hold; rows that do not go to `quarantine.parquet` beside the file.
        now: what the contract's `now` means, UTC; the clock's if None.
        memory: bytes that queries may take before they go on in files.
        scratch: folder for those and for what the view gave; a temporary folder of the system if None.

    Raises:
        DataError: no examples, a key twice, an infinite value, or a column that cannot be of its kind.
    """
    given: dict[str, Role] = {**examples.roles, **(roles or {})}
    _check_names(examples.table.columns, given)
    with TemporaryDirectory(prefix="shopkit-", dir=scratch) as folder, duckdb.connect() as engine:
        engine.execute(BELIEVE_NO_STATISTICS)
        bound(engine, memory, Path(folder))
        fetch(engine, "SET TimeZone = 'UTC'")
        doing("computing the view")
        raw = _run_view(examples, memory, Path(folder))
        rows = f"read_parquet({literal(str(raw))}, file_row_number=true)"
        named = "*" if "key" in given.values() else f"file_row_number AS {quote(_row_key(examples.table))}, *"
        if "key" not in given.values():
            given[_row_key(examples.table)] = "key"
        fetch(engine, f"CREATE VIEW every AS SELECT {named} FROM {rows}")
        columns = tuple(column for column in raw_columns(engine, "every") if column.name != FILE_ROW)
        doing("looking at the columns")
        n_missing = _set_target_aside(engine, columns, given)
        quarantined = enforce(engine, contract, given, path.with_name(QUARANTINE), now) if contract is not None else {}
        schema = infer_schema(engine, "examples", columns, {**examples.kinds, **types}, given, examples.units, time_zone)
        _check(engine, columns, schema, has_unique_keys=contract is not None and contract.keys != "any")
        n_rows = _write(engine, columns, schema, path)
    counts = {reason: int(count.to_pyarrow().as_py()) for reason, count in examples.left_out.items()}
    counts["target is missing"] = n_missing
    counts |= {f"in {QUARANTINE}: {rule}": count for rule, count in quarantined.items()}
    left_out = {reason: count for reason, count in counts.items() if count}
    notes = tuple(f"{column.name}: {column.note}" for column in schema if column.note)
    return Materialised(schema, n_rows, left_out, notes)


def _run_view(examples: Examples, memory: int, folder: Path) -> Path:
    """Write what the view gives. Returns the path of the Parquet file, or a glob of several."""
    table, raw = examples.table, folder / "raw.parquet"
    connection = table.get_backend()
    if connection.name == "duckdb":
        parts = examples.tables(memory)
        for number, part in enumerate(counted(parts, "computing the view in parts", len(parts)) if len(parts) > 1 else parts):
            connection.to_parquet(part, folder / f"raw-{number:04}.parquet")
        return folder / "raw-*.parquet"
    if connection.name == "pyspark":
        with in_our_words("Spark broke off while the view ran"):
            save(streamed(connection._session.sql(ibis.to_sql(table, dialect="pyspark"))), raw)
    else:
        save(table.to_pyarrow_batches(chunk_size=BATCH_ROWS), raw)
    return raw


def _check_names(names: Sequence[str], roles: Mapping[str, Role]) -> None:
    """Names are those of engines as well, which tell no case apart, and of files in which columns stand beside others.

    Raises:
        DataError: two columns of one name, or one that is taken.
    """
    if both := alike(names):
        raise DataError(
            f"The examples have the columns '{both[0]}' and '{both[1]}' (upper and lower case count as one). Rename one of them "
            "in the source."
        )
    for name in names:
        is_place = roles.get(name) in ("key", "time")
        if name.lower().startswith(OURS) or name.lower() == FILE_ROW or (is_place and name.lower() in BESIDE_PLACES):
            raise DataError(
                f"The column '{name}'{' names the row and' if is_place else ''} is called as one that shopkit makes itself. "
                "Rename it in the source."
            )


def _row_key(table: ir.Table) -> str:
    taken = {name.lower() for name in table.columns}
    names = itertools.chain([ROW_KEY, f"{ROW_KEY}_number"], (f"{ROW_KEY}_{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken)


def _set_target_aside(engine: duckdb.DuckDBPyConnection, columns: Sequence[RawColumn], roles: Mapping[str, Role]) -> int:
    """Make the view `examples`: the rows that have a target. Returns the number of the others."""
    targets = [column for column in columns if roles.get(column.name) == "target"]
    condition = targets[0].present if targets else "true"
    fetch(engine, f"CREATE VIEW examples AS SELECT * FROM every WHERE {condition}")
    ((total, kept),) = fetch(engine, f"SELECT count(*), count(*) FILTER ({condition}) FROM every")
    if total == 0:
        raise DataError("The view gives no examples: the tables have no rows that fit its settings.")
    if kept == 0:
        raise DataError(f"The target '{targets[0].name}' is missing in all {total:,} rows.")
    return int(total - kept)


def _check(engine: duckdb.DuckDBPyConnection, columns: Sequence[RawColumn], schema: Schema, has_unique_keys: bool) -> None:
    place = [column.name for column in schema if column.role in ("key", "time")]
    shown = " || ', ' || ".join(f"{literal(name + '=')} || coalesce({quote(name)}::VARCHAR, 'missing')" for name in place)
    for column in [column for column in columns if column.is_float and schema[column.name].kind == "number"]:
        name = quote(column.name)
        found = fetch(
            engine,
            f"SELECT {name}, file_row_number, {shown} FROM examples WHERE abs({name}) > {FLOAT32_MAX} AND NOT isnan({name}) "
            "ORDER BY file_row_number LIMIT 1",
        )
        if found:
            value, row, where = found[0]
            raise DataError(
                f"Column '{column.name}', row {row} ({where}): {value} is not a finite number. "
                "Clean it in the source, or leave the value missing."
            )
    names = ", ".join(map(quote, place))
    repeated = f"SELECT {shown}, count(*) AS n FROM examples GROUP BY {names} HAVING n > 1 ORDER BY {names} LIMIT 1"
    if not has_unique_keys and (twice := fetch(engine, repeated)):
        raise DataError(
            f"The key is not unique: {twice[0][1]} examples have {twice[0][0]}. Name all columns that together tell rows apart, "
            "or remove the repeats in the source."
        )
    _check_sequences(engine, schema, shown)
    weight = schema.the("weight")
    if weight:
        name = quote(weight.name)
        bad = fetch(
            engine,
            f"SELECT {name}, {shown} FROM examples WHERE NOT coalesce({name} >= 0 AND NOT isnan({name}::DOUBLE), false) LIMIT 1",
        )
        if bad:
            raise DataError(
                f"Weight column '{weight.name}' is {bad[0][0]} at {bad[0][1]}; a weight must be a number of at least 0."
            )


def _check_sequences(engine: duckdb.DuckDBPyConnection, schema: Schema, shown: str) -> None:
    first, *others = [column.name for column in schema.of_role("feature") if column.sequence] or [""]
    for other in others:
        lengths = [f"coalesce(len({quote(name)}), 0)" for name in (first, other)]
        found = fetch(
            engine,
            f"SELECT {', '.join(lengths)}, file_row_number, {shown} FROM examples WHERE {' <> '.join(lengths)} "
            "ORDER BY file_row_number LIMIT 1",
        )
        if found:
            n_first, n_other, row, where = found[0]
            raise DataError(
                f"Row {row} ({where}): '{first}' has {n_first} steps and '{other}' has {n_other}. The sequences of a row run "
                "side by side: give each one value for every step, missing where unknown, or leave a column out of the view."
            )


def _write(engine: duckdb.DuckDBPyConnection, columns: Sequence[RawColumn], schema: Schema, path: Path) -> int:
    order = [column for role in ("time", "key") for column in schema.of_role(role)]
    by = ", ".join([*(f"examples.{quote(column.name)}" for column in order), "file_row_number"])
    chosen = ", ".join(_plain(column, schema[column.name]) for column in columns)
    size = IMAGE_ROWS if any(column.kind == "image" for column in schema) else BATCH_ROWS
    reader = engine.sql(f"SELECT {chosen} FROM examples ORDER BY {by}").to_arrow_reader(size)
    fields = pa.schema([(column.name, _arrow_type(column)) for column in schema])
    n_rows = 0
    doing("writing examples")
    with replacing(path) as temporary, pq.ParquetWriter(temporary, fields, compression="zstd") as writer:
        for batch in _even(reader, size):
            arrays = [_canonical(batch.column(column.name), column, n_rows) for column in schema]
            writer.write_table(pa.table(arrays, schema=fields))
            n_rows += batch.num_rows
            advance(batch.num_rows)
    return n_rows


def _even(reader: pa.RecordBatchReader, size: int) -> Iterator[pa.Table]:
    """Batches of exactly `size` rows (the last one shorter), so that equal rows give equal files."""
    pending: list[pa.RecordBatch] = []
    n_rows = 0
    for batch in reader:
        pending.append(batch)
        n_rows += batch.num_rows
        while n_rows >= size:
            table = pa.Table.from_batches(pending)
            yield table.slice(0, size)
            pending = table.slice(size).to_batches()
            n_rows -= size
    if n_rows:
        yield pa.Table.from_batches(pending)


def _plain(raw: RawColumn, column: Column) -> str:
    """SQL that gives a raw column in a plain Arrow type without a loss: whole numbers with missing ones would become floats."""
    name = quote(raw.name)
    if raw.is_sequence and raw.kind is not None:
        step = raw.step
        wide = step.dtype.startswith("DECIMAL") or step.dtype == "BOOLEAN"
        return f"{name}::DOUBLE[] AS {name}" if wide else name
    if raw.kind is None:
        value = "''"
    elif column.kind == "time":
        if raw.is_zoned:
            value = f"coalesce(floor(epoch_us({name}) / 1000000)::BIGINT, {MISSING_TIME})"
        elif raw.is_whole:
            value = f"coalesce({name}::BIGINT, {MISSING_TIME})"
        else:
            value = name
    elif column.kind == "string" and (raw.is_whole or raw.is_text):
        value = f"{name}::VARCHAR"
    elif raw.dtype.startswith("DECIMAL") or (raw.dtype == "BOOLEAN" and column.kind == "number"):
        value = f"{name}::DOUBLE"
    else:
        value = name
    return f"{value} AS {name}"


def _canonical(values: pa.ChunkedArray, column: Column, first_row: int) -> pa.Array:
    array = values.combine_chunks()
    if column.sequence:
        steps, lengths = canonical_steps(array, column, first_row)
        stops = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        return pa.ListArray.from_arrays(stops, pa.array(steps, _arrow_type(replace(column, sequence=False))))
    if column.kind == "image":
        return image_structs(canonicalise(array, column, first_row))
    return pa.array(canonicalise(array.to_numpy(zero_copy_only=False), column, first_row), _arrow_type(column))


def _arrow_type(column: Column) -> pa.DataType:
    if column.sequence:
        return pa.list_(_arrow_type(replace(column, sequence=False)))
    if column.kind == "number":
        return pa.float64() if column.double else pa.float32()
    return ARROW_TYPES[column.kind]
