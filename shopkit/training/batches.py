"""Shuffled batches, sliced from whole arrays: no per-row Python, no collate. Rows of like length share a batch.

Arrays in memory are drawn from row by row. Of arrays in files, blocks of neighbouring rows are drawn, as single rows from all
over a file would need all of it for each batch: a window of blocks from all over the part is in memory at a time, and its rows
are shuffled among each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from shopkit.features.blocks import CACHE_BYTES, Blocks
from shopkit.features.tensors import ARRAYS, Ragged, filled, row_lengths
from shopkit.features.transform import n_bytes
from shopkit.models.base import Arrays

SPREAD = 0.1
"""How far, relative to its length, a row may stray from rows of its own length: batches differ from epoch to epoch."""
CHUNK_ROWS = 16_384
"""Rows gathered at once. A chunk holds many batches, so that the cost of entering Lightning is shared among them."""
CHUNK_BYTES = 1 << 28
"""Of images gathered at once."""
BLOCK_ROWS = 1024
"""Neighbouring rows of a file that are read together."""
WINDOW_BYTES, LEAST_BLOCKS = CACHE_BYTES, 16
"""Of blocks whose rows are shuffled among each other, and how many there are at least."""


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
        self.lengths = row_lengths(arrays.features)
        if arrays.weight is not None:
            self.columns["weight"] = arrays.weight
        self.n = len(arrays)
        self.seed = seed
        self.epoch = 0
        self.taken = 0
        """Steps that were made in this epoch, for those who watch."""
        all_steps = max(1, round(self.n / batch_size))
        self.batch_size = math.ceil(self.n / all_steps)
        self.steps = min(math.ceil(self.n / self.batch_size), max_steps or all_steps)
        self.window_blocks = _window_blocks(arrays)
        self.shard(0, 1)

    def shard(self, rank: int, world_size: int) -> None:
        """Take this device's share. Batches are cut so that all devices do equally many steps on equally many rows."""
        self.rank, self.world_size = rank, world_size
        self.rows = max(1, self.batch_size // world_size)
        image = self.columns.get("image")
        most = CHUNK_ROWS if image is None else min(CHUNK_ROWS, CHUNK_BYTES // int(np.prod(image.shape[1:])))
        self.steps_per_chunk = max(1, most // self.rows)

    def __len__(self) -> int:
        return math.ceil(self.steps / self.steps_per_chunk)

    def __iter__(self) -> Iterator[dict[str, Tensor | list[Tensor]]]:
        rng = np.random.default_rng(epoch_seed(self.seed, self.epoch))
        order = rng.permutation(self.n) if not self.window_blocks else shuffled_blocks(self.n, self.window_blocks, rng)
        if self.world_size == 1:
            share = order[: self.steps * self.batch_size]
        else:
            share = np.resize(order, self.steps * self.rows * self.world_size)[self.rank :: self.world_size]
        for start in range(0, len(share), self.steps_per_chunk * self.rows):
            rows = share[start : start + self.steps_per_chunk * self.rows]
            if self.lengths is not None:
                rows = bucketed(rows, self.lengths, self.rows, epoch_seed(self.seed, self.epoch, start + 1))
            yield {name: self._gathered(values, rows) for name, values in self.columns.items()}

    def _gathered(self, values: np.ndarray | Ragged | Blocks, rows: np.ndarray) -> Tensor | list[Tensor]:
        """The rows of a chunk; where rows vary in length, batch by batch, as each is padded to its own longest."""
        if isinstance(values, Ragged):
            return [torch.from_numpy(values[rows[at : at + self.rows]]) for at in range(0, len(rows), self.rows)]
        return torch.from_numpy(np.take(values, rows, axis=0) if isinstance(values, np.ndarray) else values[rows])


def _window_blocks(arrays: Arrays) -> int:
    """Blocks in a window; 0 where all arrays are in memory."""
    stored = [array for array in arrays.features.values() if not _is_in_memory(array)]
    if not stored:
        return 0
    row_bytes = sum(n_bytes(array) for array in stored) / max(1, len(arrays))
    return max(LEAST_BLOCKS, int(WINDOW_BYTES / (BLOCK_ROWS * row_bytes)))


def _is_in_memory(array: np.ndarray | Ragged | Blocks) -> bool:
    values = array.values if isinstance(array, Ragged) else array
    return not isinstance(values, (Blocks, np.memmap))


def shuffled_blocks(n_rows: int, window_blocks: int, rng: np.random.Generator) -> np.ndarray:
    """Every row number once, (n_rows,): blocks in random order, and the rows of each window of blocks among each other."""
    blocks = rng.permutation(-(-n_rows // BLOCK_ROWS))
    order = np.empty(n_rows, np.uint32 if n_rows < 1 << 32 else np.int64)
    filled = 0
    for start in range(0, len(blocks), window_blocks):
        rows = (blocks[start : start + window_blocks, None] * BLOCK_ROWS + np.arange(BLOCK_ROWS)).ravel()
        rows = rows[rows < n_rows]
        order[filled : filled + len(rows)] = rng.permutation(rows)
        filled += len(rows)
    return order


def bucketed(rows: np.ndarray, lengths: np.ndarray, batch_size: int, seed: int) -> np.ndarray:
    """The rows of a chunk in another order: each batch of rows of like length, and the batches shuffled.

    Rows come from all over the part, and lengths are blurred before they are sorted, so that order stays a matter of chance.
    The last batch, which may be shorter, stays last.
    """
    rng = np.random.default_rng(seed)
    blurred = (lengths[rows] + 1) * rng.uniform(1 - SPREAD, 1 + SPREAD, len(rows))
    n_whole = len(rows) // batch_size * batch_size
    shuffled = rng.permutation(len(rows))
    short, whole = shuffled[n_whole:], shuffled[:n_whole]
    whole = whole[np.argsort(blurred[whole], kind="stable")].reshape(-1, batch_size)
    return np.concatenate([rows[rng.permutation(whole).ravel()], rows[short]])


def trimmed(features: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A batch without the padding that all of its rows share."""
    cut = dict(features)
    for name, values in features.items():
        if ARRAYS[name].varies:
            used = np.asarray(filled(features, name).any(0))
            longest = len(used) - int(used[::-1].argmax()) if used.any() else 1
            cut[name] = values[:, :longest]
    return cut
