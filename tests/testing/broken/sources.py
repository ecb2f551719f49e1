from __future__ import annotations

import uuid
import weakref
from dataclasses import replace

import ibis

from shopkit.errors import DataError
from shopkit.sources.dataframe import EXAMPLE, DataFrameSource
from shopkit.sources.settings import DataFrameSettings
from tests.testing.broken.base import broken


class MisstatesASchema(DataFrameSource):
    """Says that text is a number."""

    def open(self):
        tables = super().open()
        lies = {
            name: table.op().copy(schema=ibis.schema({**table.schema(), "color": "int64"})).to_expr()
            for name, table in tables.items()
        }
        return replace(tables, tables=lies)


class OddUnits(DataFrameSource):
    """Has units of a column that is not there."""

    def open(self):
        return replace(super().open(), units={"prize": "EUR"})


class AlwaysNew(DataFrameSource):
    """Draws its fingerprint."""

    def open(self):
        return replace(super().open(), fingerprint=uuid.uuid4().hex)


class Eager(DataFrameSource):
    """Holds its rows in memory."""

    def open(self):
        return replace(super().open(), tables={"data": ibis.memtable(EXAMPLE)})


class ClosesBehindItself(DataFrameSource):
    """Its connection ends with it."""

    def open(self):
        tables = super().open()
        weakref.finalize(self, tables.connection.disconnect)
        return tables


class Stumbles(DataFrameSource):
    """Empty data are a KeyError."""

    def open(self):
        try:
            return super().open()
        except DataError:
            raise KeyError("rows") from None


BROKEN = {
    check: broken("sources", target, DataFrameSettings, message)
    for check, target, message in (
        (
            "check_sources_tables_are_as_stated",
            MisstatesASchema,
            r"column 'color': the stated type is number, the engine's string",
        ),
        ("check_sources_describe_their_data", OddUnits, r"`units` names columns that no table has: prize"),
        ("check_sources_fingerprint_is_of_the_data", AlwaysNew, r"opening the same data twice must give one fingerprint"),
        ("check_sources_are_lazy", Eager, r"table 'data' holds its rows in memory"),
        ("check_sources_tables_outlive_the_source", ClosesBehindItself, r"The tables stay readable .* Instead it raised"),
        ("check_sources_refuse_empty_data", Stumbles, r"must be refused with a ShopkitError .* raised KeyError: 'rows'"),
    )
}
