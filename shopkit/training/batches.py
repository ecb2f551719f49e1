"""Shuffled batches, sliced from whole arrays: no per-row Python, no collate."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from shopkit.models.base import Arrays

CHUNK_ROWS = 16_384
"""Rows gathered at once. A chunk holds many batches, so that the cost of entering Lightning is shared among them."""


def epoch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """A seed of its own for every epoch: an epoch repeated after a resume draws what it drew the first time."""
    return int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1, np.uint64)[0] >> 1)


class Batches:
    """One epoch of chunks for each `iter`: dicts with the feature tensors, `target` and, where there is one, `weight`.

    A chunk holds a whole number of batches of `rows` rows (the last may be shorter). The batch size is adjusted so that
    batches are of nearly equal size and none is a small rest. With several devices, each takes its share of every batch.
    """

    def __init__(self, arrays: Arrays, batch_size: int, seed: int, max_steps: int = 0) -> None:
        self.columns = {**arrays.features, "target": arrays.target}
        if arrays.weight is not None:
            self.columns["weight"] = arrays.weight
        self.n = len(arrays)
        self.seed = seed
        self.epoch = 0
        all_steps = max(1, round(self.n / batch_size))
        self.batch_size = math.ceil(self.n / all_steps)
        self.steps = min(math.ceil(self.n / self.batch_size), max_steps or all_steps)
        self.shard(0, 1)

    def shard(self, rank: int, world_size: int) -> None:
        """Take this device's share. Batches are cut so that all devices do equally many steps on equally many rows."""
        self.rank, self.world_size = rank, world_size
        self.rows = max(1, self.batch_size // world_size)
        self.steps_per_chunk = max(1, CHUNK_ROWS // self.rows)

    def __len__(self) -> int:
        return math.ceil(self.steps / self.steps_per_chunk)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        order = np.random.default_rng(epoch_seed(self.seed, self.epoch)).permutation(self.n)
        if self.world_size == 1:
            share = order[: self.steps * self.batch_size]
        else:
            share = np.resize(order, self.steps * self.rows * self.world_size)[self.rank :: self.world_size]
        for start in range(0, len(share), self.steps_per_chunk * self.rows):
            rows = share[start : start + self.steps_per_chunk * self.rows]
            yield {name: torch.from_numpy(np.take(values, rows, axis=0)) for name, values in self.columns.items()}
