"""Made-up histories for benchmarks: popular and rare items, and items that follow each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def write(path: Path, n_customers: int, n_items: int, mean_length: float = 8.9, seed: int = 0) -> int:
    """Write a table with a list of item ids (text) in each row, lengths from 5. Every item occurs before the last two
    of some row, so that it is in the catalogue. Returns the interactions."""
    rng = np.random.default_rng(seed)
    lengths = 5 + rng.geometric(1 / (mean_length - 4), n_customers) - 1
    n = int(lengths.sum())
    popular = rng.permutation(n_items)[np.minimum((n_items * rng.random(n) ** 3).astype(np.int64), n_items - 1)]
    follows = rng.permutation(n_items)
    items = popular.copy()
    again = rng.random(n) < 0.4
    items[1:][again[1:]] = follows[items[:-1][again[1:]]]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    until_last = np.repeat(offsets[1:], lengths) - 1 - np.arange(n)
    trains = np.flatnonzero(until_last >= 2)[:n_items]
    items[trains] = rng.permutation(n_items)[: len(trains)]
    names = pa.array([f"B{number:09d}" for number in range(n_items)])
    lists = pa.ListArray.from_arrays(pa.array(offsets), names.take(pa.array(items)))
    pq.write_table(pa.table({"items": lists}), path)
    return n
