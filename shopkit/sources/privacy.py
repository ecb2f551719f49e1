"""Identifiers hashed as the source is opened, before a view, a file or a model sees them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from shopkit.errors import DataError, nearest
from shopkit.runtime.privacy import DIGITS, UNIT, key_id, read_key
from shopkit.sources.base import Tables
from shopkit.sources.copied import copied
from shopkit.sources.engine import fetch, quote
from shopkit.sources.settings import PrivacySettings

_BLOCK = 64
"""Bytes of a block of SHA-256."""


def with_hashed_keys(tables: Tables, settings: PrivacySettings) -> Tables:
    """The tables with the named columns replaced by HMAC-SHA256 of their text; all as they are where none is named.

    On DuckDB the hashes are computed as the view reads. Tables of another database are first copied, in batches, to Parquet
    in a scratch folder, and read from there by DuckDB.

    Raises:
        ConfigError: there is no key.
        DataError: a column that no table has.
    """
    if not settings.hash_keys:
        return tables
    known = {column for table in tables.values() for column in table.columns}
    for name in settings.hash_keys:
        if name not in known:
            raise DataError(
                f"privacy.hash_keys: {tables.origin} has no column '{name}'.{nearest(name, known)} "
                f"Columns: {', '.join(sorted(known))}."
            )
    key = read_key(settings.key_env, settings.key_file)
    if tables.connection.name != "duckdb":
        tables = copied(tables)
    _set_key(tables.connection, key)
    hashed = {name: _hashed(tables.connection, name, table, settings.hash_keys) for name, table in tables.items()}
    note = f"{', '.join(settings.hash_keys)}: hashed with {UNIT}, key {key_id(key)}"
    return replace(
        tables,
        tables=hashed,
        fingerprint=hashlib.sha256(f"{tables.fingerprint}\n{note}".encode()).hexdigest(),
        units={**tables.units, **dict.fromkeys(settings.hash_keys, UNIT)},
        notes=(*tables.notes, note),
    )


def _set_key(connection: ibis.BaseBackend, key: bytes) -> None:
    # As variables, so that the key stands in no statement and no view; the pads are those of RFC 2104.
    block = (key if len(key) <= _BLOCK else hashlib.sha256(key).digest()).ljust(_BLOCK, b"\0")
    for name, pad in (("inner", 0x36), ("outer", 0x5C)):
        connection.con.execute(f"SET VARIABLE shopkit_{name} = ?::BLOB", [bytes(byte ^ pad for byte in block)])


def _hashed(connection: ibis.BaseBackend, name: str, table: ir.Table, columns: Sequence[str]) -> ir.Table:
    wanted = [column for column in columns if column in table.columns]
    if not wanted:
        return table
    given = ", ".join(f"{_hmac(quote(column), table[column].type())} AS {quote(column)}" for column in wanted)
    view = f"{name} with hashed keys"
    fetch(connection.con, f"CREATE OR REPLACE VIEW {quote(view)} AS SELECT * REPLACE ({given}) FROM {quote(name)}")
    return connection.table(view)


def _hmac(column: str, dtype: dt.DataType) -> str:
    text = f"CASE WHEN {_as_text(column, dtype)} END" if dtype.is_floating() or dtype.is_decimal() else f"{column}::VARCHAR"
    inner = f"unhex(sha256(getvariable('shopkit_inner') || encode({text})))"
    outer = f"left(sha256(getvariable('shopkit_outer') || {inner}), {DIGITS})"
    return f"CASE WHEN {text} = '' THEN '' ELSE {outer} END"


def _as_text(column: str, dtype: dt.DataType) -> str:
    """3.0 is 3, as whole numbers with missing ones among them may come as floats; NaN is missing. They may be above 2⁶³."""
    if dtype.is_decimal():
        return f"{column} = floor({column}) THEN {column}::DECIMAL(38, 0)::VARCHAR ELSE {column}::VARCHAR"
    digits = f"coalesce(TRY_CAST({column} AS HUGEINT)::VARCHAR, {column}::VARCHAR)"
    return f"isnan({column}) THEN NULL WHEN {column} = floor({column}) THEN {digits} ELSE {column}::VARCHAR"
