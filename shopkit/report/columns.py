"""A line about each raw column of the examples: aggregates only, never a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from shopkit.schema import MISSING_TIME, Column

MIN_COUNT = 10
"""A text value must occur this often before it is shown, so that no single customer's entry is printed."""


@dataclass(frozen=True)
class Summary:
    """What a column holds; of a sequence, what its steps hold."""

    column: Column
    missing: float
    """Share of rows, 0 to 1."""
    distinct: int
    low: Any = None
    median: Any = None
    high: Any = None
    top: str = ""
    """The commonest text, if it occurs at least `MIN_COUNT` times; of images, the commonest size."""
    top_share: float = 0.0

    @property
    def typical(self) -> Any:
        """A value to show in an example call: the median of numbers and times, the commonest text or size of image."""
        if self.column.kind == "string":
            return self.top
        return self.median


def summarise(path: Path, columns: Sequence[Column], memory: int = 2 << 30) -> dict[str, Summary]:
    """Name → summary of every given column that the Parquet file holds.

    Args:
        memory: bytes that queries may take before they go on in files.
    """
    if not path.is_file():
        return {}
    from shopkit.sources.engine import (  # with it comes ibis, which a report written again can do without
        BELIEVE_NO_STATISTICS,
        bound,
    )

    # One thread: with several, ties are settled by chance and equal runs would give unequal reports.
    with TemporaryDirectory(prefix="shopkit-") as folder, duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(BELIEVE_NO_STATISTICS)
        bound(connection, memory, Path(folder))
        view = connection.read_parquet(str(path)).create_view("examples")
        return {column.name: _summary(connection, column) for column in columns if column.name in view.columns}


def _summary(connection: duckdb.DuckDBPyConnection, column: Column) -> Summary:
    name = '"' + column.name.replace('"', '""') + '"'
    rows = f"(SELECT unnest({name}) AS {name} FROM examples)" if column.sequence else "examples"
    if column.kind == "string":
        query = f"""
            SELECT sum(n), sum(n) FILTER (v = ''), count(*) FILTER (v <> ''), max(n) FILTER (v <> ''),
                   arg_max(v, n) FILTER (v <> '')
            FROM (SELECT coalesce({name}::VARCHAR, '') AS v, count(*) AS n FROM {rows} GROUP BY 1 ORDER BY n DESC, v)"""
        total, missing, distinct, most, top = _one(connection, query)
        total, most = int(total or 0), int(most or 0)
        shown = str(top) if most >= MIN_COUNT else ""
        return Summary(column, int(missing or 0) / max(total, 1), distinct, top=shown, top_share=most / max(total, 1))
    if column.kind == "image":
        query = f"""
            SELECT sum(n), sum(n) FILTER (h = 1 AND w = 1), sum(d), max(n), arg_max(h, n), arg_max(w, n)
            FROM (SELECT {name}.height AS h, {name}.width AS w, count(*) AS n, count(DISTINCT hash({name})) AS d
                  FROM examples GROUP BY 1, 2 ORDER BY n DESC, 1, 2)"""
        total, missing, distinct, most, height, width = _one(connection, query)
        total, shown = max(int(total or 0), 1), f"{height} × {width} pixels"
        share, top_share = int(missing or 0) / total, int(most or 0) / total
        return Summary(column, share, int(distinct or 0), median=(height, width), top=shown, top_share=top_share)
    dtype, known = ("BIGINT", f"v <> {MISSING_TIME}") if column.kind == "time" else ("DOUBLE", "NOT isnan(v)")
    # Equal values are counted first: unlike a distinct count or a quantile, that goes on in files when memory is short.
    query = f"""
        WITH counted AS (SELECT {name}::{dtype} AS v, count(*) AS n FROM {rows} GROUP BY v),
             present AS (SELECT v, n, sum(n) OVER (ORDER BY v ROWS UNBOUNDED PRECEDING) AS n_to_here FROM counted WHERE {known})
        SELECT (SELECT sum(n) FROM counted), count(*), sum(n), min(v),
               min(v) FILTER (2 * n_to_here >= (SELECT sum(n) FROM present)), max(v)
        FROM present"""
    total, distinct, present, low, median, high = _one(connection, query)
    return Summary(column, 1 - int(present or 0) / max(int(total or 0), 1), distinct, low, median, high)


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    return connection.execute(query).fetchone() or ()
