"""A moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of parameters and running statistics, of shorter memory in the first steps.

    The decay at step t is min(decay, (1 + t) / (10 + t)). After Polyak & Juditsky (1992).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.current: list[Tensor] = [*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())]
        self.average = [value.detach().clone() for value in self.current]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after an optimiser step."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.average, self.current, 1 - decay)
        self.steps += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model holds the average inside the block, its own weights again after it."""
        own = [value.data for value in self.current]
        for value, average in zip(self.current, self.average, strict=True):
            value.data = average
        try:
            yield
        finally:
            for value, data in zip(self.current, own, strict=True):
                value.data = data

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "average": self.average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]
        for mine, theirs in zip(self.average, state["average"], strict=True):
            mine.copy_(theirs)
