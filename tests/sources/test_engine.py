from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shopkit.sources.engine import connect, fetch, read_parquet


def test_nan_is_seen_in_parquet_whose_statistics_leave_it_out(tmp_path: Path) -> None:
    path = tmp_path / "arrow.parquet"
    pq.write_table(pa.table({"x": np.array([1.0, 2.0, np.nan])}), path)
    connection, _ = connect()
    sql = f"SELECT count(*) FILTER (isnan(x)), max(x) FILTER (NOT isnan(x)) FROM {read_parquet([path])}"
    assert fetch(connection.con, sql) == [(1, 2.0)]
