"""The contract of a source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import ibis
import ibis.expr.types as ir

from shopkit.errors import ConfigError, DataError, nearest
from shopkit.schema import Schema

if TYPE_CHECKING:
    import pyarrow as pa

    from shopkit.sources.spark import Spark


@dataclass(frozen=True)
class Tables(Mapping[str, ir.Table]):
    """Named, lazy tables on one ibis connection."""

    tables: Mapping[str, ir.Table]
    connection: ibis.BaseBackend
    origin: str
    """Where they come from, for messages and the report. Never holds a password."""
    fingerprint: str
    """Of schema and contents of all rows: changes when any of them does; equal data give an equal one."""
    time_zone: str = "UTC"
    """Zone in which times without one are read."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Unit or currency by column name, e.g. `{"sales_value": "USD"}`."""
    notes: tuple[str, ...] = ()
    """Licence, citation and known quirks, for the report."""
    text: Mapping[str, Any] = field(default_factory=dict)
    """How text files write their values, for whoever reads others like them (`shopkit.predict.written.Written`); empty where the
    tables are no text."""

    def __getitem__(self, name: str) -> ir.Table:
        try:
            return self.tables[name]
        except KeyError:
            raise DataError(
                f"{self.origin} has no table '{name}'.{nearest(name, self.tables)} Tables: {', '.join(self.tables)}."
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)


class Source(ABC):
    """Built as `Class(settings)`."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @abstractmethod
    def open(self) -> Tables:
        """Connect and name the tables.

        Raises:
            DataError: a file, table, encoding or connection that cannot be used; names it and says what to do.
        """

    def on_spark(self, spark: Spark) -> Tables:
        """The same tables as `open` gives, read by the workers of a Spark cluster, for `engine=spark`.

        Raises:
            ConfigError: a source that is read on this machine only.
            DataError: as `open` does.
        """
        raise ConfigError(
            f"{type(self).__name__} is read on this machine only, so engine=spark cannot be used with it. Use source=files over "
            "Parquet or source=catalog, or engine=duckdb."
        )

    def rows(self, folder: Path, inputs: Schema) -> Iterator[pa.RecordBatch]:
        """Rows to predict, at least one: those of a folder, read as this source reads its own. For sources tagged `folder`.

        Args:
            inputs: the columns that are asked for; others name a row, and go to its answer.

        Raises:
            DataError: a folder without rows, what cannot be read in it, or columns that it cannot have.
        """
        raise ConfigError(f"{type(self).__name__} does not read the rows of a folder. Give a CSV, TSV or Parquet file.")

    @classmethod
    def example(cls, settings: Any, folder: Path) -> Self | None:
        """A source over a little data, for the conformance suite: override where default settings open nothing.

        None where its data are not on this machine.

        Args:
            settings: valid settings, to be completed.
            folder: empty; may be written to.
        """
        return cls(settings)

    @classmethod
    def empty_example(cls, settings: Any, folder: Path) -> Self | None:
        """The same over data without a row; None where that cannot be."""
        return None
