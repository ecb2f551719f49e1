"""Learning to read before learning to judge: which token comes next, and which came before."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from shopkit.tasks.base import mean_loss

SHARE = 0.3
"""Of the places, at each step: the tokens to choose from are thousands, and telling costs more than reading."""


class Foretelling(nn.Module):
    """From the state after each token the next one, and from that of the backward direction the one before (Dai, Le 2015:
    Semi-supervised sequence learning; Peters et al. 2018: Deep contextualized word representations).

    Tokens are compared with the vectors by which they are read (Press, Wolf 2017: Using the output embedding to improve language
    models).
    """

    def __init__(self, n_tokens: int, token_dim: int, hidden: int, n_directions: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.of_states = nn.ModuleList(nn.Linear(hidden, token_dim) for _ in range(n_directions))
        self.bias = nn.Parameter(torch.zeros(n_tokens))

    def loss(self, states: Tensor, tokens: Tensor, lengths: Tensor, table: Tensor, weight: Tensor | None) -> Tensor:
        """Mean cross-entropy over some of the places, nats for each token; 0 where no text has two.

        Args:
            states: (batch, length, directions · hidden), which have seen no token that they are to tell.
            tokens: int64 (batch, length).
            lengths: int64 (batch,).
            table: vectors of the tokens, (n_tokens, token_dim).
            weight: of the rows, (batch,), or None.
        """
        places = torch.arange(tokens.shape[1], device=tokens.device)
        chosen = torch.rand(tokens.shape, device=tokens.device) < SHARE
        losses, counts = [], []
        for at, layer in enumerate(self.of_states):
            last = lengths.unsqueeze(1) - 1
            has_neighbour = places < last if at == 0 else (places > 0) & (places <= last)
            rows, columns = (has_neighbour & chosen).nonzero(as_tuple=True)
            told = tokens[rows, columns + (1 if at == 0 else -1)]
            own = layer(states[rows, columns, at * self.hidden : (at + 1) * self.hidden])
            scores = (own @ table.t().to(own.dtype)).float() + self.bias
            losses.append(F.cross_entropy(scores, told, reduction="none"))
            counts.append(torch.ones_like(losses[-1]) if weight is None else weight[rows])
        return mean_loss(torch.cat(losses), torch.cat(counts))
