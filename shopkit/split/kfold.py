"""One fold of a cross-validation."""

from __future__ import annotations

import numpy as np

from shopkit.errors import DataError
from shopkit.split.base import TEST, TRAIN, VALIDATION, Rows, Split, classes_of, draw, whole
from shopkit.split.settings import KfoldSplitSettings


class KfoldSplit(Split):
    """The fold is the test part; the validation part is drawn from the other folds.

    The folds are row for row those of scikit-learn's `StratifiedKFold` and `KFold` (shuffled, with `random_state=seed`), so that
    results can be set beside those of other libraries.
    """

    settings: KfoldSplitSettings

    def parts(self, rows: Rows) -> np.ndarray:
        settings = self.settings
        if rows.n_rows < settings.n_folds:
            raise DataError(f"split kfold: {rows.n_rows} rows cannot make {settings.n_folds} folds.")
        if settings.stratified:
            target = rows.the("target", "kfold", "Name it with view.target, or set split.stratified=false.")
            strata = classes_of(rows.codes(target.name), "kfold")
            folds = stratified_folds(strata, settings.n_folds, settings.seed)
        else:
            strata = np.zeros(rows.n_rows, np.int8)
            folds = plain_folds(rows.n_rows, settings.n_folds, settings.seed)
        parts = whole(rows.n_rows, TEST)
        rest = np.flatnonzero(folds != settings.fold)
        chosen = draw(strata[rest], settings.validation_fraction, np.random.default_rng([settings.seed, settings.fold]))
        parts[rest] = np.where(chosen, VALIDATION, TRAIN)
        return parts


def stratified_folds(classes: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    """Fold of each row, (N,) int64, each fold with the same mix of classes.

    Args:
        classes: class number of each row (N,), numbered in the order they first appear.
    """
    rng = np.random.RandomState(seed)
    n_classes = int(classes.max()) + 1
    # Rows sorted by class are dealt to the folds in turn: how many of each class a fold gets.
    dealt = [np.bincount(np.sort(classes)[fold::n_folds], minlength=n_classes) for fold in range(n_folds)]
    folds = np.empty(len(classes), np.int64)
    for number in range(n_classes):
        of_class = np.repeat(np.arange(n_folds), [counts[number] for counts in dealt])
        rng.shuffle(of_class)
        folds[classes == number] = of_class
    return folds


def plain_folds(n_rows: int, n_folds: int, seed: int) -> np.ndarray:
    """Fold of each row, (N,) int64; the first folds are larger by one row if need be."""
    order = np.arange(n_rows)
    np.random.RandomState(seed).shuffle(order)
    folds = np.empty(n_rows, np.int64)
    for fold, rows in enumerate(np.array_split(order, n_folds)):
        folds[rows] = fold
    return folds
