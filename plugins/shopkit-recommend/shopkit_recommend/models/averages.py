"""Averages of a history in which what is recent counts more."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class DecayedAverage(nn.Module):
    """Average over the steps so far, each weighing λ times the one after it; λ is learned for each of the dimensions' `heads`."""

    def __init__(self, decay: float, heads: int) -> None:
        super().__init__()
        # λ = exp(−softplus(x)), so that it stays between 0 and 1.
        self.rate = nn.Parameter(torch.full((heads,), math.log(math.expm1(max(1e-3, -math.log(decay))))))

    def forward(self, x: Tensor, of: Tensor) -> Tensor:
        """Steps (batch, length, dim), and places (batch or 1, steps) as of which to average → (batch, steps, dim)."""
        distance = of.unsqueeze(2) - torch.arange(x.shape[1], device=x.device)  # (batch or 1, steps, length)
        ago = distance.clamp(min=0).unsqueeze(1).to(x.dtype)
        rate = torch.log1p(self.rate.exp()).view(1, -1, 1, 1)
        weights = torch.exp(-ago * rate) * (distance >= 0).unsqueeze(1).to(x.dtype)  # (batch or 1, heads, steps, length)
        parts = x.view(x.shape[0], x.shape[1], len(self.rate), -1).transpose(1, 2)  # (batch, heads, length, dim / heads)
        averages = weights @ parts / weights.sum(3, keepdim=True).clamp(min=1.0)
        joined: Tensor = averages.transpose(1, 2).flatten(2)
        return joined
