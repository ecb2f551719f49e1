"""Reading the canonical examples of a run back as numpy columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shopkit.schema import MISSING_TIME, PARTS, Column, Schema

Raw = dict[str, np.ndarray]
"""Column → (N,) float32/float64, object array of str, or int64."""


def read_columns(path: Path, names: Sequence[str], rows: np.ndarray | None = None) -> Raw:
    """Columns of a Parquet file of canonical values; `rows` is a boolean mask (N,) of those wanted."""
    table = pq.read_table(path, columns=list(dict.fromkeys(names)))
    if rows is not None:
        table = table.filter(rows)
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}


def group_codes(path: Path, schema: Schema) -> np.ndarray | None:
    """Who a row belongs to, (N,) int64 codes: the group column, or the first of several keys (the customer of customer and
    cut-off), if it does not name a row by itself."""
    keys = [*schema.of_role("key"), *schema.of_role("time")]
    column = schema.the("group") or (keys[0] if len(keys) > 1 else None)
    if column is None:
        return None
    names, codes = np.unique(read_columns(path, [column.name])[column.name], return_inverse=True)
    return None if column.role != "group" and len(names) == len(codes) else np.asarray(codes, np.int64)


def readable(values: np.ndarray, column: Column) -> pa.Array:
    """Times as timestamps, for people."""
    if column.kind != "time":
        return pa.array(values)
    return pa.array(values, pa.timestamp("s", "UTC"), mask=values == MISSING_TIME)


def time_ranges(times: np.ndarray | None, parts: np.ndarray) -> dict[str, list[int]]:
    """Part → first and last time in it, int seconds UTC."""
    if times is None:
        return {}
    ranges = {}
    for part in PARTS:
        known = times[(parts == part) & (times != MISSING_TIME)]
        if len(known):
            ranges[part] = [int(known.min()), int(known.max())]
    return ranges
