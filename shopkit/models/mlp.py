"""A multi-layer perceptron, as a parameter-efficient ensemble.

Gorishniy, Kotelnikov, Babenko: TabM: Advancing tabular deep learning with parameter-efficient ensembling (ICLR 2025), after
Wen, Tran, Ba: BatchEnsemble (ICLR 2020). Linear embeddings of feature blocks after Gorishniy, Rubachev, Babenko: On embeddings
for numerical features in tabular deep learning (NeurIPS 2022). Here the adapters begin after the first hidden layer, so that
all members read the features once and the exported file is three matrix products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from shopkit.features.base import FeatureSpec
from shopkit.models.base import Axis, Batch, Model
from shopkit.models.labels import block_labels, id_labels
from shopkit.models.mlp_folded import FoldedMLP, bag_sum
from shopkit.models.settings import MLPSettings

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "silu": F.silu, "gelu": F.gelu}


def uniform(*shape: int, fan_in: int) -> nn.Parameter:
    """Uniform within ±1/√fan_in, as `nn.Linear` starts."""
    return nn.Parameter((torch.rand(*shape) * 2 - 1) * fan_in**-0.5)


class Norm(nn.Module):
    """Normalisation of the units of one layer, (members, batch, width) → the same."""

    def __init__(self, kind: str, members: int, width: int) -> None:
        super().__init__()
        self.members = members
        self.norm: nn.Module = nn.Identity()
        if kind == "layer":
            self.norm = nn.LayerNorm(width)
        elif kind == "batch":
            self.norm = nn.BatchNorm1d(members * width)

    def forward(self, x: Tensor) -> Tensor:
        if not isinstance(self.norm, nn.BatchNorm1d):
            return self.norm(x)  # type: ignore[no-any-return]
        members, batch, width = x.shape
        flat = x.transpose(0, 1).reshape(batch, members * width)
        return self.norm(flat).view(batch, members, width).transpose(0, 1)  # type: ignore[no-any-return]


class InputLayer(nn.Module):
    """Dense blocks, ids and bags → the first hidden layer before its nonlinearity, (batch, width).

    Each block is embedded linearly, each id by a table, each term of a bag by a row of the layer itself; as no nonlinearity
    follows, the embeddings multiply into the weights of the layer. That happens once for each batch here (`weight`), and once
    for all at export.
    """

    block_of: Tensor
    rows: Tensor
    offsets: Tensor

    def __init__(self, settings: MLPSettings, features: FeatureSpec, width: int) -> None:
        super().__init__()
        self.features = features
        dim, n_blocks, n_ids = settings.embedding_dim, len(features.dense), len(features.ids)
        fan_in = max(1, n_blocks * (dim or 1) + n_ids * settings.category_dim)
        self.block_dropout = nn.Dropout(settings.input_dropout)
        self.bias = uniform(width, fan_in=fan_in)
        self.embedding = None
        if n_blocks:
            widths = [block.width for block in features.dense]
            widest = max(widths)
            block_of = torch.repeat_interleave(torch.arange(n_blocks), torch.tensor(widths))
            position = torch.cat([torch.arange(n) for n in widths])
            self.register_buffer("block_of", block_of, persistent=False)
            self.register_buffer("rows", block_of * widest + position, persistent=False)
            if dim:
                scale = torch.tensor(widths).view(-1, 1, 1) ** -0.5
                self.embedding = nn.Parameter((torch.rand(n_blocks, widest, dim) * 2 - 1) * scale)
                self.dense = uniform(n_blocks, dim, width, fan_in=fan_in)
            else:
                self.dense = uniform(features.n_dense, width, fan_in=fan_in)
        if n_ids:
            cardinalities = torch.tensor(features.cardinalities)
            self.register_buffer("offsets", cardinalities.cumsum(0) - cardinalities, persistent=False)
            self.table = nn.Parameter(torch.randn(int(cardinalities.sum()), settings.category_dim))
            self.looked_up = nn.Identity()
            self.category = uniform(n_ids, settings.category_dim, width, fan_in=fan_in)
        if features.n_bag:
            # From 0: a rare term's start would outlast its few gradients.
            self.terms = nn.Parameter(torch.zeros(features.n_bag, width))

    def weight(self) -> Tensor:
        """(n_dense, width): the embeddings multiplied into the layer."""
        if self.embedding is None:
            return self.dense
        return torch.bmm(self.embedding, self.dense).flatten(0, 1).index_select(0, self.rows)

    def axes(self, vocabularies: Mapping[str, Sequence[str]]) -> dict[str, Axis]:
        """As of `Model.axes`."""
        axes = {}
        # A vocabulary grows at its end: its first positions stay what they were. Other blocks of another width are others.
        dense = self.features.dense
        widths = ["" if block.column in vocabularies else block.width for block in dense]
        blocks = [f"{label}/{width}" for label, width in zip(block_labels(dense), widths, strict=True)]
        if self.embedding is not None:
            axes["embedding"] = Axis(blocks, padded=1)
            axes["dense"] = Axis(blocks)
        elif blocks:
            places = zip(blocks, dense, strict=True)
            axes["dense"] = Axis([f"{label}/{at}" for label, block in places for at in range(block.width)])
        if self.features.ids:
            axes["table"] = Axis(id_labels(self.features.ids, vocabularies))
            axes["category"] = Axis(block_labels(self.features.ids))
        if self.features.n_bag:
            axes["terms"] = Axis([])
        return axes

    def forward(self, batch: Batch) -> Tensor:
        z: Tensor = self.bias
        if "dense" in batch:
            x = batch["dense"]  # (batch, n_dense)
            if self.training and self.block_dropout.p:
                x = x * self.block_dropout(x.new_ones(len(x), len(self.dense)))[:, self.block_of]
            z = torch.addmm(z, x, self.weight())
        if "ids" in batch:
            x = self.looked_up(F.embedding(batch["ids"] + self.offsets, self.table))  # (batch, n_ids, category_dim)
            if self.training and self.block_dropout.p:
                x = x * self.block_dropout(x.new_ones(*x.shape[:2], 1))
            z = z + x.flatten(1) @ self.category.flatten(0, 1)
        if "bag_ids" in batch:
            z = z + bag_sum(batch["bag_ids"], self.block_dropout(batch["bag_weights"]), self.terms)
        return z


class MemberLayer(nn.Module):
    """(members or 1, batch, n_in) → (members, batch, n_out): weights shared, scale of the input and bias a member's own."""

    def __init__(self, members: int, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = uniform(n_in, n_out, fan_in=n_in)
        self.bias = uniform(members, 1, n_out, fan_in=n_in)
        self.scale = nn.Parameter(1 + 0.5 * torch.randn(members, 1, n_in)) if members > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        if self.scale is not None:
            x = x * self.scale
        return x @ self.weight + self.bias


class MLP(Model):
    """Training: scores (batch, members, n_outputs). Eval: their mean, (batch, n_outputs)."""

    settings: MLPSettings

    def __init__(self, settings: MLPSettings, features: FeatureSpec, n_outputs: int) -> None:
        super().__init__(settings, features, n_outputs)
        first, *rest = settings.hidden
        members = settings.members
        self.activation = ACTIVATIONS[settings.activation]
        self.input = InputLayer(settings, features, first)
        self.layers = nn.ModuleList(MemberLayer(members, n_in, n_out) for n_in, n_out in zip(settings.hidden, rest, strict=False))
        self.norms = nn.ModuleList(
            Norm(settings.normalization, members if i else 1, width) for i, width in enumerate(settings.hidden)
        )
        self.dropout = nn.Dropout(settings.dropout)
        self.head = uniform(members, settings.hidden[-1], n_outputs, fan_in=settings.hidden[-1])
        self.head_bias = nn.Parameter(torch.zeros(members, 1, n_outputs))

    def forward(self, batch: Batch) -> Tensor:
        return self.scores(self.input(batch))

    def scores(self, first: Tensor) -> Tensor:
        """From the first layer before its nonlinearity, (batch, first)."""
        x = first.unsqueeze(0)  # (1, batch, first)
        x = self.dropout(self.activation(self.norms[0](x)))
        for layer, norm in zip(self.layers, self.norms[1:], strict=True):
            y = self.dropout(self.activation(norm(layer(x))))  # (members, batch, width)
            x = x + y if self.settings.residual and x.shape[-1] == y.shape[-1] else y
        scores: Tensor = (x @ self.head + self.head_bias).transpose(0, 1)  # (batch, members, n_outputs)
        return scores if self.training else scores.mean(1)

    def axes(self, vocabularies: Mapping[str, Sequence[str]]) -> dict[str, Axis]:
        return {f"input.{name}": axis for name, axis in self.input.axes(vocabularies).items()}

    def start_from(self, bias: Tensor) -> None:
        with torch.no_grad():
            self.head_bias.copy_(bias.expand_as(self.head_bias))

    def for_export(self) -> FoldedMLP:
        return FoldedMLP(self)

    def entries(self) -> dict[str, nn.Module]:
        return {"ids": self.input.looked_up} if self.features.n_ids else {}

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Weights and embeddings decay; biases, the members' scales and normalisation do not."""
        kept = {
            name
            for name, parameter in self.named_parameters()
            if parameter.ndim == 1 or name.endswith(("bias", "scale")) or name.startswith("norms")
        }
        named = dict(self.named_parameters())
        return [
            {"params": [value for name, value in named.items() if name not in kept], "lr": lr, "weight_decay": weight_decay},
            {"params": [value for name, value in named.items() if name in kept], "lr": lr, "weight_decay": 0.0},
        ]
