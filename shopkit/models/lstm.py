"""A recurrent network over sequences, joined with plain columns.

Hochreiter, Schmidhuber: Long short-term memory (1997); Cho et al.: Learning phrase representations using RNN encoder-decoder
(2014) for the GRU; Schuster, Paliwal: Bidirectional recurrent neural networks (1997); Yang et al.: Hierarchical attention
networks for document classification (2016) for the pooling.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from shopkit.errors import ConfigError
from shopkit.features.base import FeatureSpec
from shopkit.models.base import Axis, Batch, Model
from shopkit.models.mlp import MLP, id_labels
from shopkit.models.recurrent import Recurrent
from shopkit.models.settings import LSTMSettings


class Categories(nn.Module):
    """Ids (…, n_ids) → their embeddings side by side, (…, n_ids · dim)."""

    offsets: Tensor

    def __init__(self, cardinalities: tuple[int, ...], dim: int) -> None:
        super().__init__()
        sizes = torch.tensor(cardinalities)
        self.register_buffer("offsets", sizes.cumsum(0) - sizes, persistent=False)
        self.table = nn.Parameter(torch.randn(int(sizes.sum()), dim) * dim**-0.5)

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(ids + self.offsets, self.table).flatten(-2)


class LastState(nn.Module):
    """The state after the last step; of the backward direction, after the first. (batch, length, width) → (batch, width)."""

    def __init__(self, width: int, n_directions: int) -> None:
        super().__init__()
        self.forward_width = width // n_directions

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        inside = torch.arange(states.shape[1], device=states.device) == lengths.unsqueeze(1) - 1  # (batch, length)
        last = (states[:, :, : self.forward_width] * inside.unsqueeze(2).to(states.dtype)).sum(1)
        return torch.cat([last, states[:, 0, self.forward_width :]], 1)


class Attention(nn.Module):
    """Average over the steps, weighed by how well tanh(W state) agrees with a learnt vector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key = nn.Linear(width, width)
        self.query = nn.Linear(width, 1, bias=False)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        inside = torch.arange(states.shape[1], device=states.device) < lengths.unsqueeze(1)  # (batch, length)
        agreement = self.query(torch.tanh(self.key(states))).squeeze(2)
        # Not −∞: a row without steps would have no weights at all.
        weights = torch.softmax(agreement.masked_fill(~inside, -1e9), 1).unsqueeze(1)  # (batch, 1, length)
        return torch.bmm(weights, states).squeeze(1)


class LSTM(Model):
    """Scores as of its head, an `MLP`. A row without steps is judged by its plain columns: what is kept of its steps is 0."""

    settings: LSTMSettings

    def __init__(self, settings: LSTMSettings, features: FeatureSpec, n_outputs: int) -> None:
        super().__init__(settings, features, n_outputs)
        if not features.has_sequences:
            raise ConfigError(
                "model=lstm reads sequences, and no feature column holds a list in each row. Use view=customer_history, give the "
                "table a column of lists, or choose model=mlp."
            )
        n_step = features.widths.get("sequence_dense", 0)
        if cardinalities := features.sequence_cardinalities:
            self.categories = Categories(cardinalities, settings.category_dim)
            n_step += settings.category_dim * len(cardinalities)
        n_directions = 2 if settings.bidirectional else 1
        width = n_directions * settings.hidden_dim
        self.dropout = nn.Dropout(settings.dropout)
        self.recurrent = Recurrent(
            settings.cell, n_step, settings.hidden_dim, settings.layers, settings.bidirectional, settings.dropout
        )
        self.pooling = LastState(width, n_directions) if settings.pooling == "last" else Attention(width)
        plain = FeatureSpec((*features.dense, *features.ids) if settings.static else ())
        self.head = MLP(settings.head, plain, n_outputs)
        self.join = nn.Linear(width, settings.head.hidden[0], bias=False)

    def forward(self, batch: Batch) -> Tensor:
        lengths = batch["lengths"]  # (batch,)
        steps = [batch["sequence_dense"]] if "sequence_dense" in batch else []
        if "sequence_ids" in batch:
            steps.append(self.categories(batch["sequence_ids"]))
        x = self.dropout(torch.cat(steps, 2))  # (batch, length, n_step)
        kept = self.pooling(self.recurrent(x, lengths), lengths)  # (batch, directions · hidden)
        kept = self.dropout(kept * (lengths > 0).unsqueeze(1).to(kept.dtype))
        plain = {name: batch[name] for name in ("dense", "ids") if self.settings.static and name in batch}
        scores: Tensor = self.head.scores(self.head.input(plain) + self.join(kept))
        return scores

    def axes(self, vocabularies: Mapping[str, Sequence[str]]) -> dict[str, Axis]:
        axes = {f"head.{name}": axis for name, axis in self.head.axes(vocabularies).items()}
        blocks = self.features.blocks
        ids = [block for block in blocks if block.tensor == "sequence_ids"]
        steps = [block for block in blocks if block.tensor == "sequence_dense"]
        places = [f"{b.column}/{b.extractor}/{b.width}/{at}" for b in steps for at in range(b.width)]
        places += [f"{b.column}/{b.extractor}/{at}" for b in ids for at in range(self.settings.category_dim)]
        for name in dict(self.recurrent.named_parameters()):
            if "weight_ih_l0" in name:
                axes[f"recurrent.{name}"] = Axis(places, dim=1)
        if ids:
            axes["categories.table"] = Axis(id_labels(ids, vocabularies))
        return axes

    def start_from(self, bias: Tensor) -> None:
        self.head.start_from(bias)

    def for_export(self) -> nn.Module:
        exported = copy.deepcopy(self)
        exported.recurrent = exported.recurrent.for_export()  # type: ignore[assignment]
        exported.head = head = self.head.for_export()  # type: ignore[assignment]
        exported.join.weight.data *= head.first_scale.unsqueeze(1)
        return exported

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """The head's as of `MLP`; weights decay, biases do not."""
        own = [(name, value) for name, value in self.named_parameters() if not name.startswith("head.")]
        return [
            *self.head.parameter_groups(lr, weight_decay),
            {"params": [value for _, value in own if value.ndim > 1], "lr": lr, "weight_decay": weight_decay},
            {"params": [value for _, value in own if value.ndim == 1], "lr": lr, "weight_decay": 0.0},
        ]
