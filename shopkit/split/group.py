"""Whole groups at random."""

from __future__ import annotations

import numpy as np

from shopkit.errors import ConfigError, DataError, nearest
from shopkit.split.base import TEST, TRAIN, VALIDATION, Rows, Split, whole
from shopkit.split.settings import GroupSplitSettings


class GroupSplit(Split):
    """Groups in random order fill the test part, then the validation part, then train."""

    settings: GroupSplitSettings

    def parts(self, rows: Rows) -> np.ndarray:
        groups = groups_of(rows, self.settings.column, "group")
        sizes = np.bincount(groups)
        if len(sizes) < 3:
            raise DataError(f"split group: there are only {len(sizes)} groups; three parts need at least 3.")
        order = np.random.default_rng(self.settings.seed).permutation(len(sizes))
        sizes = sizes[order]
        middle = (np.cumsum(sizes) - sizes / 2) / rows.n_rows
        settings = self.settings
        by_order = whole(len(sizes), TRAIN)
        by_order[middle < settings.test_fraction + settings.validation_fraction] = VALIDATION
        by_order[middle < settings.test_fraction] = TEST
        by_group = np.empty_like(by_order)
        by_group[order] = by_order
        return np.asarray(by_group[groups])


def groups_of(rows: Rows, column: str, split: str) -> np.ndarray:
    """The group of each row, as `Rows.codes` (N,): by a column, or by that of role `group` where the name is empty.

    Raises:
        ConfigError: no such column.
        DataError: no column of that role.
    """
    if column and column not in rows.schema:
        raise ConfigError(
            f"split.column: the examples have no column '{column}'.{nearest(column, rows.schema.names)} "
            f"Columns: {', '.join(rows.schema.names)}."
        )
    return rows.codes(column or rows.the("group", split, "Name it with view.group or split.column.").name)
