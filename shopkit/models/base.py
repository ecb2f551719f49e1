"""The contracts of a model trained by gradients and of an estimator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from shopkit.features.base import FeatureSpec
from shopkit.features.tensors import FeatureArrays, take

if TYPE_CHECKING:
    import onnx

    from shopkit.tasks.base import Task

Batch = dict[str, Tensor]
"""`dense` float32 (batch, n_dense) and `ids` int64 (batch, n_ids); a tensor of width 0 is left out. By its tags a model is given

- `features:sequences`: `sequence_dense` float32 (batch, length, n_sequence_dense), `sequence_ids` int64 (batch, length,
  n_sequence_ids) and `lengths` int64 (batch,);
- `features:tokens`: `tokens` int64 (batch, length) and `token_lengths` int64 (batch,);
- `features:bags`: `bag_ids` int64 and `bag_weights` float32 (batch, terms);
- `features:images`: `image` uint8 (batch, channels, height, width).

Rows are padded on the right with 0, to any length: padding changes no score.
"""


@dataclass(frozen=True)
class Axis:
    """What the places along one dimension of a parameter stand for, so that they can be found again in another model."""

    labels: list[str]
    """One for each place, all different; none where the places cannot be told apart, and so cannot be taken over."""
    dim: int = 0
    padded: int = -1
    """A dimension that is as wide as the widest place needs; the rest is not read."""


class Model(nn.Module, ABC):
    """Built as `Class(settings, features, n_outputs)`.

    One that reads tokens of one vocabulary only says whose in its settings' attribute `word_pieces`, in the words of
    `wordpiece.vocabulary`: `features: auto` then gives it these.
    """

    def __init__(self, settings: Any, features: FeatureSpec, n_outputs: int) -> None:
        super().__init__()
        self.settings = settings
        self.features = features
        self.n_outputs = n_outputs
        self.epoch = 0
        """The epoch that is being trained, from 0."""

    @property
    def pretrain_epochs(self) -> int:
        """How many of the first epochs `training_loss` is of something else than the target; none of them is the best."""
        return 0

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Scores: (batch, n_outputs); an ensemble may give (batch, members, n_outputs) while training."""

    def training_loss(self, batch: Batch, target: Tensor, weight: Tensor | None, task: Task) -> Tensor:
        """What a training step lowers, a scalar. Override to train on more than the target, e.g. at every step of a sequence."""
        return task.loss(self(batch), target, weight)

    def loss_size(self, batch: Batch, target: Tensor, weight: Tensor | None) -> Tensor:
        """What `training_loss` is a mean over, a scalar: the rows, or their weights. Override together with it: by this the parts
        of a batch are put together (`trainer.accumulate`)."""
        return torch.ones_like(target, dtype=torch.float32).sum() if weight is None else weight.sum()

    def marked(self, batch: Batch) -> Batch:
        """A batch of training with what is chosen of it as a whole, as a further array with a value for each row. Override for a
        loss that goes by a choice of rows: the parts of a batch keep to it (`trainer.accumulate`)."""
        return batch

    def start_from(self, bias: Tensor) -> None:
        """Set the output bias to `bias` (n_outputs,), the scores of the best constant prediction; called before training."""

    def prepare(self, train: Arrays, validation: Arrays, task: Task, seed: int) -> None:
        """Fit what is not trained by gradients; called after `start_from`, and not where training is gone on with."""

    def finish(self, validation: Arrays, task: Task) -> dict[str, Any]:
        """Fit what rests on rows that were not trained on, and return plain facts for the report; called after training, in eval
        mode, with the best weights."""
        return {}

    def axes(self, vocabularies: Mapping[str, Sequence[str]]) -> dict[str, Axis]:
        """Parameters whose places stand for columns or categories, for a warm start (`init_from`); the others are taken whole.

        Args:
            vocabularies: column → its categories, from id 2 on.
        """
        return {}

    def for_export(self) -> nn.Module:
        """The module that `to_onnx` traces, in eval mode: override to fold what need not be computed for each row."""
        return self

    def encoders(self) -> dict[str, Model]:
        """Parts that answer alone, for exporters that write them beside the file: name → a model of the same batches."""
        return {}

    def entries(self) -> dict[str, nn.Module]:
        """Array of whole numbers in the batch → the submodule whose output stands for it, (batch, its own dimensions, …), float,
        called once for each batch: what attributions of that array go by. Arrays of float32 need none."""
        return {}

    def attention(self, batch: Batch) -> Tensor | None:
        """How much the answer looks at each token, (batch, length), rows that sum to 1; None for a model without attention."""
        return None

    def step_attention(self, batch: Batch) -> Tensor | None:
        """The same of each step of the sequences, (batch, length)."""
        return None

    def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Optimiser groups; override to decay or scale some parameters differently."""
        return [{"params": list(self.parameters()), "lr": lr, "weight_decay": weight_decay}]


@dataclass(frozen=True)
class Arrays:
    """One part of the examples as features and target, in memory or memory-mapped."""

    features: FeatureArrays
    """As in `Batch`; what varies in length is `Ragged`, and padded where it is sliced."""
    target: np.ndarray
    """float32 or int64 (N,), as the task encodes it."""
    weight: np.ndarray | None = None
    """float32 (N,)."""
    groups: np.ndarray | None = None
    """int64 (N,): the group a row belongs to, or the decision of its group, for tasks that measure within groups."""
    times: np.ndarray | None = None
    """int64 (N,): the time of a row, seconds UTC, for estimators that let the recent count more. Rows are in order of time."""

    def __len__(self) -> int:
        return len(self.target)

    def tensors(self, rows: slice | np.ndarray = slice(None)) -> Batch:
        """Those rows as a batch."""
        return {name: torch.from_numpy(values) for name, values in take(self.features, rows).items()}


class Estimator(ABC):
    """A model that is not trained by the Learner. Built as `Class(settings, features, task)`."""

    def __init__(self, settings: Any, features: FeatureSpec, task: Task) -> None:
        self.settings = settings
        self.features = features
        self.task = task

    @abstractmethod
    def fit(self, train: Arrays, validation: Arrays, seed: int) -> dict[str, Any]:
        """Fit, and return plain facts for the report (iterations, loss, …). Rows count by `train.weight`, where they have any.

        Raises:
            ConfigError: they have, and weights have no meaning here.
        """

    def holds(self, train: Arrays, validation: Arrays) -> int:
        """About how many bytes `fit` will hold at once, as far as they grow with the rows; 0 for one that does not say. A run
        warns where they are more than its `memory`."""
        return 0

    @abstractmethod
    def scores(self, features: FeatureArrays) -> np.ndarray:
        """float32 (N, n_outputs): what the exported graph must answer."""

    def contributions(self, features: FeatureArrays, direction: np.ndarray) -> dict[str, np.ndarray] | None:
        """What each place of each array adds to Σ direction · scores, exactly, beside a row whose numbers and ids are all 0:
        array → float, of its shape (of a bag, under `bag_weights`). None for one whose scores are no such sum.

        Args:
            direction: float64 (N, n_outputs).
        """
        return None

    @abstractmethod
    def to_onnx(self) -> onnx.ModelProto:
        """A graph with the arrays it reads as inputs, `dense` (N, n_dense), `ids` (N, n_ids), …, and `scores` (N, n_outputs)."""

    @abstractmethod
    def state(self) -> dict[str, np.ndarray]:
        """Everything learnt, as plain arrays (never a pickle)."""

    @abstractmethod
    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Take back what `state` gave."""
