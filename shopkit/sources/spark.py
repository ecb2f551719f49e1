"""Tables on a Spark cluster: what a source reads there, and what its data are told by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir

from shopkit.errors import DataError
from shopkit.sources.base import Tables
from shopkit.spark import in_our_words, session

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType

    from shopkit.sources.settings import EngineSettings


class Spark:
    """A session, and the ibis connection over it."""

    def __init__(self, settings: EngineSettings) -> None:
        self.session: SparkSession = session(settings.master, settings.options)
        self.connection: ibis.BaseBackend = ibis.pyspark.connect(self.session)

    def parquet(self, paths: Sequence[str]) -> DataFrame:
        """A lazy frame over Parquet files, folders or globs, at any address that the cluster reads.

        Raises:
            DataError: nothing there, or nothing that can be read.
        """
        with in_our_words(f"Spark cannot read {', '.join(paths)}"):
            return self.session.read.parquet(*paths)

    def named(self, name: str) -> DataFrame:
        """A lazy frame over a table of the catalogue, e.g. `shop.orders`; raises `DataError`."""
        with in_our_words(f"Spark cannot read the table {name}"):
            return self.session.table(name)

    def table(self, name: str, frame: DataFrame, time_zone: str, zones: Mapping[str, str] | None = None) -> ir.Table:
        """A lazy ibis table over a frame, its zoned times shown as wall-clock times of `time_zone`.

        Args:
            zones: column → another zone for it, also where it is stored without one; it is UTC then.
        """
        from pyspark.sql import functions as sql
        from pyspark.sql.types import TimestampType

        zoned = {field.name: time_zone for field in frame.schema.fields if isinstance(field.dataType, TimestampType)}
        local = {
            column: sql.from_utc_timestamp(sql.col(f"`{column}`").cast("timestamp"), zone).cast("timestamp_ntz")
            for column, zone in {**zoned, **(zones or {})}.items()
        }
        with in_our_words(f"Spark cannot read the table {name}"):
            frame.withColumns(local).createOrReplaceTempView(name)
            return self.connection.table(name)

    def tables(self, frames: Mapping[str, DataFrame], origin: str, time_zone: str, units: Mapping[str, str]) -> Tables:
        """What a source opens, of frames by name; times are shown as in `table`."""
        return Tables(
            tables={name: self.table(name, frame, time_zone) for name, frame in frames.items()},
            connection=self.connection,
            origin=origin,
            fingerprint=self.fingerprint(frames),
            time_zone=time_zone,
            units=dict(units),
        )

    def fingerprint(self, frames: Mapping[str, DataFrame]) -> str:
        """A hash of all rows of all tables, whatever their order; one pass over the data, on the cluster.

        Raises:
            DataError: a table without rows, or one that cannot be read.
        """
        from pyspark.sql import functions as sql

        digest = hashlib.sha256()
        for name, frame in frames.items():
            columns = [_told(sql.col(f"`{field.name}`"), field.dataType) for field in frame.schema.fields]
            with in_our_words(f"Spark cannot read the table {name}"):
                row = frame.agg(sql.count(sql.lit(1)), sql.sum(sql.xxhash64(*columns).cast("decimal(38,0)"))).first()
            assert row is not None
            if row[0] == 0:
                raise DataError(f"Table '{name}' has no rows.")
            digest.update(f"{name}:{frame.schema.simpleString()}:{row[0]}:{row[1]}\n".encode())
        return digest.hexdigest()


def _told(column: Column, kind: DataType) -> Column:
    """A column, and beside it where nothing stands in it, at any depth: Spark's hash passes over nulls and ends of lists."""
    from pyspark.sql import functions as sql
    from pyspark.sql.types import ArrayType, MapType, StructType

    if isinstance(kind, MapType):  # which Spark does not hash
        kind = ArrayType(StructType().add("key", kind.keyType).add("value", kind.valueType))
        column = sql.map_entries(column)
    if isinstance(kind, ArrayType):
        inner = kind.elementType
        return sql.struct(sql.coalesce(sql.size(column), sql.lit(-1)), sql.transform(column, lambda value: _told(value, inner)))
    if isinstance(kind, StructType):
        return sql.struct(column.isNull(), *(_told(column[field.name], field.dataType) for field in kind.fields))
    return sql.struct(column.isNull(), column)
