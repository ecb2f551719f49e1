"""The MLP as it is exported: all that does not depend on the row multiplied out beforehand."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from shopkit.models.base import Batch

if TYPE_CHECKING:
    from shopkit.models.mlp import MLP, MemberLayer, Norm


class FoldedMLP(nn.Module):
    """Scores (batch, n_outputs) of a fitted MLP, up to rounding.

    Embeddings and batch normalisation are multiplied into the layers; the members' second layers stand side by side in one wide
    matrix, and so do their heads, averaged. Only third and later layers of an ensemble are computed member by member.
    """

    first: Tensor
    first_scale: Tensor
    first_bias: Tensor
    table: Tensor
    terms: Tensor
    offsets: Tensor
    head: Tensor
    head_bias: Tensor

    @torch.no_grad()
    def __init__(self, mlp: MLP) -> None:
        super().__init__()
        # In float64, so that folding rounds once.
        mlp = copy.deepcopy(mlp).double()
        settings, source = mlp.settings, mlp.input
        layers, norms = cast("list[MemberLayer]", list(mlp.layers)), cast("list[Norm]", list(mlp.norms))
        self.members, self.hidden, self.residual = settings.members, settings.hidden, settings.residual
        self.activation = mlp.activation
        scale, shift = _affine(norms[0])  # (1, 1, width)
        self.norms = nn.ModuleList(norm.norm.float() if isinstance(norm.norm, nn.LayerNorm) else nn.Identity() for norm in norms)
        self.by_member = settings.normalization == "layer" or settings.residual or len(settings.hidden) > 2
        """Whether anything after the second layer needs to tell the members apart."""
        self._keep("first_scale", scale.flatten())
        self._keep("first_bias", source.bias * scale.flatten() + shift.flatten())
        if mlp.features.n_dense:
            self._keep("first", source.weight() * scale.flatten())
        if mlp.features.n_ids:
            tables = torch.split(source.table, list(mlp.features.cardinalities))
            folded = torch.cat([table @ weight for table, weight in zip(tables, source.category, strict=True)])
            self._keep("table", folded * scale.flatten())
            self._keep("offsets", source.offsets)
        if mlp.features.n_bag:
            self._keep("terms", source.terms * scale.flatten())
        for i, layer in enumerate(layers):
            scale, shift = _affine(norms[i + 1])  # (members, 1, width)
            weight = layer.weight if layer.scale is None else layer.scale.transpose(1, 2) * layer.weight  # (members, n_in, n_out)
            weight, bias = weight * scale, layer.bias * scale + shift
            if i == 0:
                weight = weight.expand(self.members, -1, -1).transpose(0, 1).flatten(1)  # (n_in, members * n_out)
                bias = bias.flatten()
            self._keep(f"weight_{i}", weight)
            self._keep(f"bias_{i}", bias)
        self._keep("head", (mlp.head / self.members).flatten(0, 1) if layers else mlp.head.mean(0))
        self._keep("head_bias", mlp.head_bias.mean(0).flatten())

    def _keep(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value.to(torch.float32 if value.is_floating_point() else value.dtype).contiguous())

    def forward(self, batch: Batch) -> Tensor:
        return self.scores(self.input(batch))

    def input(self, batch: Batch) -> Tensor:
        """The first layer before its nonlinearity, (batch, first); its bias alone where no column is given."""
        x: Tensor = self.first_bias
        if "dense" in batch:
            x = torch.addmm(self.first_bias, batch["dense"], self.first)
        if "ids" in batch:
            x = x + torch.embedding(self.table, batch["ids"] + self.offsets).sum(1)
        if "bag_ids" in batch:
            x = x + bag_sum(batch["bag_ids"], batch["bag_weights"], self.terms)
        return x

    def scores(self, first: Tensor) -> Tensor:
        """The rest of the way."""
        x = self.activation(self.norms[0](first))
        for i, width in enumerate(self.hidden[1:]):
            weight, bias = self.get_buffer(f"weight_{i}"), self.get_buffer(f"bias_{i}")
            if i == 0:
                y = torch.addmm(bias, x, weight)  # (batch, members * width)
                if self.by_member:
                    x, y = x.unsqueeze(1), y.view(-1, self.members, width)
            else:
                y = (x.transpose(0, 1) @ weight + bias).transpose(0, 1)
            y = self.activation(self.norms[i + 1](y))  # (batch, members, width)
            x = x + y if self.residual and self.hidden[i] == width else y
        return torch.addmm(self.head_bias, x.flatten(1), self.head)


def bag_sum(ids: Tensor, weights: Tensor, table: Tensor) -> Tensor:
    """The table's rows of a bag's terms (batch, n_terms), weighed and summed: (batch, width)."""
    return torch.bmm(weights.unsqueeze(1), torch.embedding(table, ids)).squeeze(1)


def _affine(norm: Norm) -> tuple[Tensor, Tensor]:
    """The scale and shift that batch normalisation comes to in eval mode, (members, 1, width); 1 and 0 for all others."""
    inner = norm.norm
    if not isinstance(inner, nn.BatchNorm1d):
        return torch.ones(1, 1, 1), torch.zeros(1, 1, 1)
    assert inner.running_mean is not None
    assert inner.running_var is not None
    scale = inner.weight * (inner.running_var + inner.eps).rsqrt()
    shift = inner.bias - inner.running_mean * scale
    return scale.view(norm.members, 1, -1), shift.view(norm.members, 1, -1)
