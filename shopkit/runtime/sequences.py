"""Sequence columns: a list in each row. Canonical rows are arrays of their own length; a graph takes them padded.

In memory a sequence column is an object array (N,) of 1-D arrays. At a graph's door all sequences of a table become arrays
(N, L), padded on the right with the missing value, and one int64 array (N,) of lengths says where each row ends: a missing value
before that is a step whose value is unknown, and what stands after it changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shopkit.errors import DataError
from shopkit.runtime.images import is_nothing, stacked
from shopkit.schema import LENGTHS, MISSING_TIME, Column

_DTYPES: dict[str, type] = {"number": np.float32, "string": object, "time": np.int64}


def flatten(values: Any, column: Column, first_row: int = 0) -> tuple[Any, np.ndarray]:
    """All rows' steps end to end, raw, and the rows' lengths int64 (N,); a missing list is an empty one.

    Raises:
        DataError: a row that is not a list; names column and row.
    """
    if hasattr(values, "value_lengths"):  # an Arrow list array
        return values.flatten(), values.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    if type(values).__module__.startswith("pyarrow"):
        values = values.to_pylist()
    rows = [_row(value, column, first_row + i) for i, value in enumerate(values)]
    steps = [step for row in rows for step in row]
    return np.fromiter(steps, object, len(steps)), np.array([len(row) for row in rows], np.int64)


def _row(value: Any, column: Column, row: int) -> Sequence[Any]:
    if isinstance(value, (list, tuple)):
        return value
    if getattr(value, "ndim", 0) == 1 and hasattr(value, "tolist"):  # of numpy, pandas or torch
        # As a list, numpy's times to the nanosecond are whole numbers.
        return list(value) if getattr(value.dtype, "kind", "") in ("m", "M") else value.tolist()
    if is_nothing(value):
        return ()
    raise DataError(
        f"Column '{column.name}', row {row}: {value!r} ({type(value).__name__}) is not a list. It is a sequence column: give a "
        "list in each row, empty where there is nothing."
    )


def cells(steps: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Steps end to end (total,) as an object array (N,) of the rows' own arrays."""
    rows = np.empty(len(lengths), object)
    stops = np.cumsum(lengths)
    for row, (stop, length) in enumerate(zip(stops.tolist(), lengths.tolist(), strict=True)):
        rows[row] = steps[stop - length : stop]
    return rows


def padded(steps: np.ndarray, lengths: np.ndarray, width: int) -> np.ndarray:
    """Steps end to end (total,) → (N, width), each row padded on the right with the missing value of its type."""
    missing: Any = "" if steps.dtype == object else MISSING_TIME if steps.dtype == np.int64 else np.nan
    table = np.full((len(lengths), width), missing, steps.dtype)
    table[np.arange(width) < lengths[:, None]] = steps
    return table


def same_lengths(lengths: Mapping[str, np.ndarray], first_row: int = 0) -> np.ndarray:
    """The lengths int64 (N,) that all parallel sequences have.

    Raises:
        DataError: two sequences of one row differ in length; names the row, both columns and both lengths.
    """
    (first, expected), *others = lengths.items()
    for name, found in others:
        if len(found) == len(expected) and (found != expected).any():
            row = int((found != expected).argmax())
            raise DataError(
                f"Row {first_row + row}: '{first}' has {expected[row]} steps and '{name}' has {found[row]}. The sequences of a "
                "row run side by side: give each one value for every step, missing where it is unknown."
            )
    return expected


def lengths_of(raw: Mapping[str, np.ndarray], columns: Sequence[Column], first_row: int = 0) -> np.ndarray:
    """The lengths int64 (N,) of the rows' sequences, all of whose columns are parallel; at least one is there.

    Raises:
        DataError: two sequences of one row differ in length.
    """
    found = {c.name: np.fromiter(map(len, raw[c.name]), np.int64, len(raw[c.name])) for c in columns if c.sequence}
    return same_lengths(found, first_row)


def graph_feed(
    raw: Mapping[str, np.ndarray],
    columns: Sequence[Column],
    names: Mapping[str, str],
    lengths_name: str = LENGTHS,
    first_row: int = 0,
    least: int = 1,
) -> dict[str, np.ndarray]:
    """Canonical columns as the inputs of a graph: sequences padded to the longest row, their lengths, and images of one size.

    Args:
        raw: column → canonical (N,).
        columns: those to feed.
        names: column → name of its input.
        lengths_name: name of the input that takes the lengths, where there are sequences.
        least: pad to this many steps at least. Recurrent operators want one.

    Raises:
        DataError: sequences of one row that differ in length, or images of several sizes.
    """
    feed = {
        names[column.name]: stacked(raw[column.name], column) if column.kind == "image" else raw[column.name]
        for column in columns
        if not column.sequence
    }
    sequences = [column for column in columns if column.sequence]
    if sequences:
        lengths = lengths_of(raw, sequences, first_row)
        width = max(least, int(lengths.max(initial=0)))
        for column in sequences:
            empty: np.ndarray = np.empty(0, np.float64 if column.double else _DTYPES[column.kind])
            steps = np.concatenate([empty, *raw[column.name]])
            feed[names[column.name]] = padded(steps, lengths, width)
        feed[lengths_name] = lengths
    return feed
