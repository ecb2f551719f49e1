"""One fold of a cross-validation over whole groups."""

from __future__ import annotations

import numpy as np

from shopkit.errors import DataError
from shopkit.split.base import TEST, TRAIN, VALIDATION, Rows, Split, whole
from shopkit.split.group import groups_of
from shopkit.split.settings import GroupKfoldSplitSettings


class GroupKfoldSplit(Split):
    """Groups in random order, dealt to folds of about as many rows; the validation part is whole groups of the other folds."""

    settings: GroupKfoldSplitSettings

    def parts(self, rows: Rows) -> np.ndarray:
        settings = self.settings
        groups = groups_of(rows, settings.column, "group_kfold")
        sizes = np.bincount(groups)
        if len(sizes) <= settings.n_folds:
            raise DataError(
                f"split group_kfold: {len(sizes)} groups cannot make {settings.n_folds} folds with something left for validation."
            )
        order = np.random.default_rng(settings.seed).permutation(len(sizes))
        sizes = sizes[order]
        middle = (np.cumsum(sizes) - sizes / 2) / rows.n_rows
        is_test = np.floor(middle * settings.n_folds).astype(np.int64) == settings.fold
        rest = np.flatnonzero(~is_test)
        # Another draw for each fold, so that no group is the validation part of all.
        rest = np.random.default_rng([settings.seed, settings.fold]).permutation(rest)
        share = (np.cumsum(sizes[rest]) - sizes[rest] / 2) / sizes[rest].sum()
        by_order = whole(len(sizes), TRAIN)
        by_order[is_test] = TEST
        by_order[rest[share < settings.validation_fraction]] = VALIDATION
        by_group = np.empty_like(by_order)
        by_group[order] = by_order
        return np.asarray(by_group[groups])
