"""The embedded DuckDB that file and DataFrame sources read with."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

BELIEVE_NO_STATISTICS = "SET disabled_optimizers = 'statistics_propagation'"
"""Statistics in Parquet files that Arrow wrote leave NaN out, and DuckDB 2.0 concludes from them that there is none."""


def connect() -> tuple[Backend, Path]:
    """An in-memory DuckDB in UTC, and a scratch folder that lives as long as the connection does."""
    scratch = tempfile.TemporaryDirectory(prefix="shopkit-")
    connection = ibis.duckdb.connect(temp_directory=scratch.name)
    fetch(connection.con, "SET TimeZone = 'UTC'")
    fetch(connection.con, BELIEVE_NO_STATISTICS)
    weakref.finalize(connection, scratch.cleanup)
    return connection, Path(scratch.name)


def bound(engine: duckdb.DuckDBPyConnection, memory: int, folder: Path) -> None:
    """Let queries take so many bytes, and go on in files of the folder when they need more.

    Without a cache of what was read: it would stay as large as the bound, in each engine of a run.
    """
    fetch(engine, f"SET memory_limit = '{memory} B'; SET enable_external_file_cache = false")
    # An engine that has begun to use another folder cannot change it, and need not.
    with suppress(duckdb.NotImplementedException):
        fetch(engine, f"SET temp_directory = {literal(str(folder))}")


def fetch(engine: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """All rows of a statement at once: DuckDB refuses other work on the connection while a result is unfinished."""
    return list(engine.execute(sql).fetchall())


def quote(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """An SQL string."""
    return "'" + value.replace("'", "''") + "'"


def alike(names: Iterable[str]) -> tuple[str, str] | None:
    """Two names that upper and lower case alone tell apart, or that are the same: to engines they are one."""
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            return seen[name.lower()], name
        seen[name.lower()] = name
    return None


def local_view(
    connection: Backend, name: str, rows: str, time_zone: str, expressions: Mapping[str, str] | None = None
) -> ir.Table:
    """A lazy table over a table expression of SQL, its zoned times shown as wall-clock times of `time_zone`.

    Args:
        expressions: column → SQL that replaces it; may give zoned times.
    """
    given = ", ".join(f"{sql} AS {quote(column)}" for column, sql in (expressions or {}).items())
    typed = f"SELECT * REPLACE ({given}) FROM {rows}" if given else f"SELECT * FROM {rows}"
    zoned = ", ".join(
        f"timezone({literal(time_zone)}, {quote(column)}) AS {quote(column)}"
        for column, dtype, *_ in fetch(connection.con, f"DESCRIBE {typed}")
        if dtype == "TIMESTAMP WITH TIME ZONE"
    )
    local = f"SELECT * REPLACE ({zoned}) FROM ({typed})" if zoned else typed
    fetch(connection.con, f"CREATE OR REPLACE VIEW {quote(name)} AS {local}")
    return connection.table(name)


def read_parquet(paths: Sequence[Path]) -> str:
    """The SQL table expression over these files, in this order."""
    return "read_parquet([" + ", ".join(literal(str(path)) for path in paths) + "])"


def spans(paths: Sequence[Path]) -> dict[str, str]:
    """Column → SQL, for columns of spans of time, which no kind of column takes: DuckDB reads whole numbers of whatever unit."""
    fields = pq.read_schema(paths[0])
    return {field.name: f"to_microseconds({quote(field.name)})" for field in fields if pa.types.is_duration(field.type)}


def save(reader: pa.RecordBatchReader, path: Path) -> None:
    """Write a stream of batches to Parquet, one at a time."""
    with reader as batches, pq.ParquetWriter(path, batches.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
