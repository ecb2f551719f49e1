"""What the estimators have in common: histories in, scores of the whole catalogue out, what was seen masked."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import onnx
import scipy.sparse as sp
import spox
import spox.opset.ai.onnx.v21 as op
from shopkit.errors import ConfigError
from shopkit.features.base import FeatureSpec
from shopkit.features.tensors import FeatureArrays, take
from shopkit.models.base import Arrays, Estimator
from shopkit.tasks.base import Task

from shopkit_recommend.models.histories import Histories, n_interactions, whole_sequences
from shopkit_recommend.models.inputs import FIRST_ITEM, item_block
from shopkit_recommend.models.seen import mask_seen_graph, mask_seen_rows, seen_in


class Recommender(Estimator):
    """Subclasses learn by `learn`, and score ids (N, T) by `of_ids`, in numpy, and by `graph`, as nodes."""

    name: ClassVar[str]
    """As it is chosen, for messages."""
    bytes_of_interaction: ClassVar[int] = 0
    """About what `learn` holds at once for each of them; 0 where that is not said. Measured by benchmarks/estimator_memory.py."""

    def __init__(self, settings: Any, features: FeatureSpec, task: Task) -> None:
        super().__init__(settings, features, task)
        self.n_items = task.n_outputs
        self.item = item_block(features, self.n_items, self.name)
        seen = seen_in(features, self.item)
        self.places = seen if settings.exclude_seen else {"sequence_ids": self.item.start}
        """Array that is read → where the ids of the items stand in its last dimension."""

    @abstractmethod
    def learn(self, sequences: Histories, train: Arrays, seed: int) -> dict[str, Any]:
        """Learn from everyone's whole sequence, each counted by its weight, and return plain facts."""

    @abstractmethod
    def of_ids(self, ids: np.ndarray) -> np.ndarray:
        """float32 (N, n_items) for the ids of steps (N, T), 0 beyond each row's length and 1 where an item is unknown."""

    @abstractmethod
    def graph(self, ids: spox.Var) -> spox.Var:
        """The same as nodes."""

    def fit(self, train: Arrays, validation: Arrays, seed: int) -> dict[str, Any]:
        sequences = whole_sequences(train, self.item, self.n_items)
        return {"interactions": len(sequences.items), "items": self.n_items, **self.learn(sequences, train, seed)}

    def holds(self, train: Arrays, validation: Arrays) -> int:
        return self.bytes_of_interaction * n_interactions(train)

    def scores(self, features: FeatureArrays) -> np.ndarray:
        read = {name: features[name] for name in self.places}
        ids = [values[:, :, self.places[name]] for name, values in take(read, slice(None)).items()]
        found = self.of_ids(ids[0])
        return mask_seen_rows(found, np.concatenate(ids, 1)) if self.settings.exclude_seen else found

    def to_onnx(self) -> onnx.ModelProto:
        shapes = self.features.shapes
        inputs = {name: spox.argument(spox.Tensor(np.int64, ("N", *shapes[name]))) for name in self.places}
        ids = [op.gather(values, op.const(np.int64(self.places[name])), axis=2) for name, values in inputs.items()]
        scores = self.graph(ids[0])
        if self.settings.exclude_seen:
            scores = mask_seen_graph(scores, op.concat(ids, axis=1))
        return spox.build(inputs, {"scores": scores})


def refuse_weights(model: str, train: Arrays) -> None:
    """
    Raises:
        ConfigError: the rows have weights, and the model looks for neighbours, of which each is one or none.
    """
    if train.weight is not None:
        raise ConfigError(
            f"model={model} takes no weights; a session is among the nearest ones or it is not, and counts once. Give examples "
            "without weights (leave view.weight empty), or choose a model that counts each row by its weight, as item_knn and "
            "sasrec do."
        )


def recency(ids: np.ndarray, decay: float) -> np.ndarray:
    """float32 (N, T): decay to the number of steps after a step; 0 where there is none, or its item is unknown."""
    after = np.maximum(_after(ids), 0)  # of padding it is negative, and the power of a long one beyond all numbers
    return np.where(ids >= FIRST_ITEM, np.float32(decay) ** after.astype(np.float32), np.float32(0))


def _after(ids: np.ndarray) -> np.ndarray:
    """int64 (N, T): steps of the row after this one. Padding is 0 at the end, and a missing item there is as good as none."""
    places = np.arange(1, ids.shape[1] + 1)
    return np.asarray(np.max(np.where(ids != 0, places, 0), axis=1, keepdims=True, initial=0) - places)


def recency_graph(ids: spox.Var, decay: float) -> spox.Var:
    """The same as nodes."""
    zero, one = op.const(np.int64(0)), op.const(np.int64(1))
    width = op.gather(op.shape(ids), one)
    places = op.range(one, op.add(width, one), one)
    last = op.reduce_max(op.where(op.equal(ids, zero), zero, places), op.const(np.array([1], np.int64)), keepdims=1)
    after = op.cast(op.max([op.sub(last, places), zero]), to=np.float32)
    known = op.greater_or_equal(ids, op.const(np.int64(FIRST_ITEM)))
    return op.where(known, op.pow(op.const(np.float32(decay)), after), op.const(np.float32(0)))


def product(ids: np.ndarray, weights: np.ndarray, matrix: sp.csr_matrix) -> np.ndarray:
    """Weights (N, T) of ids (N, T) times a matrix with a row for each id: float32 (N, n_columns)."""
    n_rows, width = ids.shape
    of_rows = sp.csr_matrix((weights.ravel(), ids.ravel(), np.arange(n_rows + 1) * width), (n_rows, matrix.shape[0]))
    of_rows.eliminate_zeros()
    of_rows.sum_duplicates()
    return np.asarray((of_rows @ matrix).todense(), np.float32)


def csr_state(matrix: sp.csr_matrix) -> dict[str, np.ndarray]:
    """A matrix as plain arrays."""
    return {
        "data": matrix.data.astype(np.float32),
        "indices": matrix.indices.astype(np.int32),
        "indptr": matrix.indptr.astype(np.int64),
        "shape": np.array(matrix.shape, np.int64),
    }


def csr_of(state: dict[str, np.ndarray]) -> sp.csr_matrix:
    """The matrix back."""
    return sp.csr_matrix((state["data"], state["indices"], state["indptr"]), tuple(state["shape"].tolist()))
