"""The contract of a split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from shopkit.errors import DataError
from shopkit.schema import PARTS, Column, Role, Schema
from shopkit.split.settings import Fractions

TRAIN, VALIDATION, TEST = PARTS
GAP = "gap"
"""The part of examples that are in none, as their target reaches into the next part."""


@dataclass(frozen=True)
class Rows:
    """The examples, as a split sees them: canonical columns, read when asked for."""

    schema: Schema
    n_rows: int
    read: Callable[[str], np.ndarray]
    """Column name → canonical values (n_rows,)."""

    def of_role(self, role: Role, split: str, advice: str) -> tuple[Column, np.ndarray]:
        column = self.schema.the(role)
        if column is None:
            raise DataError(f"split {split} needs a column of role {role}, and the examples have none. {advice}")
        return column, self.read(column.name)


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
        """Part of each row: (N,) object array of `train`, `validation`, `test` or `gap`.

        Raises:
            DataError: the examples lack what the split goes by.
        """


def assign(split: Split, schema: Schema, n_rows: int, read: Callable[[str], np.ndarray]) -> np.ndarray:
    """The part of each row, (N,) object array of str, with no part empty.

    Args:
        read: column name → canonical values (N,).

    Raises:
        DataError: a part without rows, or examples that lack what the split goes by.
    """
    parts = split.parts(Rows(schema, n_rows, read))
    sizes = {part: int((parts == part).sum()) for part in (*PARTS, GAP)}
    for part in PARTS:
        if sizes[part] == 0:
            listed = ", ".join(f"{name} {count:,}" for name, count in sizes.items() if name in PARTS or count)
            raise DataError(
                f"The split leaves the {part} part without rows ({listed}, of {n_rows:,}). Give more rows or other fractions."
            )
    return parts


def whole(n_rows: int, fill: str) -> np.ndarray:
    """(N,) object array of one part."""
    parts = np.empty(n_rows, object)
    parts[:] = fill
    return parts


def classes_of(values: np.ndarray, split: str) -> np.ndarray:
    """Class number of each row (N,), classes in the order they first appear.

    Raises:
        DataError: the target is continuous, so there are no classes.
    """
    _, first, inverse = np.unique(
        values.astype(str) if values.dtype == object else values, return_index=True, return_inverse=True
    )
    if len(first) > max(2, len(values) // 4):
        raise DataError(
            f"split {split}: the target has {len(first):,} different values in {len(values):,} rows, so it has no classes to "
            f"keep in proportion. Use {'split.stratified=false' if split == 'kfold' else 'split=random'}."
        )
    return np.argsort(np.argsort(first))[inverse]


def draw(strata: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """A random `fraction` of the rows, in proportion from each stratum: boolean (N,).

    The whole is exact to the row; each stratum to one row.
    """
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    # Every (1/fraction)-th row of the strata laid end to end.
    steps = np.floor((np.arange(len(strata)) + 1) * fraction + 1e-9) > np.floor(np.arange(len(strata)) * fraction + 1e-9)
    chosen = np.zeros(len(strata), bool)
    chosen[order[steps]] = True
    return chosen


def three_parts(strata: np.ndarray, fractions: Fractions, seed: int) -> np.ndarray:
    """Rows at random to the three parts, in proportion from each stratum: (N,) object array."""
    rng = np.random.default_rng(seed)
    parts = whole(len(strata), TRAIN)
    is_test = draw(strata, fractions.test_fraction, rng)
    rest = np.flatnonzero(~is_test)
    of_rest = fractions.validation_fraction / (1 - fractions.test_fraction)
    parts[is_test] = TEST
    parts[rest[draw(strata[rest], of_rest, rng)]] = VALIDATION
    return parts
