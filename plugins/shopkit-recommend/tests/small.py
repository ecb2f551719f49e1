"""A problem of five items, small enough to be solved by hand."""

from __future__ import annotations

import numpy as np
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.features.tensors import Ragged
from shopkit.models.base import Arrays

from shopkit_recommend.tasks.next_item import NextItem
from shopkit_recommend.tasks.settings import NextItemSettings

ROWS = [[0, 1, 2], [0, 1, 3], [1, 2], [4, 0, 1, 2], [3], [2, 0]]
"""Items by their class; the last of each is the target."""


def problem(rows: list[list[int]] = ROWS, n_items: int = 5) -> tuple[FeatureSpec, NextItem, Arrays]:
    task = NextItem(NextItemSettings())
    task.state = {"classes": [f"item {at}" for at in range(n_items)], "counts": [1] * n_items}
    spec = FeatureSpec((FeatureBlock("history", "catalogue", "sequence_ids", 0, 1, ("history",), n_items + 2),))
    lengths = np.array([len(row) - 1 for row in rows])
    values = np.array([item + 2 for row in rows for item in row[:-1]], np.int32)[:, None]
    ragged = Ragged(values, np.concatenate([[0], np.cumsum(lengths)]), np.int64)
    target = np.array([row[-1] for row in rows])
    return spec, task, Arrays({"sequence_ids": ragged, "lengths": lengths}, target)


def asked(*histories: list[int]) -> dict[str, np.ndarray]:
    width = max(1, *map(len, histories))
    ids = np.array([[item + 2 for item in history] + [0] * (width - len(history)) for history in histories])[:, :, None]
    return {"sequence_ids": ids, "lengths": np.array([len(history) for history in histories])}


def fitted(kind: type, chosen: object, rows: list[list[int]] = ROWS):
    spec, task, train = problem(rows)
    model = kind(chosen, spec, task)
    model.fit(train, train, 0)
    return model
