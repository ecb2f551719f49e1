"""What models say that they hold for each interaction, beside what they do hold."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.features.tensors import Ragged
from shopkit.models.base import Arrays, Estimator
from shopkit.registry import load_registry

N_ITEMS, N_ROWS = 40, 20_000


def part() -> Arrays:
    rng = np.random.default_rng(0)
    lengths = rng.geometric(1 / 8, N_ROWS)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    items = rng.integers(2, N_ITEMS + 2, (offsets[-1], 1), np.int32)
    days = rng.uniform(0, 100, (offsets[-1], 1)).astype(np.float32)
    sequences = {"sequence_ids": Ragged(items, offsets, np.int64), "sequence_dense": Ragged(days, offsets, np.float32)}
    target = rng.integers(0, N_ITEMS, N_ROWS)
    return Arrays({**sequences, "lengths": lengths}, target, times=np.arange(N_ROWS) * 3600)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("popular", {}),
        ("popular", {"half_life_days": 30.0}),
        ("markov", {}),
        ("item_knn", {}),
        ("session_knn", {}),
        ("ease", {}),
        ("als", {"factors": 4, "iterations": 2}),
    ],
)
def test_about_as_much_is_held_as_is_said(name: str, settings: dict[str, Any]) -> None:
    history = FeatureBlock("history", "catalogue", "sequence_ids", 0, 1, ("history",), N_ITEMS + 2)
    days = FeatureBlock("days_before", "identity", "sequence_dense", 0, 1, ("days_before",))
    registry, train = load_registry(), part()
    task = registry.build(registry.choice("tasks", "next_item"))
    task.state = {"classes": [f"item {at}" for at in range(N_ITEMS)], "counts": [1] * N_ITEMS}
    estimator: Estimator = registry.build(
        registry.choice("models", {"name": name, **settings}), FeatureSpec((history, days)), task
    )
    tracemalloc.start()
    try:
        estimator.fit(train, train, 0)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.7 < estimator.holds(train, train) / most < 1.5
