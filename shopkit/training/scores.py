"""What a fitted model answers, in plain arrays."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from shopkit.models.base import Model
from shopkit.schema import LENGTHS
from shopkit.training.batches import trimmed

BATCH_ROWS = 16_384
SEQUENCE_BATCH_ROWS = 1024
"""Fewer, as each row has many steps."""


@torch.no_grad()
def model_scores(model: Model, features: dict[str, np.ndarray]) -> np.ndarray:
    """Scores of a model in eval mode, float32 (N, n_outputs); rows go through it in batches, so N may be any size."""
    was_training = model.training
    scores = score_tensor(model.eval(), features)
    model.train(was_training)
    return scores.cpu().numpy()


def score_tensor(model: Model, features: dict[str, np.ndarray]) -> Tensor:
    """The same as a tensor on the model's device; the model is in eval mode already."""
    device = next(model.parameters()).device
    n = len(next(iter(features.values())))
    # Rows of like length together: a batch is as long as its longest.
    order = np.argsort(features[LENGTHS], kind="stable") if LENGTHS in features else None
    batch_rows = BATCH_ROWS if order is None else SEQUENCE_BATCH_ROWS
    parts = []
    for start in range(0, max(n, 1), batch_rows):
        rows = slice(start, start + batch_rows) if order is None else order[start : start + batch_rows]
        # A copy, as torch warns of read-only memory maps.
        batch = {name: torch.from_numpy(np.array(values[rows])).to(device) for name, values in features.items()}
        parts.append(model(trimmed(batch)).float())
    scores = torch.cat(parts)
    return scores if order is None else scores[torch.from_numpy(np.argsort(order)).to(device)]
