"""Reading the canonical examples of a run back as numpy columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shopkit.runtime.images import FIELDS, decoded
from shopkit.schema import MISSING_TIME, PARTS, Column, Schema

IMAGE_TYPE = pa.struct([*((field, pa.int32()) for field in FIELDS[:3]), (FIELDS[3], pa.binary())])
"""Of an image in a table."""

Raw = dict[str, np.ndarray]
"""Column → (N,) float32/float64, object array of str or of images, or int64."""


def read_columns(path: Path, names: Sequence[str], rows: np.ndarray | None = None) -> Raw:
    """Columns of a Parquet file of canonical values; `rows` is a boolean mask (N,) of those wanted."""
    table = pq.read_table(path, columns=list(dict.fromkeys(names)))
    if rows is not None:
        table = table.filter(rows)
    return {name: as_numpy(table.column(name)) for name in table.column_names}


def image_structs(images: Iterable[np.ndarray]) -> pa.StructArray:
    """Images uint8 (height, width, channels) as a table holds them."""
    images = list(images)
    shapes = np.array([image.shape for image in images], np.int32).reshape(-1, 3)
    pixels = pa.array([image.tobytes() for image in images], pa.binary())
    return pa.StructArray.from_arrays([*(pa.array(shapes[:, i]) for i in range(3)), pixels], fields=list(IMAGE_TYPE))


def as_numpy(values: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A canonical Parquet column as a canonical array."""
    if pa.types.is_struct(values.type):
        return decoded(values.to_pylist())
    array: np.ndarray = values.to_numpy(zero_copy_only=False)
    return array


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
