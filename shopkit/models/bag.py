"""What bags of terms add to a network's scores, linearly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from shopkit.features.base import FeatureSpec
from shopkit.models.base import Arrays, Batch, Model
from shopkit.models.linear import Linear
from shopkit.models.settings import BertSettings, LinearSettings, LSTMSettings
from shopkit.tasks.base import Task

CHUNK_ROWS = 512
"""Of the validation part, at a time."""


class Bag(nn.Module):
    """Terms whose scores add to the network's, and which learn with it."""

    def __init__(self, n_terms: int, n_outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(n_terms, n_outputs))
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: Batch) -> Tensor:
        """Scores of the terms alone, (batch, n_outputs)."""
        weights = self.dropout(batch["bag_weights"]).unsqueeze(1)  # (batch, 1, terms)
        return torch.bmm(weights, F.embedding(batch["bag_ids"], self.table)).squeeze(1)

    def join(self, scores: Tensor, batch: Batch) -> Tensor:
        """The scores of both. The network's are (batch, members, n_outputs) of an ensemble that is being trained."""
        of_terms: Tensor = self(batch)
        return scores + (of_terms.unsqueeze(1) if scores.ndim == 3 else of_terms)

    def prepare(self, features: FeatureSpec, train: Arrays, validation: Arrays, task: Task, seed: int) -> None:
        """What is done before training: nothing."""

    def finish(self, model: Model, validation: Arrays, task: Task) -> dict[str, Any]:
        """What is done after it: nothing."""
        return {}


class FittedBag(Bag):
    """Terms fitted beforehand, as `model=linear` fits them.

    The network learns as if they were not there: beside terms that say nearly all of the training part, it would have nothing
    left to learn from. The scores are a weighted sum of both; the weights are fitted on the validation part, of which neither
    has learnt (Breiman 1996: Stacked regressions).
    """

    def __init__(self, n_terms: int, n_outputs: int, linear: LinearSettings) -> None:
        super().__init__(n_terms, n_outputs)
        self.linear = linear
        self.bias = nn.Parameter(torch.zeros(n_outputs))
        self.shares = nn.Parameter(torch.tensor([0.5, 0.5]))
        """Of the network and of the terms."""
        self.requires_grad_(False)

    def forward(self, batch: Batch) -> Tensor:
        return super().forward(batch) + self.bias

    def join(self, scores: Tensor, batch: Batch) -> Tensor:
        return scores if self.training else self.shares[0] * scores + self.shares[1] * self(batch)

    def prepare(self, features: FeatureSpec, train: Arrays, validation: Arrays, task: Task, seed: int) -> None:
        of_terms = FeatureSpec(tuple(block for block in features.blocks if block.tensor == "bag"))
        linear = Linear(self.linear, of_terms, task)
        linear.fit(_terms_of(train), _terms_of(validation), seed)
        self.table.data.copy_(torch.from_numpy(linear.terms))
        self.bias.data.copy_(torch.from_numpy(linear.bias))

    @torch.no_grad()
    def finish(self, model: Model, validation: Arrays, task: Task) -> dict[str, Any]:
        """Facts: `shares`, what the scores of each count."""
        if not len(validation):
            return {}
        parts = []
        for only in torch.eye(2):
            self.shares.copy_(only)
            rows = range(0, len(validation), CHUNK_ROWS)
            parts.append(torch.cat([model(validation.tensors(slice(start, start + CHUNK_ROWS))) for start in rows]))
        target = torch.from_numpy(validation.target.copy())
        weight = None if validation.weight is None else torch.from_numpy(validation.weight.copy())
        roots = torch.full((2,), 0.5**0.5, requires_grad=True)  # neither speaks against itself
        optimizer = torch.optim.LBFGS([roots], max_iter=100, line_search_fn="strong_wolfe")

        @torch.enable_grad()
        def closure() -> Tensor:
            optimizer.zero_grad()
            shares = roots.square()
            loss = task.loss(shares[0] * parts[0] + shares[1] * parts[1], target, weight)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        self.shares.copy_(roots.square())
        return {"shares": dict(zip(("network", "terms"), self.shares.tolist(), strict=True))}


def bag(settings: LSTMSettings | BertSettings, features: FeatureSpec, n_outputs: int, dropout: float = 0.0) -> Bag | None:
    """As the settings say; None where the features have no terms."""
    if not features.n_bag:
        return None
    if settings.terms == "fitted":
        return FittedBag(features.n_bag, n_outputs, settings.linear)
    return Bag(features.n_bag, n_outputs, dropout)


def _terms_of(arrays: Arrays) -> Arrays:
    return replace(arrays, features={name: values for name, values in arrays.features.items() if name.startswith("bag_")})
