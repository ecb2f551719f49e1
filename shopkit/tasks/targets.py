"""Raw target values to classes, and the errors of a target that a task cannot use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shopkit.errors import DataError

BLOCK_ROWS = 1 << 20
SHOWN = 8
"""Classes named in a message before it says how many more there are."""


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many are left."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:SHOWN]) + more


def as_classes(values: np.ndarray) -> np.ndarray:
    """Raw target (N,) float or str → class names (N,) str; a whole number is written without its point.

    Raises:
        DataError: there are no rows, or a value is missing.
    """
    names, codes = _coded(values)
    return np.asarray(names[codes])


def _coded(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The names of the classes, sorted, and the place of each row's among them, int64 (N,)."""
    if len(values) == 0:
        raise DataError("The target has no rows: nothing is left to learn from.")
    if values.dtype.kind in "OUT":
        names, codes = np.unique(values.astype(str), return_inverse=True)
        missing = names == ""
    else:
        # Block by block, as sorting all rows at once takes several times their memory.
        blocks = [values[start : start + BLOCK_ROWS].astype(np.float64) for start in range(0, len(values), BLOCK_ROWS)]
        numbers = np.unique(np.concatenate([np.unique(block) for block in blocks]))
        codes = np.concatenate([np.searchsorted(numbers, block) for block in blocks])
        names = np.array([f"{number:.0f}" if number == np.floor(number) else repr(float(number)) for number in numbers])
        missing = np.isnan(numbers)
        order = np.argsort(names)
        names, missing, codes = names[order], missing[order], np.argsort(order)[codes]
    if missing.any():
        rows = missing[codes]
        raise DataError(
            f"The target is missing in {rows.sum():,} rows (first: row {int(rows.argmax())}); "
            "rows without a target must be set aside before the task."
        )
    return names, codes


def encode_classes(values: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Raw target (N,) → int64 (N,) index into `classes`.

    Raises:
        DataError: a class that the training part does not have: nothing was learnt of it, so no metric of it would mean anything.
    """
    names, inverse = _coded(values)
    position = {name: index for index, name in enumerate(classes)}
    unseen = [str(name) for name in names if name not in position]
    if unseen:
        rows = int(np.isin(inverse, [index for index, name in enumerate(names) if name in unseen]).sum())
        raise DataError(
            f"The target has classes that the training part lacks: {listed(unseen)}, in {rows:,} rows. Classes in training: "
            f"{listed(classes)}. Merge rare classes in the view, or split so that each part has every class (split=stratified)."
        )
    codes: np.ndarray = np.array([position[str(name)] for name in names], dtype=np.int64)
    return np.asarray(codes[inverse])


def class_shares(encoded: np.ndarray, weight: np.ndarray | None, n_classes: int) -> np.ndarray:
    """Weighted share of each class, float64 (n_classes,)."""
    counts = np.bincount(encoded, weight, minlength=n_classes).astype(np.float64)
    return np.asarray(counts / counts.sum())


def loss_weights(shares: np.ndarray, balanced: bool, extra: Sequence[float] | None = None) -> np.ndarray:
    """Weight of each class in the loss, scaled so that the mean over the training rows is 1."""
    weights = np.ones_like(shares)
    if balanced:
        weights = np.divide(1.0, shares, out=np.zeros_like(shares), where=shares > 0)
    weights = weights * (np.ones_like(shares) if extra is None else np.asarray(extra))
    return np.asarray(weights / (weights @ shares))
