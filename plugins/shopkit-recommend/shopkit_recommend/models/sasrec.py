"""A causal transformer over the history.

Kang, McAuley: Self-attentive sequential recommendation (2018); blocks normalise first (Xiong et al.: On layer normalization in
the transformer architecture, 2020); relative position as a bias of attention (Raffel et al.: Exploring the limits of transfer
learning, 2020), and time likewise (after Li, Wang, McAuley: Time interval aware self-attention, 2020).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from shopkit.errors import ConfigError
from shopkit.features.base import FeatureSpec
from shopkit.models.base import Batch
from torch import Tensor, nn

from shopkit_recommend.models.network import INITIAL, Network, at
from shopkit_recommend.models.network_settings import SASRecSettings

N_TIMES = 16
"""Times between steps told apart: 0 days, 1, 2 to 3, 4 to 7, …"""
NEVER = -1e9
"""Added to the agreement with steps that are not to be seen."""


class Agreement(nn.Module):
    """What is added to the agreement of a step with another: −10⁹ for later ones, and learned biases of distance and time."""

    def __init__(self, settings: SASRecSettings, time_at: int | None) -> None:
        super().__init__()
        self.time_at = time_at
        relative = settings.position == "relative"
        self.distance = nn.Parameter(torch.zeros(settings.max_length, settings.heads)) if relative else None
        self.time = nn.Parameter(torch.zeros(N_TIMES, settings.heads)) if time_at is not None else None

    def forward(self, batch: Batch, of: Tensor) -> Tensor:
        """For the steps at the places `of`, (batch or 1, steps) → (batch or 1, heads or 1, steps, length)."""
        places = torch.arange(batch["sequence_ids"].shape[1], device=of.device)
        now = of.unsqueeze(2)
        bias = torch.where(now < places, NEVER, 0.0).unsqueeze(1)
        if self.distance is not None:
            distance = (now - places).clamp(0, len(self.distance) - 1)
            bias = bias + F.embedding(distance, self.distance).permute(0, 3, 1, 2)
        if self.time is not None and self.time_at is not None:
            days = batch["sequence_dense"][:, :, self.time_at]
            today = days.gather(1, of.clamp(min=0).expand(days.shape[0], of.shape[1]))
            passed = (today.unsqueeze(2) - days.unsqueeze(1)).abs()
            bucket = torch.log2(passed + 1).clamp(0, N_TIMES - 1).to(torch.int64)
            bias = bias + F.embedding(bucket, self.time).permute(0, 3, 1, 2)
        return bias


class Block(nn.Module):
    """Attention over the steps so far, then a small network at each step; each is added to what it reads."""

    own: Tensor

    def __init__(self, dim: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_after = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query, self.key_value, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.widen, self.narrow = nn.Linear(dim, feedforward * dim), nn.Linear(feedforward * dim, dim)
        self.dropout = nn.Dropout(dropout)
        own = torch.eye(heads).repeat_interleave(dim // heads, 1)  # (heads, dim): 1 where a dimension is of the head
        self.register_buffer("own", own, persistent=False)

    def forward(self, x: Tensor, agreement: Tensor) -> Tensor:
        """Steps (batch, length, dim) and their agreement (batch or 1, heads or 1, length, length) → the same steps."""
        seen = self.norm(x)
        query, (key, value) = self._split(self.query(seen)), map(self._split, self.key_value(seen).chunk(2, -1))
        weights = torch.softmax(query @ key.transpose(2, 3) * query.shape[3] ** -0.5 + agreement, -1)
        attended = (self.dropout(weights) @ value).transpose(1, 2).flatten(2)
        return self._added(x, attended)

    def last(self, x: Tensor, agreement: Tensor, place: Tensor) -> Tensor:
        """What `forward` gives at one place of each row (batch,), with its agreement (batch or 1, heads or 1, length):
        (batch, dim).

        Each head asks with a query that is 0 but for its own dimensions, so that nothing is transposed: half the nodes in a file.
        """
        kept = at(x, place)
        query = self.query(self.norm(kept)).unsqueeze(1) * self.own
        key, value = self.key_value(self.norm(x)).chunk(2, -1)
        head_dim = x.shape[2] // self.heads
        weights = torch.softmax(query @ key.transpose(1, 2) * head_dim**-0.5 + agreement, -1)
        return self._added(kept, ((self.dropout(weights) @ value) * self.own).sum(1))

    def _added(self, x: Tensor, attended: Tensor) -> Tensor:
        kept = x + self.dropout(self.out(attended))
        inner = self.dropout(F.gelu(self.widen(self.norm_after(kept))))
        result: Tensor = kept + self.dropout(self.narrow(inner))
        return result

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)  # (batch, heads, length, dim / heads)


class SASRec(Network):
    """Scores of the next item. What is scored is the last step's state only: the last block computes no other."""

    settings: SASRecSettings

    def __init__(self, settings: SASRecSettings, features: FeatureSpec, n_outputs: int) -> None:
        super().__init__(settings, features, n_outputs, "sasrec", unread=settings.time)
        self.agreement = Agreement(settings, _time_at(settings.time, features))
        absolute = settings.position == "absolute"
        self.places = nn.Parameter(torch.randn(settings.max_length, settings.dim) * INITIAL) if absolute else None
        self.blocks = nn.ModuleList(
            Block(settings.dim, settings.heads, settings.feedforward, settings.dropout) for _ in range(settings.blocks)
        )
        self.norm = nn.LayerNorm(settings.dim)

    def states(self, batch: Batch) -> Tensor:
        x = self._before(batch)
        agreement = self.agreement(batch, torch.arange(x.shape[1], device=x.device).unsqueeze(0))
        for block in self.blocks:
            x = block(x, agreement)
        states: Tensor = self.norm(x)
        return states

    def last_state(self, batch: Batch) -> Tensor:
        x, last = self._before(batch), batch["lengths"] - 1
        if len(self.blocks) > 1:
            agreement = self.agreement(batch, torch.arange(x.shape[1], device=x.device).unsqueeze(0))
            for block in self.blocks[:-1]:
                x = block(x, agreement)
        final = self.blocks[-1]
        assert isinstance(final, Block)
        state: Tensor = self.norm(final.last(x, self.agreement(batch, last.unsqueeze(1)).squeeze(2), last))
        return state

    def _before(self, batch: Batch) -> Tensor:
        x = self.read(batch)
        if self.places is not None:
            place = torch.arange(x.shape[1], device=x.device).clamp(max=len(self.places) - 1)
            x = x + F.embedding(place, self.places)
        kept: Tensor = self.dropout(x)
        return kept


def _time_at(column: str, features: FeatureSpec) -> int | None:
    if not column:
        return None
    found = [b for b in features.blocks if b.tensor == "sequence_dense" and b.column == column and b.extractor == "identity"]
    if not found:
        numbers = sorted({b.column for b in features.blocks if b.tensor == "sequence_dense"}) or ["none"]
        raise ConfigError(
            f"model.time is '{column}'; it must be a column of numbers of the steps (there are: {', '.join(numbers)}) that is "
            f"read as it is, in days: features.columns.{column}=identity."
        )
    return found[0].start
