"""What the networks have in common: items as inputs and outputs, training at every step of every history, masking what was
seen."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from shopkit.features.base import FeatureSpec
from shopkit.models.base import Arrays, Axis, Batch, Model
from shopkit.models.labels import id_labels
from shopkit.tasks.base import Task
from torch import Tensor, nn

from shopkit_recommend.models.histories import whole_sequences
from shopkit_recommend.models.inputs import FIRST_ITEM, UNKNOWN, Steps, item_block, known_steps
from shopkit_recommend.models.item_graph import ItemGraph
from shopkit_recommend.models.losses import bpr, fast_dtype, full_softmax, gbce, sampled_logits, sampled_softmax
from shopkit_recommend.models.network_settings import LossSettings, NetworkSettings
from shopkit_recommend.models.packed import NextSteps, next_steps
from shopkit_recommend.models.seen import mask_seen, seen_in

BEGINNERS = 16
"""Rows of a batch on whose first item the state of a customer without history is trained: few, as it is nearly one state."""
BEGINS = "begins"
"""Array of a batch that marks them."""
INITIAL = 0.02
"""Standard deviation of vectors at the start."""


class Network(Model):
    """Scores (batch, n_items): the state after the last step times each item's vector. Items are rows of one table, read and
    scored alike (Press & Wolf 2017)."""

    settings: NetworkSettings
    columns: Tensor | None = None
    """In an exported network, the items' vectors as they are multiplied, (dim, n_items)."""
    of_step: Tensor | None = None
    """In a step of training, the table, which is read and scored."""

    def __init__(self, settings: Any, features: FeatureSpec, n_outputs: int, name: str, unread: str = "") -> None:
        super().__init__(settings, features, n_outputs)
        item, dim = item_block(features, n_outputs, name), settings.dim
        self.item, self.item_at = item, item.start
        self.seen_in = seen_in(features, item)
        self.items = nn.Parameter(torch.randn(n_outputs + FIRST_ITEM, dim) * INITIAL)
        self.graph: ItemGraph | None = None
        if settings.graph_neighbours:
            self.graph = ItemGraph(len(self.items), settings.graph_neighbours, settings.graph_weight, settings.cosine_scale > 0)
        self.steps = Steps(features, item, dim, INITIAL, settings.attributes, settings.profile, unread)
        self.nothing = nn.Parameter(torch.zeros(dim))
        """The state before the first step."""
        self.dropout = nn.Dropout(settings.dropout)

    def prepare(self, train: Arrays, validation: Arrays, task: Task, seed: int) -> None:
        if self.graph is not None:
            self.graph.look_at(whole_sequences(train, self.item, self.n_outputs))

    @property
    def table(self) -> Tensor:
        """The vectors of all ids of items, (2 + n_items, dim)."""
        if self.of_step is not None:
            return self.of_step
        return self.items if self.graph is None else self.graph(self.items)

    def axes(self, vocabularies: Mapping[str, Sequence[str]]) -> dict[str, Axis]:
        of_steps = {f"steps.{name}": axis for name, axis in self.steps.axes(vocabularies).items()}
        of_graph = {} if self.graph is None else {f"graph.{name}": Axis([]) for name in self.graph.state_dict()}  # counted anew
        return {"items": Axis(id_labels([self.item], vocabularies)), **of_steps, **of_graph}

    @abstractmethod
    def states(self, batch: Batch) -> Tensor:
        """The state after each step, (batch, length, dim); what stands at padding means nothing."""

    def last_state(self, batch: Batch) -> Tensor:
        """The state after the last step, (batch, dim); of a row without steps it means nothing."""
        return at(self.states(batch), batch["lengths"] - 1)

    def item_vectors(self) -> Tensor:
        """What states are multiplied by, (n_items, dim)."""
        return self._of_unit_length(self.table[FIRST_ITEM:])

    def told(self, batch: Batch) -> Batch:
        """The batch with those steps only that say something. An unknown item, of which no network has learnt anything, does so
        by its attributes, where items have any."""
        return known_steps(batch, self.item_at) if self.steps.of_attributes is None else batch

    def read(self, batch: Batch) -> Tensor:
        """Items and what is beside them, (batch, length, dim)."""
        ids = batch["sequence_ids"][:, :, self.item_at]
        x = self._of_unit_length(F.embedding(ids, self.table))
        if self.steps.of_attributes is not None:
            # The vector of unknown items is read nowhere in training: their attributes speak alone.
            x = x.masked_fill((ids == UNKNOWN).unsqueeze(2), 0.0)
        read: Tensor = x * self.settings.dim**0.5 + self.steps(batch)
        return read

    def beginner(self, batch: Batch) -> Tensor:
        """The state of the rows before their first step, (batch, dim), or (1, dim) where customers have no profile."""
        state = self.nothing + self.steps.of_customer(batch)
        return state.reshape(-1, self.settings.dim)

    def forward(self, batch: Batch) -> Tensor:
        told = self.told(batch)
        state = torch.where((told["lengths"] > 0).unsqueeze(1), self.last_state(told), self.beginner(told))
        scores = self.scaled(state) @ (self.item_vectors().T if self.columns is None else self.columns)
        if self.settings.exclude_seen and not self.training:
            return mask_seen(scores, torch.cat([batch[name][:, :, at] for name, at in self.seen_in.items()], 1))
        return scores

    def for_export(self) -> nn.Module:
        """With the items' vectors as a constant of the graph, where they are not rows of the table that is there already."""
        exported = copy.deepcopy(self)
        with torch.no_grad():
            if exported.graph is not None:
                exported.items, exported.graph = nn.Parameter(exported.table), None
            vectors = exported.item_vectors()
            if vectors.data_ptr() != exported.items[FIRST_ITEM:].data_ptr():
                exported.columns = vectors.T.contiguous()
        return exported

    def marked(self, batch: Batch) -> Batch:
        """With the rows on whose first item the state before it is trained, bool (batch,)."""
        lengths = batch["lengths"]
        return batch if BEGINS in batch else {**batch, BEGINS: torch.arange(len(lengths), device=lengths.device) < BEGINNERS}

    def training_loss(self, batch: Batch, target: Tensor, weight: Tensor | None, task: Task) -> Tensor:
        batch = self.told(self.marked(batch))
        steps, begins = self._steps_of(batch, target, weight)
        beginners = self.beginner(batch).expand(len(target), -1)[begins]
        self.of_step = None if self.graph is None else self.table
        hidden, vectors = torch.cat([self.states(batch)[steps.real], beginners]), self.item_vectors()
        self.of_step = None
        return catalogue_loss(self.scaled(hidden), vectors, steps, self.settings.loss)

    def loss_size(self, batch: Batch, target: Tensor, weight: Tensor | None) -> Tensor:
        return self._steps_of(self.told(self.marked(batch)), target, weight)[0].weight.sum()

    def _steps_of(self, batch: Batch, target: Tensor, weight: Tensor | None) -> tuple[NextSteps, Tensor]:
        """What the loss is a mean over: every step whose next item is known, then the first items of the rows that are marked;
        and which of the rows these are, bool (batch,)."""
        ids, loss = batch["sequence_ids"][:, :, self.item_at], self.settings.loss
        after = next_steps(ids, batch["lengths"], target, weight, loss.recency_weight, loss.repeat_weight)
        first = torch.where(batch["lengths"] > 0, ids[:, 0], target + FIRST_ITEM)
        begins = batch[BEGINS] & (first >= FIRST_ITEM)
        first = first[begins] - FIRST_ITEM
        of_first = torch.ones_like(first, dtype=after.weight.dtype) if weight is None else weight[begins]
        return NextSteps(after.real, torch.cat([after.item, first]), torch.cat([after.weight, of_first])), begins

    def scaled(self, state: Tensor) -> Tensor:
        """What items are multiplied by: the state itself, or in its direction and of the length `cosine_scale`."""
        scale = self.settings.cosine_scale
        return self._of_unit_length(state) * scale if scale else state

    def _of_unit_length(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors, dim=-1) if self.settings.cosine_scale else vectors


def at(states: Tensor, place: Tensor) -> Tensor:
    """(batch, length, dim) and a place of each row, (batch,), 0 if below → (batch, dim)."""
    index = place.clamp(min=0)[:, None, None].expand(place.shape[0], 1, states.shape[2])
    return states.gather(1, index).squeeze(1)


def catalogue_loss(hidden: Tensor, items: Tensor, steps: NextSteps, settings: LossSettings) -> Tensor:
    """The loss of states (steps, dim) against all items (n_items, dim)."""
    hidden = hidden.to(items.dtype)
    if settings.name == "softmax":
        return full_softmax(hidden, items, steps.item, steps.weight, fast_dtype(settings.precision, items))
    right, wrong = sampled_logits(hidden, items, steps.item, settings.negatives)
    if settings.name == "sampled_softmax":
        return sampled_softmax(right, wrong, steps.weight, len(items))
    if settings.name == "gbce":
        return gbce(right, wrong, steps.weight, len(items), settings.calibration)
    return bpr(right, wrong, steps.weight)
