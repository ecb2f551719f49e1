"""What every source promises."""

from __future__ import annotations

import gc
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.backends.sql.datatypes import DuckDBType

from shopkit.sources.base import Source, Tables
from shopkit.testing.checks import refused
from shopkit.testing.subject import NotApplicable, Subject
from shopkit.views.base import Examples
from shopkit.views.materialise import materialise

FEW_ROWS = 200


def _source(subject: Subject) -> Source:
    example: Source | None = subject.target().example(subject.settings(), subject.folder)
    if example is None:
        raise NotApplicable("its `example` says that its data are not here")
    return example


def check_sources_tables_are_as_stated(subject: Subject) -> None:
    """`open` gives tables with rows, whose stated schema is what the engine has and what reading them gives."""
    tables = _source(subject).open()
    subject.require(
        isinstance(tables, Tables) and len(tables) > 0, f"`open` must return Tables with at least one; it gave {tables!r:.120}."
    )
    for name, table in tables.items():
        require_schema(subject, f"table '{name}'", table)
        subject.require(table.limit(FEW_ROWS).to_pyarrow().num_rows > 0, f"table '{name}' of the example has no rows.")


def require_schema(subject: Subject, what: str, table: ir.Table) -> None:
    """The stated schema is the engine's own, up to the width of numbers.

    Only DuckDB is asked; elsewhere reading the table, which casts to the stated types, must do.

    Raises:
        ConformanceError: they differ; names the column.
    """
    connection, stated = table.get_backend(), table.schema()
    if connection.name != "duckdb":
        return
    described = connection.con.execute(f"DESCRIBE {ibis.to_sql(table)}").fetchall()
    found = {name: DuckDBType.from_string(dtype) for name, dtype, *_ in described}
    subject.require(stated.names == tuple(found), f"{what}: the stated columns are {stated.names}, the engine's {tuple(found)}.")
    for column, dtype in stated.items():
        said, has = (_comparable(one) for one in (dtype, found[column]))
        subject.require(said == has, f"{what}, column '{column}': the stated type is {said}, the engine's {has}.")


def _comparable(dtype: dt.DataType) -> str:
    """What matters of a type: engines widen sums and count times finer than an expression states."""
    if dtype.is_numeric() or dtype.is_boolean():
        return "number"
    if isinstance(dtype, dt.Timestamp):
        return f"time in zone {dtype.timezone}" if dtype.timezone else "time without a zone"
    return str(dtype.copy(nullable=True))


def check_sources_describe_their_data(subject: Subject) -> None:
    """Origin, time zone and units are usable: a text, a zone that exists, and columns that exist."""
    tables = _source(subject).open()
    subject.require(bool(tables.origin.strip()), "`origin` is empty; messages and reports name it.")
    try:
        ZoneInfo(tables.time_zone)
    except (ValueError, OSError, LookupError):
        subject.fail(f"`time_zone` {tables.time_zone!r} is not a time zone.")
    columns = {column for table in tables.values() for column in table.columns}
    odd = sorted(set(tables.units) - columns)
    subject.require(not odd, f"`units` names columns that no table has: {', '.join(odd)}.")


def check_sources_fingerprint_is_of_the_data(subject: Subject) -> None:
    """Equal data give an equal fingerprint, however often they are opened: a run's identity depends on it."""
    source = _source(subject)
    first, second = source.open().fingerprint, source.open().fingerprint
    subject.require(bool(first), "`fingerprint` is empty.")
    subject.require(first == second, f"opening the same data twice must give one fingerprint; it gave {first!r} and {second!r}.")


def check_sources_are_lazy(subject: Subject) -> None:
    """Building a source opens nothing, and its tables are expressions on its own connection, not rows in memory."""
    subject.build()
    tables = _source(subject).open()
    for name, table in tables.items():
        subject.require(isinstance(table, ir.Table), f"table '{name}' must be an ibis table; it is {type(table).__name__}.")
        subject.require(
            not table.op().find(ops.InMemoryTable),
            f"table '{name}' holds its rows in memory; give a table of the connection, which reads them when asked.",
        )
        subject.require(
            table.get_backend() is tables.connection,
            f"table '{name}' is on another connection than `connection`, so it cannot be joined.",
        )


def check_sources_tables_outlive_the_source(subject: Subject) -> None:
    """The tables stay readable when nothing holds the source any more."""
    tables = _source(subject).open()
    gc.collect()
    for table in tables.values():
        table.limit(1).to_pyarrow()


def check_sources_refuse_empty_data(subject: Subject) -> None:
    """Data without rows are refused with a clear message, at `open` or when examples are made of them."""
    empty: Source | None = subject.target().empty_example(subject.settings(), subject.folder)
    if empty is None:
        raise NotApplicable("it has no `empty_example`")

    def examples() -> None:
        for table in empty.open().values():
            materialise(Examples(table), {}, subject.folder / "examples.parquet")

    refused(subject, examples, "a source without rows")
