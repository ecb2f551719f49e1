"""Rows that say the same are asked about once.

The items of a basket are rows of one history, of which a recommender scores all that a shop has: eight items a basket would be
eight times the work.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np


def distinct(columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The rows that repeat none before them, int64 (K,) in order, and for every row which of these it is, int64 (N,).

    Args:
        columns: name → (N, …): numbers, which are the same where their bits are, texts, or a sequence or an image in each row.
    """
    of_rows = zip(*map(_keys, columns.values()), strict=True)
    found: dict[tuple[Hashable, ...], int] = {}
    places = np.array([found.setdefault(row, len(found)) for row in of_rows], np.int64)
    return np.unique(places, return_index=True)[1], places


def asked_once(columns: Mapping[str, np.ndarray], answer: Callable[[dict[str, np.ndarray]], dict[str, Any]]) -> dict[str, Any]:
    """What `answer` gives for all rows, asked for those only that differ.

    Args:
        columns: name → (N, …).
        answer: columns of n rows → name → array or tensor (n, …).
    """
    rows, places = distinct(columns)
    if len(rows) == len(places):
        return answer(dict(columns))
    return {name: values[places] for name, values in answer({name: values[rows] for name, values in columns.items()}).items()}


def _keys(values: np.ndarray) -> list[Hashable]:
    """What is equal for two rows where they are the same."""
    if values.dtype == object:
        return [_key(value) for value in values.tolist()]
    if not values.size:
        return [b""] * len(values)
    return [row.tobytes() for row in np.ascontiguousarray(values)]


def _key(value: Any) -> Hashable:
    if not isinstance(value, np.ndarray):
        return str(value)
    return tuple(value.tolist()) if value.dtype == object else (value.shape, value.tobytes())
