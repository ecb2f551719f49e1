"""A training part as LightGBM's ranking objectives take it."""

from __future__ import annotations

from typing import Any

import numpy as np
from shopkit.errors import DataError
from shopkit.models.base import Arrays
from shopkit.tasks.ranking import Ranking

MOST_ROWS = 10_000
"""Rows of one group that LightGBM takes."""


def grouped(train: Arrays, task: Ranking) -> tuple[np.ndarray, dict[str, Any], list[float]]:
    """The rows' numbers sorted by group, `label`, `weight` and `group` for the dataset, and the gain of each label.

    LightGBM's labels are small whole numbers: here the place of a relevance among those that occur, so that any relevance has
    the gain that the task gives it.

    Raises:
        DataError: no groups, or a group of more than 10,000 rows.
    """
    groups = np.asarray(task.grouped_by(train.groups).groups)
    order = np.argsort(groups, kind="stable")
    sizes = np.unique(groups, return_counts=True)[1]
    if sizes.max() > MOST_ROWS:
        raise DataError(
            f"A group of the training part has {sizes.max():,} rows, and LightGBM ranks at most {MOST_ROWS:,} in a group. "
            "Name a finer column with view.group, or use model=mlp."
        )
    levels, label = np.unique(train.target, return_inverse=True)
    weight = None if train.weight is None else train.weight[order]
    gains = task.gains(levels)
    return order, {"label": label[order], "weight": weight, "group": sizes}, (gains - gains[0]).tolist()
