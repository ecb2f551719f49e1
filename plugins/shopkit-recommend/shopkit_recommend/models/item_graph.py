"""Vectors of items together with those of the items they are looked at with.

Wang et al.: Global context enhanced graph neural networks for session-based recommendation (GCE-GNN, 2020), reduced to its global
graph; He et al.: LightGCN (2020) for averaging without weights to learn.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from shopkit_recommend.models.histories import Histories
from shopkit_recommend.models.inputs import FIRST_ITEM

STEPS = 3
"""Items are beside each other where they are at most so many steps apart; a pair that is n apart counts 1/n."""


class ItemGraph(nn.Module):
    """What makes of a table of items (2 + n_items, dim): to each vector is added a weighted mean of those beside it.

    Items with few interactions so share what is known of those around them. The mean goes over the `neighbours` that stand beside
    the item most often, each by how often it does.
    """

    neighbours: Tensor
    shares: Tensor

    def __init__(self, n_rows: int, neighbours: int, weight: float, unit_length: bool) -> None:
        super().__init__()
        self.weight, self.unit_length = weight, unit_length
        self.register_buffer("neighbours", torch.zeros(n_rows, neighbours, dtype=torch.int32))
        self.register_buffer("shares", torch.zeros(n_rows, neighbours))

    def look_at(self, sequences: Histories) -> None:
        """Find who stands beside whom."""
        n_items = sequences.n_items
        beside = sp.csr_matrix((n_items, n_items))
        for steps in range(1, STEPS + 1):
            before, after, times = sequences.pairs(steps)
            other = before != after
            beside += sp.csr_matrix((times[other] / steps, (before[other], after[other])), beside.shape)
        pairs = (beside + beside.T).tocoo()
        order = np.lexsort((pairs.col, -pairs.data, pairs.row))  # of equal ones the more popular, which has the lower number
        row, column, times = pairs.row[order], pairs.col[order], pairs.data[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)
        kept = place < self.shares.shape[1]
        row, column, times, place = row[kept], column[kept], times[kept], place[kept]
        of_item = np.bincount(row, times, minlength=n_items)
        at = torch.from_numpy(row + FIRST_ITEM), torch.from_numpy(place)
        self.neighbours.zero_()[at] = torch.from_numpy(column + FIRST_ITEM).to(torch.int32)
        self.shares.zero_()[at] = torch.from_numpy(times / of_item[row]).to(self.shares.dtype)

    def forward(self, items: Tensor) -> Tensor:
        own = F.normalize(items, dim=-1) if self.unit_length else items
        beside = F.embedding_bag(self.neighbours, own, per_sample_weights=self.shares, mode="sum")
        return own + self.weight * beside
