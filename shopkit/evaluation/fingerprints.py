"""What the leakage audit must know of every row of a part, gathered batch by batch: 16 bytes a row, whatever the columns."""

from __future__ import annotations

import numpy as np

from shopkit.evaluation.part import Part, Raw
from shopkit.schema import MISSING_TIME


class Fingerprints:
    """Of the rows of one part, in order."""

    def __init__(self) -> None:
        self.late: dict[str, tuple[int, int]] = {}
        """Time column → rows in which it lies at or past the row's cut-off, and all rows."""
        self._keys: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []

    @classmethod
    def of(cls, part: Part) -> Fingerprints:
        found = cls()
        found.add(part)
        return found

    def add(self, part: Part) -> None:
        """Take in more rows."""
        self._keys.append(row_hashes(part.keys))
        self._rows.append(row_hashes({**_values(part), "\0target": part.target}))
        for column, values in part.raw.items():
            if values.dtype.kind == "i":
                late, total = self.late.get(column, (0, 0))
                self.late[column] = (late + _late(values, part.cutoff), total + (0 if part.cutoff is None else len(values)))

    @property
    def keys(self) -> np.ndarray:
        """uint64: equal for rows of equal keys; empty if there are none."""
        return np.concatenate(self._keys) if self._keys else np.zeros(0, np.uint64)

    @property
    def rows(self) -> np.ndarray:
        """uint64 (N,): equal for rows that are equal in all features and the target."""
        return np.concatenate(self._rows) if self._rows else np.zeros(0, np.uint64)


def row_hashes(columns: Raw) -> np.ndarray:
    """uint64 (N,): equal for rows that are equal in all columns."""
    from pandas.util import hash_array

    total: np.ndarray | None = None
    for values in columns.values():
        codes = np.asarray(values, dtype=object) if values.dtype.kind in "OUT" else np.asarray(values)
        hashed = hash_array(codes)
        total = hashed if total is None else total * np.uint64(1_000_003) ^ hashed
    return np.zeros(0, np.uint64) if total is None else total


def _values(part: Part) -> dict[str, np.ndarray]:
    """The feature columns, each sequence as one text."""
    texts = {name: np.array(["\0".join(map(str, steps)) for steps in rows], object) for name, rows in part.sequences.items()}
    return {**part.raw, **texts}


def _late(values: np.ndarray, cutoff: np.ndarray | None) -> int:
    if cutoff is None:
        return 0
    known = (values != MISSING_TIME) & (cutoff != MISSING_TIME)
    return int((values[known] >= cutoff[known]).sum())
