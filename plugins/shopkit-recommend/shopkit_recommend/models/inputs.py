"""What a network reads: the items of a history, the other columns of its steps, and the customer's profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from shopkit.errors import ConfigError
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.base import Axis, Batch
from shopkit.models.labels import id_labels, input_labels
from torch import Tensor, nn

UNKNOWN, FIRST_ITEM = 1, 2
"""Ids of an item that is not in the catalogue, and of the first one that is; 0 is missing."""


def item_block(features: FeatureSpec, n_items: int, model: str) -> FeatureBlock:
    """The column of the items: the sequence whose ids are those of the target, which only the extractor `catalogue` gives. (A
    vocabulary of the same items has them in another order.)

    Raises:
        ConfigError: there is none, or more than one.
    """
    sequences = [block for block in features.blocks if block.tensor == "sequence_ids"]
    found = [block for block in sequences if block.extractor == "catalogue" and block.cardinality == n_items + FIRST_ITEM]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(
            f"model={model} reads one history of items, and catalogue reads {' and '.join(block.column for block in found)}. "
            "Choose another extractor for all but the history, e.g. features.columns.<column>=vocabulary."
        )
    read = ", ".join(f"{block.column} by {block.extractor}" for block in sequences) or "none"
    raise ConfigError(
        f"model={model} reads histories as the {n_items:,} items of the target, and no sequence of items is read so (there are: "
        f"{read}). Set features.columns.history=catalogue, history being the sequence of items of a view of histories "
        "(interactions, item_sequences, session_prefixes), with task=next_item; or choose a model for plain columns."
    )


def known_steps(batch: Batch, item_at: int) -> Batch:
    """The batch without the steps whose item is missing or unknown: the others move up, and `lengths` counts them.

    Args:
        item_at: position of the item in `sequence_ids`.
    """
    known = batch["sequence_ids"][:, :, item_at] >= FIRST_ITEM
    places = torch.arange(known.shape[1], device=known.device)
    order = torch.where(known, places, places + known.shape[1]).argsort(1).unsqueeze(2)  # the known first, either in their order
    moved = {
        name: values.gather(1, order.expand(-1, -1, values.shape[2]))
        for name, values in batch.items()
        if name in ("sequence_ids", "sequence_dense")
    }
    return {**batch, **moved, "lengths": known.sum(1)}


class Table(nn.Module):
    """Ids (…, n_ids) of several columns → the sum of their embeddings (…, dim); id 0 is a vector like any other."""

    offsets: Tensor

    def __init__(self, cardinalities: tuple[int, ...], dim: int, scale: float) -> None:
        super().__init__()
        sizes = torch.tensor(cardinalities)
        self.register_buffer("offsets", sizes.cumsum(0) - sizes, persistent=False)
        self.weight = nn.Parameter(torch.randn(int(sizes.sum()), dim) * scale)

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(ids + self.offsets, self.weight).sum(-2)


class Steps(nn.Module):
    """The other columns of the steps, and the profile: what is added to the vector of each step's item. (batch, length, dim) or
    0.

    Args:
        item: the column of the items, which is left out here, as is the column `unread`.
    """

    others: Tensor
    numbers: Tensor

    def __init__(
        self, features: FeatureSpec, item: FeatureBlock, dim: int, scale: float, attributes: bool, profile: bool, unread: str = ""
    ) -> None:
        super().__init__()
        ids = [b for b in features.blocks if attributes and b.tensor == "sequence_ids" and b != item]
        dense = [b for b in features.blocks if attributes and b.tensor == "sequence_dense" and b.column != unread]
        self.features, self.attribute_blocks, self.number_blocks = features, ids, dense
        self.register_buffer("others", torch.tensor([b.start for b in ids], dtype=torch.long), persistent=False)
        places = [place for b in dense for place in range(b.start, b.start + b.width)]
        self.register_buffer("numbers", torch.tensor(places, dtype=torch.long), persistent=False)
        self.n_attribute_ids = len(ids)
        self.of_attributes = Table(tuple(b.cardinality for b in ids), dim, scale) if ids else None
        self.of_numbers = nn.Linear(len(places), dim, bias=False) if places else None
        self.profile_numbers = nn.Linear(features.n_dense, dim, bias=False) if profile and features.n_dense else None
        self.profile_ids = Table(features.cardinalities, dim, scale) if profile and features.n_ids else None

    def axes(self, vocabularies: Mapping[str, Sequence[str]]) -> dict[str, Axis]:
        """As of `Model.axes`."""
        return {
            "of_attributes.weight": Axis(id_labels(self.attribute_blocks, vocabularies)),
            "of_numbers.weight": Axis(input_labels(self.number_blocks), dim=1),
            "profile_numbers.weight": Axis(input_labels(self.features.dense), dim=1),
            "profile_ids.weight": Axis(id_labels(self.features.ids, vocabularies)),
        }

    def attribute_ids(self, batch: Batch) -> Tensor:
        """(batch, length, n_attribute_ids)."""
        return batch["sequence_ids"][:, :, self.others]

    def forward(self, batch: Batch) -> Tensor | float:
        added = self.of_customer(batch)
        if self.of_attributes is not None:
            added = added + self.of_attributes(self.attribute_ids(batch))
        if self.of_numbers is not None:
            added = added + self.of_numbers(batch["sequence_dense"][:, :, self.numbers])
        return added

    def of_customer(self, batch: Batch) -> Tensor | float:
        """(batch, 1, dim), or 0 where there is no profile."""
        added: Tensor | float = 0.0
        if self.profile_numbers is not None:
            added = added + self.profile_numbers(batch["dense"]).unsqueeze(1)
        if self.profile_ids is not None:
            added = added + self.profile_ids(batch["ids"]).unsqueeze(1)
        return added
