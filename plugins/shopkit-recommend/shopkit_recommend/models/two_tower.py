"""A tower for the customer and one for the item, which meet in a cosine.

Yi et al.: Sampling-bias-corrected neural modeling for large corpus item recommendations (2019); Covington, Adams, Sargin: Deep
neural networks for YouTube recommendations (2016) for the averaged history; Volkovs, Yu, Poutanen: DropoutNet (2017) for new
items.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from shopkit.features.base import FeatureSpec
from shopkit.models.base import Arrays, Axis, Batch, Model
from shopkit.tasks.base import Task
from torch import Tensor, nn

from shopkit_recommend.models.averages import DecayedAverage
from shopkit_recommend.models.histories import attributes_of_items
from shopkit_recommend.models.inputs import FIRST_ITEM, UNKNOWN
from shopkit_recommend.models.network import Network, at
from shopkit_recommend.models.network_settings import TwoTowerSettings


class TwoTower(Network):
    """Scores: the state of the customer times the vector of each item.

    The customer's tower reads an average of the history, its last item, and the profile. The item's tower adds the vector of the
    item itself and those of its attributes: of each of the steps' other columns of ids, what stands beside the item most often in
    the training part. Where an item is not known, the vector of all unknown ones stands for it, and its attributes tell it apart.
    """

    settings: TwoTowerSettings
    attributes_of: Tensor

    def __init__(self, settings: TwoTowerSettings, features: FeatureSpec, n_outputs: int) -> None:
        super().__init__(settings, features, n_outputs, "two_tower")
        dim = settings.dim
        self.average = DecayedAverage(settings.decay, math.gcd(4, dim))
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise([2 * dim, *settings.hidden]):
            layers += [nn.Linear(n_in, n_out), nn.GELU(), nn.Dropout(settings.dropout)]
        self.tower = nn.Sequential(*layers, nn.Linear([2 * dim, *settings.hidden][-1], dim))
        self.register_buffer("attributes_of", torch.zeros(n_outputs + FIRST_ITEM, self.steps.n_attribute_ids, dtype=torch.long))

    def prepare(self, train: Arrays, validation: Arrays, task: Task, seed: int) -> None:
        super().prepare(train, validation, task, seed)
        if self.steps.n_attribute_ids:
            self.attributes_of = torch.from_numpy(attributes_of_items(train, self.item, self.steps.attribute_blocks))

    def axes(self, vocabularies: Mapping[str, Sequence[str]]) -> dict[str, Axis]:
        # Attributes of items are read off the steps of these rows.
        return {**super().axes(vocabularies), "attributes_of": Axis([])}

    def item_vectors(self) -> Tensor:
        known = self.table[FIRST_ITEM:]
        if self.steps.of_attributes is not None:
            if self.training and self.settings.item_dropout:
                dropped = torch.rand(len(known), 1, device=known.device) < self.settings.item_dropout
                known = torch.where(dropped, self.table[UNKNOWN], known)
            known = known + self.steps.of_attributes(self.attributes_of[FIRST_ITEM:])
        return self._of_unit_length(known)

    def encode_items(self, batch: Batch) -> Tensor:
        """The item's tower on the first step of each row, (batch, dim): vectors as of `item_vectors`, also of new items."""
        own = F.embedding(batch["sequence_ids"][:, 0, self.item_at], self.table)
        if self.steps.of_attributes is not None:
            own = own + self.steps.of_attributes(self.steps.attribute_ids(batch)[:, 0])
        return self._of_unit_length(own)

    def encoders(self) -> dict[str, Model]:
        return {"items": ItemTower(self)} if self.steps.n_attribute_ids else {}

    def states(self, batch: Batch) -> Tensor:
        x = self.dropout(self.read(batch))
        return self._customer(self.average(x, torch.arange(x.shape[1], device=x.device).unsqueeze(0)), x)

    def last_state(self, batch: Batch) -> Tensor:
        x, last = self.dropout(self.read(batch)), batch["lengths"] - 1
        return self._customer(self.average(x, last.unsqueeze(1)).squeeze(1), at(x, last))

    def _customer(self, average: Tensor, newest: Tensor) -> Tensor:
        state: Tensor = average + newest + self.tower(torch.cat([average, newest], -1))
        return state


class ItemTower(Model):
    """The item's tower alone: the first step of each row → its vector, (batch, dim)."""

    def __init__(self, whole: TwoTower) -> None:
        super().__init__(whole.settings, whole.features, whole.settings.dim)
        self.whole = whole

    def forward(self, batch: Batch) -> Tensor:
        return self.whole.encode_items(batch)

    def for_export(self) -> nn.Module:
        whole = self.whole.for_export()
        assert isinstance(whole, TwoTower)
        return ItemTower(whole)
