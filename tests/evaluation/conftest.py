from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from shopkit.evaluation.part import Outputs, Part, Raw
from shopkit.tasks.binary import Binary
from shopkit.tasks.settings import BinarySettings

Shop = tuple[Binary, dict[str, Part], Callable[[Raw], Outputs]]


@pytest.fixture
def shop() -> Shop:
    """A fitted binary task, three parts, and a predictor that uses `recency` and `visitor` and nothing else."""
    task = Binary(BinarySettings())

    def log_odds(raw: Raw) -> np.ndarray:
        return np.nan_to_num(raw["recency"]) * 1.5 + (raw["visitor"] == "new") - 1

    def predict(raw: Raw) -> Outputs:
        probability = (1 / (1 + np.exp(-log_odds(raw)))).astype(np.float32)
        label = np.where(probability >= np.float32(task.state["threshold"]), "1", "0").astype(object)
        return {"probability": probability, "label": label}

    def part(name: str, n: int, seed: int, day: int) -> Part:
        rng = np.random.default_rng(seed)
        raw = {
            "recency": rng.normal(size=n).astype(np.float32),
            "visitor": np.array(["new", "returning", "other", ""], object)[rng.choice(4, n, p=[0.4, 0.5, 0.02, 0.08])],
            "noise": rng.normal(size=n).astype(np.float32),
            "last_visit": day * 86_400 - rng.integers(1, 86_400, n),
        }
        raw["recency"][rng.random(n) < 0.05] = np.nan
        target = (rng.random(n) < 1 / (1 + np.exp(-log_odds(raw)))).astype(np.float32)
        if name == "train":
            task.fit_target(target)
        return Part(
            raw=raw,
            target=target,
            outputs={} if name == "train" else predict(raw),
            groups=np.array([f"customer {number}" for number in rng.integers(0, 200, n)], object) if name == "test" else None,
            keys={"visit": np.array([f"{name} {row}" for row in range(n)], object)},
            cutoff=np.full(n, day * 86_400),
        )

    parts = {"train": part("train", 3000, 1, 10), "validation": part("validation", 500, 2, 20), "test": part("test", 1000, 3, 30)}
    return task, parts, predict
