"""Shares of a score: they add up, and are those of captum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shopkit.evaluation.attributions import explainer, integrated_gradients
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.base import Batch, Model
from shopkit.models.lstm import LSTM
from shopkit.models.mlp import MLP
from shopkit.models.settings import LSTMSettings, MLPSettings

N_OUTPUTS = 3


class Reader(Model):
    """Words and two numbers: smooth, so that the integral is exact to many digits."""

    def __init__(self, reads_twice: bool = False) -> None:
        torch.manual_seed(0)
        super().__init__(None, FeatureSpec(()), N_OUTPUTS)
        self.embedding = nn.Embedding(9, 4)
        self.numbers = nn.Linear(2, 4)
        self.output = nn.Linear(4, N_OUTPUTS)
        self.reads_twice = reads_twice

    def forward(self, batch: Batch) -> Tensor:
        x = torch.tanh(self.embedding(batch["tokens"])) + torch.tanh(self.numbers(batch["dense"])).unsqueeze(1)
        if self.reads_twice:
            x = x + self.embedding(batch["tokens"])
        inside = torch.arange(x.shape[1]) < batch["token_lengths"].unsqueeze(1)
        scores: Tensor = self.output(torch.sigmoid(3 * x * inside.unsqueeze(2)).prod(1))
        return scores

    def entries(self) -> dict[str, nn.Module]:
        return {"tokens": self.embedding}


@pytest.fixture
def batch() -> Batch:
    tokens = torch.tensor([[3, 4, 5, 8], [6, 7, 0, 0]])
    return {"tokens": tokens, "token_lengths": torch.tensor([4, 2]), "dense": torch.tensor([[0.5, -2.0], [1.0, 0.0]])}


def nothing(batch: Batch) -> Batch:
    return {name: torch.zeros_like(values) for name, values in batch.items() if "lengths" not in name}


DIRECTION = torch.tensor([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


def test_shares_add_up_to_the_difference_of_the_scores(batch):
    model = Reader()
    found = integrated_gradients(model, batch, nothing(batch), DIRECTION, tolerance=1e-5)
    assert {name: values.shape for name, values in found.places.items()} == {"tokens": (2, 4), "dense": (2, 2)}
    np.testing.assert_allclose(found.score, (model(batch) * DIRECTION).sum(1).detach(), rtol=1e-6)
    assert found.gap.max() < 1e-5
    np.testing.assert_array_equal(found.places["tokens"][1, 2:], 0)
    assert abs(found.score - found.reference).min() > 0.01


def test_shares_are_those_of_captum(batch):
    captum = pytest.importorskip("captum.attr")
    model = Reader()
    for row, target in ((0, 0), (1, 1)):
        one = {name: values[row : row + 1] for name, values in batch.items()}
        direction = torch.eye(N_OUTPUTS)[[target]]
        found = integrated_gradients(model, one, {"tokens": torch.zeros_like(one["tokens"])}, direction, tolerance=1e-6)

        def forward(tokens: Tensor, one: Batch = one) -> Any:
            return model({**one, "tokens": tokens})

        method = captum.LayerIntegratedGradients(forward, model.embedding)
        zeros = torch.zeros_like(one["tokens"])
        expected = method.attribute(one["tokens"], baselines=zeros, target=target, n_steps=200).sum(-1)
        # Captum leaves the numbers as they are.
        mine = integrated_gradients(model, one, {"tokens": zeros, "dense": one["dense"]}, direction, tolerance=1e-6)
        np.testing.assert_allclose(mine.places["tokens"], expected.detach().numpy(), atol=1e-5)
        np.testing.assert_array_equal(mine.places["dense"], 0)
        assert found.gap.max() < 1e-4


def test_what_has_no_entry_stays_as_it_is(batch):
    model = Reader()
    model.entries = dict  # type: ignore[method-assign]
    found = integrated_gradients(model, batch, nothing(batch), DIRECTION)
    assert set(found.places) == {"dense"}
    assert found.gap.max() < 0.05


def test_a_module_that_is_called_twice_is_no_entry(batch):
    with pytest.raises(TypeError, match=r"Reader\.entries: the module of 'tokens' was called 2 times for one batch"):
        integrated_gradients(Reader(reads_twice=True), batch, nothing(batch), DIRECTION)


def test_the_model_is_left_as_it_was(batch):
    model = Reader().train()
    model.output.weight.requires_grad_(False)
    integrated_gradients(model, batch, nothing(batch), DIRECTION)
    assert model.training
    assert [name for name, values in model.named_parameters() if not values.requires_grad] == ["output.weight"]
    assert all(values.grad is None for values in model.parameters())
    assert not model.embedding._forward_hooks


SPEC = FeatureSpec(
    (
        FeatureBlock("age", "standardize", "dense", 0, 1, ("age",)),
        FeatureBlock("shop", "vocabulary", "ids", 0, 1, ("shop",), 5),
        FeatureBlock("spent", "log1p", "sequence_dense", 0, 1, ("spent",)),
        FeatureBlock("item", "vocabulary", "sequence_ids", 0, 1, ("item",), 7),
        FeatureBlock("place", "vocabulary", "sequence_ids", 1, 1, ("place",), 4),
    )
)


@pytest.mark.parametrize("pooling", ["last", "attention"])
@pytest.mark.parametrize("static", [True, False])
def test_steps_of_the_recurrent_network(pooling, static):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = LSTM(LSTMSettings(hidden_dim=6, pooling=pooling, static=static, head=MLPSettings(activation="silu")), SPEC, 1)
    lengths = np.array([4, 2, 0])
    inside = (np.arange(4) < lengths[:, None])[..., None]
    arrays = {
        "dense": rng.normal(size=(3, 1)).astype(np.float32),
        "ids": np.array([[1], [2], [4]]),
        "sequence_dense": (rng.normal(size=(3, 4, 1)) * inside).astype(np.float32),
        "sequence_ids": rng.integers(1, 4, (3, 4, 2)) * inside,
        "lengths": lengths,
    }
    method, explain, look = explainer(model)
    blank = {name: np.zeros_like(values) for name, values in arrays.items() if name != "lengths"}
    found = explain(arrays, blank, np.ones((3, 1)))
    assert method == "integrated gradients"
    looks = look(arrays)
    if pooling == "attention":
        assert set(looks) == {"steps"}
        np.testing.assert_allclose(looks["steps"].sum(1), 1)
        assert (looks["steps"][:2] > 0).tolist() == [[True] * 4, [True, True, False, False]]
    else:
        assert looks == {}
    assert found is not None
    assert found.gap.max() < 0.05
    assert found.places["sequence_ids"].shape == (3, 4, 2)
    for name in ("sequence_ids", "sequence_dense"):
        np.testing.assert_array_equal(found.places[name][~inside[..., 0]], 0)
    assert ("ids" in found.places) == static


def test_ids_of_the_perceptron():
    torch.manual_seed(0)
    plain = FeatureSpec(SPEC.blocks[:2])
    model = MLP(MLPSettings(activation="silu"), plain, N_OUTPUTS)
    arrays = {"dense": np.array([[2.0], [-1.0]], np.float32), "ids": np.array([[3], [0]])}
    found = explainer(model)[1](arrays, {name: np.zeros_like(values) for name, values in arrays.items()}, DIRECTION.numpy())
    assert found is not None
    assert found.gap.max() < 0.05
    assert found.places["ids"][0, 0] != 0
    assert found.places["ids"][1, 0] == 0
