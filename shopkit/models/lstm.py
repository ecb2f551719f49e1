"""A recurrent network over sequences and texts, joined with terms and plain columns.

Hochreiter, Schmidhuber: Long short-term memory (1997); Cho et al.: Learning phrase representations using RNN encoder-decoder
(2014) for the GRU; Schuster, Paliwal: Bidirectional recurrent neural networks (1997); Yang et al.: Hierarchical attention
networks for document classification (2016) and Howard, Ruder: Universal language model fine-tuning (2018) for the pooling.
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
from shopkit.models.bag import bag
from shopkit.models.base import Arrays, Axis, Batch, Model
from shopkit.models.foretelling import Foretelling
from shopkit.models.labels import id_labels, input_labels
from shopkit.models.mlp import MLP
from shopkit.models.recurrent import Recurrent
from shopkit.models.settings import LSTMSettings
from shopkit.models.token_embedding import TokenEmbedding
from shopkit.tasks.base import Task


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

    def weights(self, states: Tensor, lengths: Tensor) -> Tensor:
        """How much each step counts, (batch, length); rows sum to 1."""
        inside = torch.arange(states.shape[1], device=states.device) < lengths.unsqueeze(1)  # (batch, length)
        agreement = self.query(torch.tanh(self.key(states))).squeeze(2)
        # Not −∞: a row without steps would have no weights at all.
        return torch.softmax(agreement.masked_fill(~inside, -1e9), 1)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        return torch.bmm(self.weights(states, lengths).unsqueeze(1), states).squeeze(1)


class Maximum(nn.Module):
    """The largest of each number over the steps; 0 of a row without steps."""

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        inside = torch.arange(states.shape[1], device=states.device) < lengths.clamp(min=1).unsqueeze(1)  # (batch, length)
        return states.masked_fill(~inside.unsqueeze(2), -1e9).amax(1)


class Mean(nn.Module):
    """The average of each number over the steps; 0 of a row without steps."""

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        inside = torch.arange(states.shape[1], device=states.device) < lengths.unsqueeze(1)  # (batch, length)
        shares = inside.to(states.dtype) / lengths.clamp(min=1).unsqueeze(1).to(states.dtype)
        return torch.bmm(shares.unsqueeze(1), states).squeeze(1)


class SideBySide(nn.Module):
    """What several ways of pooling keep, (batch, ways · width)."""

    def __init__(self, ways: Sequence[nn.Module]) -> None:
        super().__init__()
        self.ways = nn.ModuleList(ways)

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        return torch.cat([way(states, lengths) for way in self.ways], 1)


def pooling(kind: str, width: int, n_directions: int) -> tuple[nn.Module, int]:
    """What of the states is kept, and the width of that."""
    if kind == "concat":
        return SideBySide([LastState(width, n_directions), Maximum(), Mean()]), 3 * width
    if kind == "last":
        return LastState(width, n_directions), width
    if kind == "attention":
        return Attention(width), width
    return Maximum() if kind == "max" else Mean(), width


class Reader(nn.Module):
    """Steps (batch, length, n_in) and lengths (batch,) → what is kept of them, (batch, width); 0 of a row without steps."""

    def __init__(self, settings: LSTMSettings, n_in: int) -> None:
        super().__init__()
        n_directions = 2 if settings.bidirectional else 1
        width = n_directions * settings.hidden_dim
        self.dropout = nn.Dropout(settings.dropout)
        self.recurrent: nn.Module = Recurrent(
            settings.cell, n_in, settings.hidden_dim, settings.layers, settings.bidirectional, settings.dropout
        )
        self.pooling, n_kept = pooling(settings.pooling, width, n_directions)
        self.join = nn.Linear(n_kept, settings.head.hidden[0], bias=False)

    def states(self, x: Tensor, lengths: Tensor) -> Tensor:
        """After each step, (batch, length, directions · hidden)."""
        return self.recurrent(self.dropout(x), lengths)  # type: ignore[no-any-return]

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        kept = self.pooling(self.states(x, lengths), lengths)  # (batch, directions · hidden), or three times that
        return self.join(self.dropout(kept * (lengths > 0).unsqueeze(1).to(kept.dtype)))  # type: ignore[no-any-return]

    def attention(self, x: Tensor, lengths: Tensor) -> Tensor | None:
        """How much each step counts, (batch, length); None where the pooling does not weigh them."""
        if not isinstance(self.pooling, Attention):
            return None
        return self.pooling.weights(self.states(x, lengths), lengths)

    def export(self, scale: Tensor) -> None:
        """As ONNX's own operator, the outputs multiplied by a scale (width of the head,). In place."""
        assert isinstance(self.recurrent, Recurrent)
        self.recurrent = self.recurrent.for_export()
        self.join.weight.data *= scale.unsqueeze(1)


