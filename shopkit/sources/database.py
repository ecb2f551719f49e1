"""A database by URL."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from shopkit.errors import ConfigError, DataError, nearest
from shopkit.sources.base import Source, Tables
from shopkit.sources.copied import BATCH_ROWS, copied
from shopkit.sources.engine import connect, fetch, literal, local_view, quote
from shopkit.sources.files import find
from shopkit.sources.settings import DatabaseSettings

FILE_DATABASES = ("duckdb", "sqlite")
_ROW = quote("the whole row")  # a name that no column has, which would be meant before the row
# Every driver has errors of its own; by PEP 249 they descend from classes of these names.
_CANNOT_COMPUTE = frozenset({"IbisError", "ProgrammingError", "NotSupportedError"})
_BROKE_OFF = frozenset({"OperationalError", "InterfaceError", "DatabaseError"})


class DatabaseSource(Source):
    """Lazy tables of a DuckDB file (opened read-only) or of any other database that ibis connects to.

    The fingerprint is of all rows, whatever their order: DuckDB and PostgreSQL hash them where they are; those of other databases
    are read once for it.
    """

    settings: DatabaseSettings

    def open(self) -> Tables:
        url = urlsplit(self.settings.url)
        if not url.scheme:
            raise ConfigError("source database: set source.url, e.g. duckdb://shop.duckdb or postgres://user:password@host/shop.")
        connection, tables = self._duckdb(url) if url.scheme == "duckdb" else self._other(url)
        if not tables:
            raise DataError(f"source database {shown(url)} has no tables.")
        found = Tables(
            tables=tables,
            connection=connection,
            origin=f"source database {shown(url)}",
            fingerprint="",
            time_zone=self.settings.time_zone,
            units=dict(self.settings.units),
        )
        with in_our_words(found.origin):
            if self.settings.copy and connection.name != "duckdb":
                found = copied(found)
            found = replace(found, fingerprint=_fingerprint(found))
        origin, engine, zone = found.origin, found.connection.name, found.time_zone
        if engine == "duckdb":
            return found
        return replace(found, tables={name: _in_local_time(origin, engine, name, table, zone) for name, table in found.items()})

    @classmethod
    def example(cls, settings: DatabaseSettings, folder: Path) -> Self:
        return cls._over(settings, folder / "shop.duckdb", "SELECT 'red' AS color, 1.5::DOUBLE AS price, now()::TIMESTAMP AS at")

    @classmethod
    def empty_example(cls, settings: DatabaseSettings, folder: Path) -> Self:
        return cls._over(settings, folder / "empty.duckdb", "SELECT 1 AS price WHERE false")

    @classmethod
    def _over(cls, settings: DatabaseSettings, path: Path, rows: str) -> Self:
        with duckdb.connect(str(path)) as database:
            database.execute(f"CREATE TABLE orders AS {rows}")
        return cls(replace(settings, url=f"duckdb://{path}"))

    def _chosen(self, url: SplitResult, offered: Sequence[str]) -> list[str]:
        for name in self.settings.tables:
            if name not in offered:
                raise DataError(
                    f"source database {shown(url)} has no table '{name}'.{nearest(name, offered)} "
                    f"Tables: {', '.join(offered) or 'none'}."
                )
        return list(self.settings.tables) or sorted(offered)

    def _duckdb(self, url: SplitResult) -> tuple[ibis.BaseBackend, dict[str, ir.Table]]:
        connection, _ = connect()
        (path,) = find(_file(url))
        try:
            fetch(connection.con, f"ATTACH {literal(str(path))} AS shop (READ_ONLY)")
        except duckdb.Error as error:
            raise DataError(f"source database {shown(url)}: cannot be opened ({str(error).splitlines()[0]})") from None
        found = fetch(
            connection.con,
            "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'shop' AND table_schema = 'main'",
        )
        names = self._chosen(url, [name for (name,) in found])
        zone = self.settings.time_zone
        return connection, {name: local_view(connection, name, f"shop.main.{quote(name)}", zone) for name in names}

    def _other(self, url: SplitResult) -> tuple[ibis.BaseBackend, dict[str, ir.Table]]:
        if url.scheme in FILE_DATABASES:
            find(_file(url))  # connecting would create a file that is not there
        try:
            connection = ibis.connect(self.settings.url)
            offered = connection.list_tables()
        except ImportError as error:
            raise DataError(
                f"source database {shown(url)}: the driver is not installed ({error.name}). "
                f'Run: pip install "ibis-framework[{url.scheme}]"'
            ) from None
        except Exception as error:  # every driver has errors of its own
            raise DataError(f"source database {shown(url)}: cannot connect: {_without_password(url, str(error))}") from None
        return connection, {name: connection.table(name) for name in self._chosen(url, offered)}


def _fingerprint(tables: Tables) -> str:
    digest = hashlib.sha256()
    for name, table in tables.items():
        digest.update(f"{name}:{table.schema()}:{_summary(tables.connection, name, table)}\n".encode())
    return digest.hexdigest()


def _summary(connection: ibis.BaseBackend, name: str, table: ir.Table) -> str:
    """Number of rows and sum of their hashes."""
    if connection.name == "postgres":
        hashed = f"SELECT count(*), sum(hashtextextended({_ROW}::text, 0)) FROM {quote(name)} AS {_ROW}"
        with closing(connection.raw_sql(hashed)) as cursor:
            return str(cursor.fetchall())
    if connection.name == "duckdb":
        return str(fetch(connection.con, f"SELECT count(*), sum(hash({_ROW})) FROM {quote(name)} AS {_ROW}"))
    try:
        with duckdb.connect() as engine, table.to_pyarrow_batches(chunk_size=BATCH_ROWS) as batches:
            engine.register("rows", batches)
            return str(fetch(engine, f"SELECT count(*), sum(hash({_ROW})) FROM rows AS {_ROW}"))
    except (pa.ArrowException, duckdb.Error, TypeError, ValueError) as error:
        first = str(error).strip().splitlines()[0].rstrip(".")
        raise DataError(f"table '{name}' cannot be read: {first}. Name those that are needed in source.tables.") from error


@contextmanager
def in_our_words(origin: str) -> Iterator[None]:
    """What another database than DuckDB says as it computes a view in place, as one sentence.

    Raises:
        DataError: it cannot compute the view, or went away meanwhile.
    """
    try:
        yield
    except duckdb.Error:
        raise
    except Exception as error:
        kinds = {cls.__name__ for cls in type(error).__mro__}
        first = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        if kinds & _CANNOT_COMPUTE:
            raise DataError(
                f"{origin} cannot compute the view: {first}. Set source.copy=true: it is copied first, and DuckDB computes it."
            ) from error
        if kinds & _BROKE_OFF:
            raise DataError(f"The database broke off while the examples were read from it: {first}") from error
        raise


def _timezone(zone: str, moment: object) -> object:
    """The wall-clock time there, in PostgreSQL."""


def _in_local_time(origin: str, engine: str, name: str, table: ir.Table, time_zone: str) -> ir.Table:
    """The table with its zoned times as wall-clock times there."""
    zoned = [column for column, dtype in table.schema().items() if dtype.is_timestamp() and dtype.timezone]
    if zoned and engine != "postgres":
        raise DataError(
            f"{origin}: column '{zoned[0]}' of table '{name}' has times with a zone, which only DuckDB and PostgreSQL set "
            "against each other in place. Set source.copy=true."
        )
    local = ibis.udf.scalar.builtin(_timezone, name="timezone", signature=((dt.string, dt.Timestamp("UTC")), dt.timestamp))
    return table.mutate({column: local(time_zone, table[column]) for column in zoned})


def shown(url: SplitResult) -> str:
    """The URL without its password."""
    host = url.netloc.rpartition("@")[2]
    user = f"{url.username}@" if url.username else ""
    return f"{url.scheme}://{user}{host}{url.path}"


def _file(url: SplitResult) -> str:
    return str(Path(unquote(url.netloc + url.path)))


def _without_password(url: SplitResult, message: str) -> str:
    first = message.strip().splitlines()[0] if message.strip() else "no reason given"
    for secret in {url.password or "", unquote(url.password or "")} - {""}:
        first = first.replace(secret, "***")
    return first
