"""What a fitted model answers, in plain arrays."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from shopkit.features.tensors import FeatureArrays, like_length, row_lengths, take
from shopkit.models.base import Model
from shopkit.training.batches import trimmed

BATCH_ROWS = 16_384
VARIED_ROWS, BUDGET = 1024, 1 << 16
"""Fewer where rows vary in length: at most so many, and so many steps with their padding."""


@torch.no_grad()
def model_scores(model: Model, features: FeatureArrays) -> np.ndarray:
    """Scores of a model in eval mode, float32 (N, n_outputs); rows go through it in batches, so N may be any size."""
    was_training = model.training
    scores = score_tensor(model.eval(), features)
    model.train(was_training)
    return scores.cpu().numpy()


def score_tensor(model: Model, features: FeatureArrays) -> Tensor:
    """The same as a tensor on the model's device; the model is in eval mode already."""
    device = next(model.parameters()).device
    n = len(next(iter(features.values())))
    lengths = row_lengths(features)
    if lengths is None or not n:
        parts = [slice(start, start + BATCH_ROWS) for start in range(0, max(n, 1), BATCH_ROWS)]
        return torch.cat([_scores(model, features, rows, device) for rows in parts])
    # Rows of like length together: a batch is as long as its longest.
    batches = list(like_length(lengths, BUDGET, VARIED_ROWS))
    scores = torch.cat([_scores(model, features, rows, device) for rows in batches])
    return scores[torch.from_numpy(np.argsort(np.concatenate(batches))).to(device)]


def _scores(model: Model, features: FeatureArrays, rows: slice | np.ndarray, device: torch.device) -> Tensor:
    # A copy, as torch warns of read-only memory maps.
    batch = {name: torch.from_numpy(np.array(values)).to(device) for name, values in trimmed(take(features, rows)).items()}
    scores: Tensor = model(batch).float()
    return scores
