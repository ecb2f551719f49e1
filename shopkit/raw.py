"""Reading the canonical examples of a run back as numpy columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shopkit.coded import coded
from shopkit.runtime.images import FIELDS, decoded
from shopkit.schema import MISSING_TIME, PARTS, Column, Schema

BATCH_ROWS = 65_536
"""Rows at once, where a file is read in batches."""
IMAGE_TYPE = pa.struct([*((field, pa.int32()) for field in FIELDS[:3]), (FIELDS[3], pa.binary())])
"""Of an image in a table."""

Raw = dict[str, np.ndarray]
"""Column → (N,) float32/float64, object array of str or of images, or int64."""


def read_columns(path: Path, names: Sequence[str], rows: np.ndarray | None = None) -> Raw:
    """Columns of a Parquet file of canonical values; `rows` is a boolean mask (N,) of those wanted."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        tables = list(_groups(file, names, rows))
    return _raw(pa.concat_tables(tables))


def read_batches(path: Path, names: Sequence[str], rows: np.ndarray | None = None, size: int = BATCH_ROWS) -> Iterator[Raw]:
    """The same, `size` rows at a time (the last time fewer); one batch without rows where none are wanted."""
    with pq.ParquetFile(path, pre_buffer=False) as file:
        pending = None
        for table in _groups(file, names, rows):
            pending = table if pending is None else pa.concat_tables([pending, table])
            while len(pending) > size:
                yield _raw(pending.slice(0, size))
                pending = pending.slice(size)
        assert pending is not None
        yield _raw(pending)


def _groups(file: pq.ParquetFile, names: Sequence[str], rows: np.ndarray | None) -> Iterator[pa.Table]:
    """The wanted rows of each row group that has any; at least one table."""
    names = list(dict.fromkeys(names))
    start, is_first = 0, True
    for group in range(file.num_row_groups):
        place = slice(start, start + file.metadata.row_group(group).num_rows)
        start = place.stop
        if rows is None or rows[place].any():
            is_first = False
            table = file.read_row_group(group, columns=names)
            yield table if rows is None or rows[place].all() else table.filter(rows[place])
    if is_first:
        yield file.schema_arrow.empty_table().select(names)


def _raw(table: pa.Table) -> Raw:
    return {name: as_numpy(table.column(name)) for name in table.column_names}


def evenly(rows: np.ndarray, most: int) -> np.ndarray:
    """Of the rows of a boolean mask (N,), at most so many, evenly spaced; all of them if they are no more."""
    chosen = np.flatnonzero(rows)
    if len(chosen) <= most:
        return rows
    sample = np.zeros(len(rows), bool)
    sample[chosen[np.arange(most) * len(chosen) // most]] = True
    return sample


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


def group_codes(path: Path, schema: Schema, memory: int = 2 << 30) -> np.ndarray | None:
    """Who a row belongs to, (N,) int64 codes: the group column, or the first of several keys (the customer of customer and
    cut-off), if it does not name a row by itself.

    Args:
        memory: bytes that the different values may take before they are in files.
    """
    keys = [*schema.of_role("key"), *schema.of_role("time")]
    column = schema.the("group") or (keys[0] if len(keys) > 1 else None)
    if column is None:
        return None
    n_rows = pq.read_metadata(path).num_rows
    with coded(path, column.name, memory) as found:
        if column.role != "group" and found.n_distinct == n_rows:
            return None
        return found.codes(n_rows).astype(np.int64)


def decision_codes(path: Path, schema: Schema, groups: np.ndarray | None, memory: int = 2 << 30) -> np.ndarray | None:
    """The decision of its group that a row belongs to, (N,) int64 codes over all groups; None where no column tells them apart.

    Args:
        groups: of `group_codes`.
        memory: bytes that the different values may take before they are in files.
    """
    column = schema.the("decision")
    if groups is None or column is None:
        return None
    with coded(path, column.name, memory) as found:
        places = found.codes(len(groups)).astype(np.int64)
    return np.unique(groups * (int(places.max(initial=0)) + 1) + places, return_inverse=True)[1]


def distinct_texts(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different texts in order, object (K,), and where each row's stands among them, int64 (N,).

    As numpy's `unique` with its inverse, which would make every text as wide as the longest one.
    """
    encoded = pa.array(texts.astype(object), pa.large_string()).dictionary_encode()
    order = pc.sort_indices(encoded.dictionary)
    places = np.empty(len(order), np.int64)
    places[order.to_numpy()] = np.arange(len(order))
    return as_numpy(encoded.dictionary.take(order)), places[encoded.indices.to_numpy()]


def part_codes(path: Path) -> np.ndarray:
    """The part of every example, int8 (N,): its place in `PARTS`, or -1 for one that is in none."""
    codes = [_code(batch["part"]) for batch in read_batches(path, ["part"])]
    return np.concatenate(codes)


def _code(parts: np.ndarray) -> np.ndarray:
    codes = np.full(len(parts), -1, np.int8)
    for code, part in enumerate(PARTS):
        codes[parts == part] = code
    return codes


def readable(values: np.ndarray, column: Column) -> pa.Array:
    """Times as timestamps, for people."""
    if column.kind != "time":
        return pa.array(values)
    return pa.array(values, pa.timestamp("s", "UTC"), mask=values == MISSING_TIME)


def time_ranges(times: np.ndarray | None, parts: np.ndarray) -> dict[str, list[int]]:
    """Part → first and last time in it, int seconds UTC.

    Args:
        parts: int8 (N,), as `part_codes` gives them.
    """
    if times is None:
        return {}
    ranges = {}
    for code, part in enumerate(PARTS):
        known = times[(parts == code) & (times != MISSING_TIME)]
        if len(known):
            ranges[part] = [int(known.min()), int(known.max())]
    return ranges
