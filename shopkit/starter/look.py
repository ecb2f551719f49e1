"""What a table holds: types, missing values, distinct values, and what its columns look like being for."""

from __future__ import annotations

import codecs
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from shopkit.errors import DataError, nearest
from shopkit.sources.base import Tables
from shopkit.sources.engine import fetch, literal, quote
from shopkit.sources.files import FilesSource, find, format_of
from shopkit.sources.settings import FilesSettings
from shopkit.views.infer import RawColumn, infer_schema, raw_columns

TIME_FORMATS = (
    ("%d.%m.%Y", ""),
    ("%d/%m/%Y", "%m/%d/%Y"),
    ("%m/%d/%Y", ""),
    ("%d-%m-%Y", "%m-%d-%Y"),
    ("%m-%d-%Y", ""),
    ("%Y/%m/%d", ""),
)
"""How days are written where they are not ISO 8601, with the other reading that may fit as well."""
CLOCKS = ("", " %H:%M", " %H:%M:%S")
TABLE = '"data"'
_DECIMAL_COMMA = r"[+-]?[0-9]+(,[0-9]+)?"
_THOUSANDS = r"[+-]?[0-9]{1,3}(,[0-9]{3})+"
"""`1,234` may be a thousand or a fraction: nothing is read into it."""
_MARKED = r"[^0-9A-Za-z]{0,3}[+-]?[0-9][0-9.,' ]*[^0-9A-Za-z]{0,3}"
"""A number with marks: of a currency, of per cent, between thousands."""
_SOME = 100_000
"""Bytes of a text file that tell its encoding."""


@dataclass(frozen=True)
class Seen:
    """One column."""

    raw: RawColumn
    n_present: int
    n_distinct: int
    low: Any
    high: Any
    useless: str = ""
    """Why there is nothing to learn from it."""
    marked: str = ""
    """Of a text whose values are all numbers with marks, one of them."""
    time_format: str = ""
    """Of a text whose values are all times, how it writes them."""

    @property
    def name(self) -> str:
        return self.raw.name


@dataclass(frozen=True)
class Look:
    """A table."""

    path: str
    """As given."""
    source: Mapping[str, Any]
    """Settings of `source=files` that it needs beside its path, with the reason for each in `reasons`."""
    reasons: Mapping[str, str]
    n_rows: int
    columns: tuple[Seen, ...]
    target: Seen
    tables: Tables

    def ask(self, select: str, rows: str = TABLE) -> tuple[Any, ...]:
        """One row of answers about the table, or about rows made of it."""
        return fetch(self.tables.connection.con, f"SELECT {select} FROM {rows}")[0]


def look(path: str, target: str) -> Look:
    """Look at a table.

    Args:
        path: a file or glob, as `source.path` takes it.
        target: the column to predict.

    Raises:
        DataError: a file that cannot be read, no such column, or a target that cannot be learnt.
    """
    source, reasons = _encoding(path)
    tables = FilesSource(FilesSettings(path=path, **source)).open()
    written, why = _notation(tables.connection.con)
    if written:
        source, reasons = {**source, **written}, {**reasons, **why}
        tables = FilesSource(FilesSettings(path=path, **source)).open()
    engine = tables.connection.con
    raw = raw_columns(engine, TABLE)
    names = [column.name for column in raw]
    if target not in names:
        raise DataError(f"{path} has no column '{target}'.{nearest(target, names)} Columns: {', '.join(names)}.")
    ((n_rows,),) = fetch(engine, f"SELECT count(*) FROM {TABLE}")
    schema = infer_schema(engine, TABLE, raw, {}, {target: "target"}, {}, tables.time_zone)
    seen = tuple(replace(_seen(engine, column), useless=schema[column.name].note) for column in raw)
    found = next(column for column in seen if column.name == target)
    _check_target(path, found, n_rows)
    return Look(path, source, reasons, n_rows, seen, found, tables)


