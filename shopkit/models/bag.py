"""The linear part that bags of terms add to a network's scores."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class Bag(nn.Module):
    """Scores of a bag of terms, linear in its weights: ids and weights (batch, terms) → (batch, n_outputs)."""

    def __init__(self, n_terms: int, n_outputs: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(n_terms, n_outputs))

    def forward(self, ids: Tensor, weights: Tensor) -> Tensor:
        return torch.bmm(weights.unsqueeze(1), F.embedding(ids, self.table)).squeeze(1)