class LSTM(Model):
    """Scores as of its head, an `MLP`, which joins what is kept of steps and of tokens with the plain columns; bags of terms add
    scores of their own, linearly. A row without steps and tokens is judged by the rest."""

    settings: LSTMSettings

    def __init__(self, settings: LSTMSettings, features: FeatureSpec, n_outputs: int) -> None:
        super().__init__(settings, features, n_outputs)
        if not features.has_sequences and features.tokens is None:
            raise ConfigError(
                "model=lstm reads sequences, and no feature column gives any: none has lists with something in them in the "
                "training part, or a text that is read token by token. Use view=customer_history, give the table a column of "
                "lists or a text column the extractor characters, or choose model=mlp."
            )
        if features.has_sequences:
            n_step = features.widths.get("sequence_dense", 0)
            if cardinalities := features.sequence_cardinalities:
                self.categories = Categories(cardinalities, settings.category_dim)
                n_step += settings.category_dim * len(cardinalities)
            self.steps = Reader(settings, n_step)
        if features.tokens is not None:
            self.embedding = TokenEmbedding(
                features.tokens.cardinality, settings.token_dim, settings.pairs, settings.pair_dim, settings.token_dropout
            )
            self.text = Reader(settings, self.embedding.width)
            if settings.pretrain_epochs:
                self.foretelling = Foretelling(
                    features.tokens.cardinality, settings.token_dim, settings.hidden_dim, 2 if settings.bidirectional else 1
                )
        elif settings.pretrain_epochs:
            raise ConfigError(
                f"model.pretrain_epochs is {settings.pretrain_epochs}: the tokens of a text are foretold, and no column is read "
                "token by token. Give a text column the extractor characters, or set model.pretrain_epochs=0."
            )
        self.bag = bag(settings, features, n_outputs, settings.dropout)
        plain = FeatureSpec((*features.dense, *features.ids) if settings.static else ())
        self.head = MLP(settings.head, plain, n_outputs)

    def forward(self, batch: Batch) -> Tensor:
        plain = {name: batch[name] for name in ("dense", "ids") if self.settings.static and name in batch}
        z = self.head.input(plain)  # (batch, first hidden), or (first hidden,) without plain columns
        if self.features.has_sequences:
            z = z + self.steps(self._steps_of(batch), batch["lengths"])
        if self.features.tokens is not None:
            z = z + self.text(self.embedding(batch["tokens"]), batch["token_lengths"])
        scores: Tensor = self.head.scores(z)
        return scores if self.bag is None else self.bag.join(scores, batch)

    @property
    def pretrain_epochs(self) -> int:
        return self.settings.pretrain_epochs

    def training_loss(self, batch: Batch, target: Tensor, weight: Tensor | None, task: Task) -> Tensor:
        if self.epoch >= self.pretrain_epochs:
            return super().training_loss(batch, target, weight, task)
        tokens, lengths = batch["tokens"], batch["token_lengths"]
        # Without pairs, of which each says the token that follows.
        states = self.text.states(self.embedding(tokens, with_pairs=False), lengths)
        return self.foretelling.loss(states, tokens, lengths, self.embedding.table.weight, weight)

    def loss_size(self, batch: Batch, target: Tensor, weight: Tensor | None) -> Tensor:
        if self.epoch >= self.pretrain_epochs:
            return super().loss_size(batch, target, weight)
        neighbours = (batch["token_lengths"] - 1).clamp(min=0).float()
        return neighbours.sum() if weight is None else (neighbours * weight).sum()

    def _steps_of(self, batch: Batch) -> Tensor:
        """What is read at each step, (batch, length, width)."""
        steps = [batch["sequence_dense"]] if "sequence_dense" in batch else []
        if "sequence_ids" in batch:
            steps.append(self.categories(batch["sequence_ids"]))
        return torch.cat(steps, 2)

    def attention(self, batch: Batch) -> Tensor | None:
        if self.features.tokens is None:
            return None
        return self.text.attention(self.embedding(batch["tokens"]), batch["token_lengths"])

    def step_attention(self, batch: Batch) -> Tensor | None:
        if not self.features.has_sequences:
            return None
        return self.steps.attention(self._steps_of(batch), batch["lengths"])

    def axes(self, vocabularies: Mapping[str, Sequence[str]]) -> dict[str, Axis]:
        axes = {f"head.{name}": axis for name, axis in self.head.axes(vocabularies).items()}
        ids, steps = ([b for b in self.features.blocks if b.tensor == f"sequence_{kind}"] for kind in ("ids", "dense"))
        places = input_labels(steps, ids, self.settings.category_dim)
        firsts = {f"steps.recurrent.rnns.{at}.weight_ih_l0" for at in range(2 if self.settings.bidirectional else 1)}
        for name, _ in self.named_parameters():
            if name in firsts:
                axes[name] = Axis(places, dim=1)
            elif name.startswith(("bag.", "embedding.")):
                axes[name] = Axis([])
        if self.features.tokens is not None:
            axes["embedding.table.weight"] = Axis(list(self.features.tokens.names))
            if self.pretrain_epochs:
                axes["foretelling.bias"] = axes["embedding.table.weight"]
        if ids:
            axes["categories.table"] = Axis(id_labels(ids, vocabularies))
        return axes

    def start_from(self, bias: Tensor) -> None:
        self.head.start_from(bias)

    def prepare(self, train: Arrays, validation: Arrays, task: Task, seed: int) -> None:
        if self.bag is not None:
            self.bag.prepare(self.features, train, validation, task, seed)

    def finish(self, validation: Arrays, task: Task) -> dict[str, Any]:
        return {} if self.bag is None else self.bag.finish(self, validation, task)

    def for_export(self) -> nn.Module:
        exported = copy.deepcopy(self)
        exported.head = head = self.head.for_export()  # type: ignore[assignment]
        for module in exported.modules():
            if isinstance(module, Reader):
                module.export(head.first_scale)
        return exported

    def entries(self) -> dict[str, nn.Module]:
        steps: dict[str, nn.Module] = {"sequence_ids": self.categories} if self.features.sequence_cardinalities else {}
        text = {"tokens": self.embedding} if self.features.tokens is not None else {}
        return steps | text | self.head.entries()

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """The head's as of `MLP`; weights decay, biases do not."""
        own = [(name, value) for name, value in self.named_parameters() if not name.startswith("head.") and value.requires_grad]
        return [
            *self.head.parameter_groups(lr, weight_decay),
            {"params": [value for _, value in own if value.ndim > 1], "lr": lr, "weight_decay": weight_decay},
            {"params": [value for _, value in own if value.ndim == 1], "lr": lr, "weight_decay": 0.0},
        ]
