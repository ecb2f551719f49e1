"""What a fitted model answers, in plain arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from shopkit.features.tensors import FeatureArrays, row_lengths, take
from shopkit.models.base import Model
from shopkit.runtime.blocks import like_length
from shopkit.runtime.repeats import asked_once
from shopkit.training.batches import trimmed

BATCH_ROWS = 16_384
BLOCK_VALUES = 1 << 25
"""Fewer where outputs are many: at most so many scores at once."""
VARIED_ROWS, BUDGET = 1024, 1 << 16
"""Fewer where rows vary in length: at most so many, and so many steps with their padding."""
PIXELS = 1 << 18
"""Fewer where each row is an image: at most so many pixels."""

Reduce = Callable[[Tensor, slice | np.ndarray], Tensor]


@torch.no_grad()
def model_scores(model: Model, features: FeatureArrays) -> np.ndarray:
    """Scores of a model in eval mode, float32 (N, n_outputs); rows go through it in batches, so N may be any size."""
    was_training = model.training
    scores = score_tensor(model.eval(), features)
    model.train(was_training)
    return scores.cpu().numpy()


def block_rows(n_outputs: int) -> int:
    """Rows whose scores may be in memory at once."""
    return max(1, min(BATCH_ROWS, BLOCK_VALUES // n_outputs))


def score_tensor(model: Model, features: FeatureArrays, reduce: Reduce | None = None) -> Tensor:
    """The same as a tensor on the model's device; the model is in eval mode already.

    Args:
        reduce: scores of some rows (n, n_outputs) and the rows' numbers → (n, width), kept in place of the scores.
    """
    device = next(model.parameters()).device
    n = len(next(iter(features.values())))
    lengths = row_lengths(features)
    batches: list[slice] | list[np.ndarray]
    if lengths is None or not n:
        size = block_rows(model.n_outputs)
        if "image" in features:
            size = max(1, min(size, PIXELS // int(np.prod(features["image"].shape[2:]))))
        batches = [slice(start, start + size) for start in range(0, max(n, 1), size)]
    else:
        # Rows of like length together, as a batch is as long as its longest; and the longest first: what the others take fits
        # into the memory that was given back, while growing ones would always need more.
        batches = list(like_length(lengths, BUDGET, min(VARIED_ROWS, block_rows(model.n_outputs))))[::-1]
    whole: Tensor | None = None
    for rows in batches:
        scores = _scores(model, features, rows, device, reduce)
        whole = scores.new_empty(n, *scores.shape[1:]) if whole is None else whole
        whole[rows] = scores
    assert whole is not None
    return whole


def _scores(
    model: Model, features: FeatureArrays, rows: slice | np.ndarray, device: torch.device, reduce: Reduce | None
) -> Tensor:
    def answer(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
        # A copy, as torch warns of read-only memory maps.
        return {"scores": model({name: torch.from_numpy(np.array(values)).to(device) for name, values in arrays.items()}).float()}

    batch = trimmed(take(features, rows))
    scores: Tensor = (asked_once(batch, answer) if "lengths" in batch else answer(batch))["scores"]
    return scores if reduce is None else reduce(scores, rows)
