"""Word vectors by skip-gram with negative sampling.

Mikolov, Sutskever, Chen, Corrado, Dean: Distributed representations of words and phrases and their compositionality (2013);
step sizes of each word by Duchi, Hazan, Singer: Adaptive subgradient methods (2011). Words drawn as not seen are shared by a
batch, which makes of many small products one of matrices.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from shopkit.features.settings import Word2vecSettings

BATCH_PAIRS = 1024
CHUNK_WORDS = 200_000
N_SHARED = 64
"""Words drawn as not seen, for all pairs of a batch; together they weigh as `negatives` for each pair."""
FLATTEN = 0.75
"""Words are drawn by their count to this power."""


def vectors(words: np.ndarray, lengths: np.ndarray, n_words: int, settings: Word2vecSettings, seed: int) -> np.ndarray:
    """Learn a vector of each word. Equal texts in equal order give equal vectors.

    Args:
        words: int32 (total,), the words of all texts end to end, from 0 to below `n_words`.
        lengths: int64 (texts,).

    Returns:
        float32 (n_words, dim).
    """
    rng = np.random.default_rng(seed)
    counts = np.bincount(words, minlength=n_words)
    drawn = np.cumsum(counts**FLATTEN)
    near = _Table(rng.uniform(-0.5, 0.5, (n_words, settings.dim)) / settings.dim)
    far = _Table(np.zeros((n_words, settings.dim)))
    texts = np.repeat(np.arange(len(lengths)), lengths)
    share = counts / max(1, len(words))
    keep = np.minimum(1, np.sqrt(settings.sample / np.maximum(share, 1e-12))) if settings.sample else np.ones(n_words)
    for epoch in range(settings.epochs):
        for start, pairs in _pairs(words, texts, keep, settings.window, rng):
            rate = settings.lr * (1 - (epoch + start / len(words)) / settings.epochs)
            for at in range(0, len(pairs), BATCH_PAIRS):
                unseen = np.searchsorted(drawn, rng.random(N_SHARED) * drawn[-1], side="right")
                _step(near, far, pairs[at : at + BATCH_PAIRS], unseen, settings.negatives / N_SHARED, rate)
    return near.values.numpy()


def _pairs(
    words: np.ndarray, texts: np.ndarray, keep: np.ndarray, window: int, rng: np.random.Generator
) -> Iterator[tuple[int, np.ndarray]]:
    """Where a chunk of the texts begins, and its pairs of a word and one near it, int64 (n, 2), shuffled."""
    for start in range(0, len(words), CHUNK_WORDS):
        part, of_text = words[start : start + CHUNK_WORDS], texts[start : start + CHUNK_WORDS]
        kept = rng.random(len(part)) < keep[part]
        part, of_text = part[kept], of_text[kept]
        reach = rng.integers(1, window + 1, len(part))
        found = []
        for distance in range(1, window + 1):
            together = of_text[distance:] == of_text[:-distance]
            left, right = part[:-distance], part[distance:]
            for center, other, own in ((left, right, reach[:-distance]), (right, left, reach[distance:])):
                chosen = together & (own >= distance)
                found.append(np.column_stack([center[chosen], other[chosen]]))
        yield start, rng.permutation(np.concatenate(found).astype(np.int64))


class _Table:
    """Vectors, and how far each has moved already."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = torch.from_numpy(values.astype(np.float32))
        self.moved = torch.full((len(values), 1), 1e-6)

    def descend(self, rows: torch.Tensor, slopes: torch.Tensor, rate: float) -> None:
        distinct, back = torch.unique(rows, return_inverse=True)
        slope = torch.zeros(len(distinct), slopes.shape[1]).index_add_(0, back, slopes)
        moved = self.moved[distinct] + slope.square().mean(1, keepdim=True)
        self.moved[distinct] = moved
        self.values[distinct] -= rate * slope * moved.rsqrt()


def _step(near: _Table, far: _Table, pairs: np.ndarray, unseen: np.ndarray, weight: float, rate: float) -> None:
    """Towards the words seen together, away from those drawn."""
    center, other = torch.from_numpy(pairs).t().contiguous()
    drawn = torch.from_numpy(unseen)
    x, y, z = near.values[center], far.values[other], far.values[drawn]  # (pairs, dim), (pairs, dim), (shared, dim)
    seen = torch.sigmoid((x * y).sum(1, keepdim=True)) - 1  # (pairs, 1)
    # A word that is the very one seen is no proof against itself.
    wrong = weight * torch.sigmoid(x @ z.t()) * (other[:, None] != drawn)  # (pairs, shared)
    near.descend(center, seen * y + wrong @ z, rate)
    far.descend(torch.cat([other, drawn]), torch.cat([seen * x, wrong.t() @ x]), rate)
