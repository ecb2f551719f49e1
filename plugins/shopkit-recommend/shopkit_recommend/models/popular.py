"""What is bought most."""

from __future__ import annotations

from typing import Any

import numpy as np
import spox
import spox.opset.ai.onnx.v21 as op
from shopkit.errors import ConfigError
from shopkit.models.base import Arrays

from shopkit_recommend.models.histories import Histories, n_interactions, steps_of
from shopkit_recommend.models.inputs import FIRST_ITEM
from shopkit_recommend.models.recommender import Recommender
from shopkit_recommend.models.settings import PopularSettings

DAY = 86_400
DECAYED_BYTES = 60
"""Held for each interaction where its age counts."""


class Popular(Recommender):
    """Scores are the logarithm of each item's interactions, with `half_life_days` weighted by 2^(-age / half-life)."""

    name = "popular"
    bytes_of_interaction = 25
    settings: PopularSettings

    def holds(self, train: Arrays, validation: Arrays) -> int:
        return (DECAYED_BYTES if self.settings.half_life_days else self.bytes_of_interaction) * n_interactions(train)

    def learn(self, sequences: Histories, train: Arrays, seed: int) -> dict[str, Any]:
        half_life = self.settings.half_life_days
        counts = self._decayed(train) if half_life else sequences.counts.astype(np.float64)
        self.bought = np.log(counts + 1).astype(np.float32) if not half_life else np.log(counts + 1e-6).astype(np.float32)
        return {"half_life_days": half_life}

    def _decayed(self, train: Arrays) -> np.ndarray:
        """float64 (n_items,): interactions, each by its age at the end of the training part."""
        block = next((b for b in self.features.blocks if b.column == "days_before" and b.tensor == "sequence_dense"), None)
        if block is None or block.extractor not in ("identity", "log1p") or train.times is None:
            raise ConfigError(
                "model.half_life_days counts by time, and the examples do not say when each step was. Set view.days=true and "
                "features.columns.days_before=identity, or model.half_life_days=0."
            )
        days = steps_of(train.features, block).astype(np.float64)
        days = np.expm1(days) if block.extractor == "log1p" else days
        at = np.concatenate([np.repeat(train.times / DAY, train.features["lengths"]) - days, train.times / DAY])
        items = np.concatenate([steps_of(train.features, self.item) - FIRST_ITEM, train.target])
        known = items >= 0
        weight = 0.5 ** ((at.max(initial=0) - at) / self.settings.half_life_days)
        if train.weight is not None:
            weight *= np.concatenate([np.repeat(train.weight, train.features["lengths"]), train.weight])
        return np.bincount(items[known], weight[known], minlength=self.n_items)

    def of_ids(self, ids: np.ndarray) -> np.ndarray:
        return np.tile(self.bought, (len(ids), 1))

    def graph(self, ids: spox.Var) -> spox.Var:
        n_rows = op.slice(op.shape(ids), op.const(np.array([0], np.int64)), op.const(np.array([1], np.int64)))
        shape = op.concat([n_rows, op.const(np.array([self.n_items], np.int64))], axis=0)
        return op.expand(op.const(self.bought), shape)

    def state(self) -> dict[str, np.ndarray]:
        return {"bought": self.bought}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self.bought = state["bought"]
