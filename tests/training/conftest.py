"""A small table with something to learn."""

from __future__ import annotations

import numpy as np
import pytest

from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.base import Arrays
from shopkit.tasks.binary import Binary
from shopkit.tasks.settings import BinarySettings

N_DENSE, N_CATEGORIES = 4, 5


def table(n: int, seed: int, weighted: bool = False) -> Arrays:
    random = np.random.default_rng(seed)
    dense = random.standard_normal((n, N_DENSE), dtype=np.float32)
    ids = random.integers(0, N_CATEGORIES, (n, 1))
    target = (dense[:, 0] * dense[:, 1] + (ids[:, 0] == 2) + random.standard_normal(n) / 2 > 0.3).astype(np.float32)
    weight = random.uniform(0.5, 2, n).astype(np.float32) if weighted else None
    return Arrays({"dense": dense, "ids": ids}, target, weight)


@pytest.fixture
def features() -> FeatureSpec:
    dense = [FeatureBlock(f"x{i}", "standardize", "dense", i, 1, (f"x{i}",)) for i in range(N_DENSE)]
    return FeatureSpec((*dense, FeatureBlock("c", "vocabulary", "ids", 0, 1, ("c",), N_CATEGORIES)))


@pytest.fixture
def task() -> Binary:
    task = Binary(BinarySettings())
    task.fit_target(table(600, 0).target.astype(np.float64))
    return task
