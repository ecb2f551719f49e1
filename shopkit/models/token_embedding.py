"""Vectors of the tokens of a text, and of the pairs that neighbours make."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

FIRST, SECOND = 100_003, 7_919
"""Primes that mix the ids of a pair."""


class TokenEmbedding(nn.Module):
    """Ids (batch, length) → (batch, length, width): of each token, and beside it of the pair with the one that follows.

    Pairs are so many that they share the rows of one table, by hash (Weinberger et al. 2009). While training, tokens go missing
    whole, with their pairs, so that no single one decides.
    """

    def __init__(self, n_tokens: int, dim: int, n_pairs: int, pair_dim: int, dropout: float) -> None:
        super().__init__()
        self.width = dim + (pair_dim if n_pairs else 0)
        self.table = nn.Embedding(n_tokens, dim)
        nn.init.normal_(self.table.weight, std=dim**-0.5)
        self.n_pairs = n_pairs
        if n_pairs:
            self.pairs = nn.Embedding(n_pairs, pair_dim)
            nn.init.normal_(self.pairs.weight, std=0.1 * pair_dim**-0.5)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, with_pairs: bool = True) -> Tensor:
        """Without pairs, zeros stand in their place."""
        vectors: Tensor = self.table(tokens)
        if self.n_pairs and not with_pairs:
            vectors = F.pad(vectors, (0, self.width - vectors.shape[2]))
        elif self.n_pairs:
            following = torch.cat([tokens[:, 1:], torch.zeros_like(tokens[:, :1])], 1)  # after the last one, padding
            places = (tokens * FIRST + following * SECOND) % self.n_pairs
            vectors = torch.cat([vectors, self.pairs(places)], 2)
        present: Tensor = self.dropout(torch.ones_like(vectors[:, :, :1]))
        return vectors * present
