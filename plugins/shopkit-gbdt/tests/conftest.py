"""Small made-up parts: numbers with missing values, categories with missing and unknown ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.base import Arrays
from shopkit.tasks.base import Task
from shopkit.tasks.binary import Binary
from shopkit.tasks.multiclass import Multiclass
from shopkit.tasks.regression import Regression
from shopkit.tasks.settings import BinarySettings, MulticlassSettings, RegressionSettings

KINDS = {
    "binary": (Binary, BinarySettings),
    "multiclass": (Multiclass, MulticlassSettings),
    "regression": (Regression, RegressionSettings),
}


@dataclass
class Made:
    """A problem: spec, fitted task and two parts."""

    features: FeatureSpec
    task: Task
    train: Arrays
    validation: Arrays


def spec(n_dense: int, cardinalities: list[int]) -> FeatureSpec:
    dense = [FeatureBlock(f"x{at}", "identity", "dense", at, 1, (f"x{at}",)) for at in range(n_dense)]
    ids = [FeatureBlock(f"c{at}", "vocabulary", "ids", at, 1, (f"c{at}",), n) for at, n in enumerate(cardinalities)]
    return FeatureSpec((*dense, *ids))


def columns(n: int, features: FeatureSpec, rng: np.random.Generator, unknown: bool) -> dict[str, np.ndarray]:
    """Numbers whose first column has no missing value in training; ids from 0, with 1 only where `unknown`."""
    found = {}
    if features.n_dense:
        dense = (rng.normal(size=(n, features.n_dense)) * 10.0 ** rng.integers(-3, 4, features.n_dense)).astype(np.float32)
        dense[rng.random(dense.shape) < 0.1] = 0
        holes = rng.random(dense.shape) < 0.15
        holes[:, 0] &= unknown
        dense[holes] = np.nan
        found["dense"] = dense
    if features.n_ids:
        ids = np.stack(
            [np.minimum(rng.geometric(min(0.5, 4 / size), n) - 1, size - 1) for size in features.cardinalities], axis=1
        )
        found["ids"] = np.where((ids == 1) & ~np.array(unknown), 0, ids).astype(np.int64)
    return found


def make(
    kind: str,
    *,
    n: int = 1200,
    n_dense: int = 4,
    cardinalities: tuple[int, ...] = (6, 40, 900),
    n_classes: int = 4,
    weighted: bool = False,
    seed: int = 0,
    **settings: object,
) -> Made:
    """A problem of a kind of task, with the task's settings."""
    rng = np.random.default_rng(seed)
    features = spec(n_dense, list(cardinalities))
    parts = [columns(rows, features, rng, unknown) for rows, unknown in ((n, False), (n // 3, True))]
    effects = [rng.normal(size=size) for size in cardinalities]

    def signal(found: dict[str, np.ndarray]) -> np.ndarray:
        total = sum((effect[found["ids"][:, at]] for at, effect in enumerate(effects)), np.zeros(len(next(iter(found.values())))))
        if n_dense:
            total = total + np.where(np.isnan(found["dense"]), 0.7, np.sign(found["dense"])) @ np.linspace(1, 0.2, n_dense)
        return total + rng.normal(size=len(total)) * 0.5

    signals = [signal(found) for found in parts]
    if kind == "regression":
        raw = [np.exp(values) if settings.get("loss") in ("poisson", "tweedie") else values for values in signals]
    else:
        edges = np.quantile(signals[0], np.linspace(0, 1, (2 if kind == "binary" else n_classes) + 1)[1:-1])
        raw = [np.searchsorted(edges, values).astype(float) for values in signals]
    task_class, settings_class = KINDS[kind]
    task = task_class(settings_class(**settings))
    weights = [rng.uniform(0.2, 3, len(values)).astype(np.float32) if weighted else None for values in raw]
    task.fit_target(raw[0], weights[0])
    train, validation = (Arrays(x, task.encode(y), w) for x, y, w in zip(parts, raw, weights, strict=True))
    return Made(features, task, train, validation)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