def _seen(engine: duckdb.DuckDBPyConnection, column: RawColumn) -> Seen:
    name, where = quote(column.name), f"FILTER ({column.present})"
    if column.kind is None:
        ((present,),) = fetch(engine, f"SELECT count({name}) FROM {TABLE}")
        return Seen(column, present, 0, None, None)
    facts = f"count(*) {where}, count(DISTINCT {name}) {where}, min({name}) {where}, max({name}) {where}"
    seen = Seen(column, *fetch(engine, f"SELECT {facts} FROM {TABLE}")[0])
    if not column.is_text or not seen.n_present:
        return seen
    if (form := _time_format(engine, name)) is not None:
        return replace(seen, time_format=form[0])
    marked, plain = (f"regexp_full_match(trim({name}::VARCHAR), {literal(form)})" for form in (_MARKED, "[0-9]+"))
    ((fits, example),) = fetch(
        engine, f"SELECT count(*) FILTER ({marked}), min({name}::VARCHAR) FILTER ({marked} AND NOT {plain}) FROM {TABLE}"
    )
    return replace(seen, marked=example or "") if fits == seen.n_present else seen


def _check_target(path: str, target: Seen, n_rows: int) -> None:
    if target.n_present == 0:
        raise DataError(f"{path}: the target '{target.name}' is missing in all {n_rows:,} rows.")
    if target.n_distinct == 1:
        raise DataError(f"{path}: the target '{target.name}' is {target.low!s} in every row: there is nothing to learn.")


def _encoding(path: str) -> tuple[dict[str, Any], dict[str, str]]:
    first = find(path)[0]
    if format_of(first) == "parquet":
        return {}, {}
    with gzip.open(first) if first.suffix == ".gz" else Path(first).open("rb") as stream:
        try:
            start = stream.read(_SOME)
        except (OSError, EOFError):  # a broken gzip: the source itself says so
            return {}, {}
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return {"encoding": "utf-16"}, {"encoding": "the file begins with its mark"}
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError as error:
        byte = f"it is not UTF-8: byte 0x{start[error.start]:02x} at {error.start:,}"
        return {"encoding": "cp1252"}, {"encoding": byte}
    return {}, {}


def _notation(engine: duckdb.DuckDBPyConnection) -> tuple[dict[str, Any], dict[str, str]]:
    """How the text columns write numbers and times, where it is not `1.5` and ISO 8601."""
    settings: dict[str, Any] = {}
    reasons: dict[str, str] = {}
    for column in raw_columns(engine, TABLE):
        if column.dtype != "VARCHAR":
            continue
        name = quote(column.name)
        present, commas, fits, thousands = fetch(
            engine,
            f"SELECT count({name}), count(*) FILTER (contains({name}, ',')), "
            f"count(*) FILTER (regexp_full_match({name}, {literal(_DECIMAL_COMMA)})), "
            f"count(*) FILTER (regexp_full_match({name}, {literal(_THOUSANDS)})) FROM {TABLE}",
        )[0]
        if commas > thousands and fits == present:
            settings.setdefault("decimal", ",")
            reasons.setdefault("decimal", f"as '{column.name}' writes its numbers")
        elif "timestamp_format" not in settings and (form := _time_format(engine, name)):
            settings["timestamp_format"], other = form
            also = f"; {other} fits as well, so look at it" if other else ""
            reasons["timestamp_format"] = f"as '{column.name}' writes its times{also}"
    return settings, reasons


def _time_format(engine: duckdb.DuckDBPyConnection, name: str) -> tuple[str, str] | None:
    def fits(form: str) -> bool:
        parsed = f"count(try_strptime({name}, {literal(form)}))"
        return bool(fetch(engine, f"SELECT {parsed} > 0 AND {parsed} = count({name}) FROM {TABLE}")[0][0])

    for day, other in TIME_FORMATS:
        for clock in CLOCKS:
            if fits(day + clock):
                return day + clock, other + clock if other and fits(other + clock) else ""
    return None
