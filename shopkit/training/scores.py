"""What a fitted model answers, in plain arrays."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from shopkit.models.base import Model

BATCH_ROWS = 16_384


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
    parts = []
    for start in range(0, max(n, 1), BATCH_ROWS):
        # A copy, as torch warns of read-only memory maps.
        batch = {
            name: torch.from_numpy(np.array(values[start : start + BATCH_ROWS])).to(device) for name, values in features.items()
        }
        parts.append(model(batch).float())
    return torch.cat(parts)
