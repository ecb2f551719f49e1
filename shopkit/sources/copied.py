"""Tables of another database, copied so that DuckDB reads them."""

from __future__ import annotations

from dataclasses import replace

from shopkit.sources.base import Tables
from shopkit.sources.engine import connect, local_view, read_parquet, save

BATCH_ROWS = 65_536


def copied(tables: Tables) -> Tables:
    """The same tables, copied in batches to Parquet in a scratch folder that lives as long as the connection does."""
    connection, scratch = connect()
    copies = {}
    for position, (name, table) in enumerate(tables.items()):
        path = scratch / f"{position}.parquet"
        save(table.to_pyarrow_batches(chunk_size=BATCH_ROWS), path)
        copies[name] = local_view(connection, name, read_parquet([path]), tables.time_zone)
    return replace(tables, tables=copies, connection=connection)
