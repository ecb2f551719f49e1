"""Scores of many rows, batch by batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.features.tensors import Ragged
from shopkit.models.base import Batch, Model
from shopkit.training import scores as module
from shopkit.training.scores import model_scores, score_tensor


class Sums(Model):
    """Sums of the steps; remembers how long batches were, and of how many rows."""

    def __init__(self) -> None:
        super().__init__(None, FeatureSpec((FeatureBlock("x", "identity", "sequence_dense", 0, 1, ("x",)),)), 1)
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.lengths: list[int] = []
        self.rows: list[int] = []

    def forward(self, batch: Batch) -> Tensor:
        self.lengths.append(batch["sequence_dense"].shape[1])
        self.rows.append(len(batch["sequence_dense"]))
        return batch["sequence_dense"].sum(1)


def test_rows_keep_their_places_and_the_longest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VARIED_ROWS", 7)
    lengths = np.random.default_rng(0).integers(0, 30, 100)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = np.ones((offsets[-1], 1), np.float32)
    features = {"sequence_dense": Ragged(values, offsets, np.float32), "lengths": lengths}
    model = Sums()
    np.testing.assert_array_equal(model_scores(model, features)[:, 0], lengths)
    assert len(model.lengths) > 10
    assert model.lengths == sorted(model.lengths, reverse=True)
    reduced = score_tensor(model, features, lambda scores, rows: torch.cat([scores, 2 * scores], 1))
    np.testing.assert_array_equal(reduced.detach().numpy(), np.stack([lengths, 2 * lengths], 1))


def test_no_rows_have_no_scores() -> None:
    nothing = Ragged(np.empty((0, 1), np.float32), np.zeros(1, np.int64), np.float32)
    assert model_scores(Sums(), {"sequence_dense": nothing, "lengths": np.empty(0, np.int64)}).shape == (0, 1)


def test_equal_histories_are_scored_once() -> None:
    lengths = np.repeat(np.random.default_rng(0).integers(1, 9, 50), 4)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    features = {"sequence_dense": Ragged(np.ones((offsets[-1], 1), np.float32), offsets, np.float32), "lengths": lengths}
    model = Sums()
    reduced = score_tensor(model, features, lambda scores, rows: scores + torch.from_numpy(np.asarray(rows))[:, None])
    np.testing.assert_array_equal(reduced.detach().numpy()[:, 0], lengths + np.arange(200))
    assert sum(model.rows) == len(np.unique(lengths))
