"""The contract of a split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shopkit.coded import coded
from shopkit.errors import DataError
from shopkit.raw import read_columns
from shopkit.schema import PARTS, Column, Role, Schema
from shopkit.split.settings import Fractions

TRAIN, VALIDATION, TEST = range(len(PARTS))
GAP = -1
"""The part of examples that are in none, as their target reaches into the next part."""
NAMES = np.array([*PARTS, "gap"], object)
"""Name of each part: `NAMES[parts]`, the last that of `GAP`."""


@dataclass(frozen=True)
class Rows:
    """The examples, as a split sees them: canonical columns, read when asked for."""

    schema: Schema
    n_rows: int
    read: Callable[[str], np.ndarray]
    """Column name → canonical values (n_rows,)."""
    path: Path | None = None
    """The Parquet file of these columns, if they are all its rows: names are then never in memory all at once."""
    memory: int = 2 << 30
    """Bytes that the different values of a column may take before they are in files."""

    @classmethod
    def of_file(cls, schema: Schema, n_rows: int, path: Path, memory: int = 2 << 30) -> Rows:
        """All rows of a Parquet file of canonical values."""
        return cls(schema, n_rows, lambda name: read_columns(path, [name])[name], path, memory)

    def the(self, role: Role, split: str, advice: str) -> Column:
        """The column of a role; raises `DataError` where there is none."""
        column = self.schema.the(role)
        if column is None:
            raise DataError(f"split {split} needs a column of role {role}, and the examples have none. {advice}")
        return column

    def codes(self, name: str) -> np.ndarray:
        """The place of each row's value among the different ones of a column, sorted: integers (n_rows,)."""
        if self.path is None:
            return np.unique(_sortable(self.read(name)), return_inverse=True)[1]
        with coded(self.path, name, self.memory) as found:
            return found.codes(self.n_rows)

    def distinct(self, name: str) -> np.ndarray:
        """The different values of a column, sorted."""
        if self.path is None:
            return np.unique(_sortable(self.read(name)))
        with coded(self.path, name, self.memory) as found:
            return found.distinct()


def _sortable(values: np.ndarray) -> np.ndarray:
    return values.astype(str) if values.dtype == object else values


class Split(ABC):
    """Built as `Class(settings)`. Equal rows and settings give equal parts."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @property
    def not_features(self) -> tuple[str, ...]:
        """Columns that steer the split and must not be features."""
        return ()

    @abstractmethod
    def parts(self, rows: Rows) -> np.ndarray:
        """Part of each row: int8 (N,), its place in `PARTS`, or `GAP`.

        Raises:
            DataError: the examples lack what the split goes by.
        """


def assign(split: Split, rows: Rows) -> np.ndarray:
    """The part of each row, int8 (N,): its place in `PARTS`, or `GAP`; no part is empty.

    Raises:
        DataError: a part without rows, or examples that lack what the split goes by.
    """
    parts = split.parts(rows)
    sizes = {str(name): int((parts == code).sum()) for name, code in zip(NAMES, (TRAIN, VALIDATION, TEST, GAP), strict=True)}
    for part in PARTS:
        if sizes[part] == 0:
            listed = ", ".join(f"{name} {count:,}" for name, count in sizes.items() if name in PARTS or count)
            raise DataError(
                f"The split leaves the {part} part without rows ({listed}, of {rows.n_rows:,}). "
                "Give more rows or other fractions."
            )
    return parts


def whole(n_rows: int, fill: int) -> np.ndarray:
    """Int8 (N,) of one part."""
    return np.full(n_rows, fill, np.int8)


def classes_of(codes: np.ndarray, split: str) -> np.ndarray:
    """Class number of each row (N,), classes in the order they first appear.

    Args:
        codes: of the target, as `Rows.codes` gives them.

    Raises:
        DataError: the target is continuous, so there are no classes.
    """
    n_classes = int(codes.max(initial=-1)) + 1
    if n_classes > max(2, len(codes) // 4):
        raise DataError(
            f"split {split}: the target has {n_classes:,} different values in {len(codes):,} rows, so it has no classes to "
            f"keep in proportion. Use {'split.stratified=false' if split == 'kfold' else 'split=random'}."
        )
    first = np.empty(n_classes, np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]  # the last to be written is the first row
    number = np.empty(n_classes, codes.dtype)
    number[np.argsort(first)] = np.arange(n_classes)
    return np.asarray(number[codes])


def draw(strata: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """A random `fraction` of the rows, in proportion from each stratum: boolean (N,).

    The whole is exact to the row; each stratum to one row.
    """
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    # Every (1/fraction)-th row of the strata laid end to end.
    count = np.floor(np.arange(len(strata) + 1) * fraction + 1e-9)
    chosen = np.zeros(len(strata), bool)
    chosen[order[count[1:] > count[:-1]]] = True
    return chosen


def three_parts(strata: np.ndarray, fractions: Fractions, seed: int) -> np.ndarray:
    """Rows at random to the three parts, in proportion from each stratum: int8 (N,)."""
    rng = np.random.default_rng(seed)
    parts = whole(len(strata), TRAIN)
    is_test = draw(strata, fractions.test_fraction, rng)
    rest = np.flatnonzero(~is_test)
    of_rest = fractions.validation_fraction / (1 - fractions.test_fraction)
    parts[is_test] = TEST
    parts[rest[draw(strata[rest], of_rest, rng)]] = VALIDATION
    return parts
