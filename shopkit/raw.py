"""Reading the canonical examples of a run back as numpy columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

Raw = dict[str, np.ndarray]
"""Column → (N,) float32/float64, object array of str, or int64."""


def read_columns(path: Path, names: Sequence[str], rows: np.ndarray | None = None) -> Raw:
    """Columns of a Parquet file of canonical values; `rows` is a boolean mask (N,) of those wanted."""
    table = pq.read_table(path, columns=list(dict.fromkeys(names)))
    if rows is not None:
        table = table.filter(rows)
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}
