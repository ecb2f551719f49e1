"""Fitting: early stopping, weights, tasks of other kinds, state, determinism."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import make
from shopkit.models.base import Arrays
from shopkit.tasks.binary import Binary
from test_parity import MODELS, assert_parity, fitted

from shopkit_gbdt import objectives
from shopkit_gbdt.gbdt import Gbdt
from shopkit_gbdt.monitor import Monitor
from shopkit_gbdt.settings import GbdtSettings


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_early_stopping_keeps_the_best_round_by_the_tasks_metric(kind: str) -> None:
    made = make(kind, n=500)
    estimator = Gbdt(GbdtSettings(n_trees=200, learning_rate=0.3, early_stopping_rounds=10), made.features, made.task)
    facts = estimator.fit(made.train, made.validation, 0)
    assert facts["best_iteration"] + 10 == facts["iterations"] < 200
    assert len(estimator.forest.roots) == facts["best_iteration"] * made.task.n_outputs
    monitor = Monitor(made.task, made.validation)
    assert monitor.name == made.task.monitor.name
    found = monitor(estimator.scores(made.validation.features))
    assert found == pytest.approx(facts[f"validation_{monitor.name}"], abs=1e-5)


def test_hist_gbdt_keeps_the_best_round() -> None:
    made = make("regression", n=500)
    model_class, settings_class = MODELS["hist_gbdt"]
    estimator = model_class(settings_class(n_trees=60, learning_rate=0.3), made.features, made.task)
    facts = estimator.fit(made.train, made.validation, 0)
    assert facts["best_iteration"] < facts["iterations"] == 60
    found = Monitor(made.task, made.validation)(estimator.scores(made.validation.features))
    assert found == pytest.approx(facts["validation_rmse"], rel=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_no_validation_rows(model: str) -> None:
    made = make("binary", n=300)
    nothing = Arrays({name: values[:0] for name, values in made.train.features.items()}, made.train.target[:0])
    made.validation = nothing
    estimator = fitted(model, made)
    assert len(estimator.forest.roots) == 25
    assert estimator.scores(nothing.features).shape == (0, 1)


def test_metric_that_cannot_be_told_gives_way_to_the_loss() -> None:
    made = make("binary", n=400)
    rows = made.validation.target == 1
    made.validation = Arrays({k: v[rows] for k, v in made.validation.features.items()}, made.validation.target[rows])
    assert Monitor(made.task, made.validation).name == "loss"
    estimator = Gbdt(GbdtSettings(n_trees=5), made.features, made.task)
    assert "validation_loss" in estimator.fit(made.train, made.validation, 0)


@pytest.mark.parametrize("model", MODELS)
def test_state_round_trip(model: str) -> None:
    made = make("multiclass")
    estimator = fitted(model, made)
    state = estimator.state()
    assert all(values.dtype.kind in "uifb" for values in state.values())
    model_class, settings_class = MODELS[model]
    again = model_class(settings_class(), made.features, made.task)
    again.load_state(state)
    features = made.validation.features
    np.testing.assert_array_equal(again.scores(features), estimator.scores(features))
    assert again.to_onnx().SerializeToString() == estimator.to_onnx().SerializeToString()


@pytest.mark.parametrize("model", MODELS)
def test_same_seed_same_bytes(model: str) -> None:
    made = make("binary", n=500)
    first, second = (fitted(model, made, seed=3, column_share=0.6).to_onnx().SerializeToString() for _ in range(2))
    assert first == second


def test_threads_do_not_matter() -> None:
    made = make("binary", n=800)
    one, two = (fitted("gbdt", made, n_threads=n, n_trees=4).to_onnx().SerializeToString() for n in (1, 2))
    assert one == two


def test_class_and_sample_weights() -> None:
    made = make("binary", weighted=True, class_weights="balanced")
    weight = objectives.known(made.task).weight(made.train)
    of_class = np.array(made.task.state["loss_weights"])[made.train.target.astype(int)]
    np.testing.assert_allclose(weight, made.train.weight * of_class)


def test_own_objective_is_the_tasks_loss() -> None:
    """The derivatives used for unknown tasks equal LightGBM's closed form on a known one."""
    made = make("binary", weighted=True, positive_weight=3.0)
    scores = np.random.default_rng(0).normal(size=(len(made.train), 1))
    gradient, curvature = objectives.derivatives(made.task, scores, made.train)
    weight = objectives.known(made.task).weight(made.train)[:, None]
    p, y = 1 / (1 + np.exp(-scores)), made.train.target[:, None]
    np.testing.assert_allclose(gradient, (p - y) * weight, atol=1e-9)
    np.testing.assert_allclose(curvature, p * (1 - p) * weight, atol=1e-6)


class Hinge(Binary):
    """A third party's task: a loss without curvature."""

    def loss(self, scores: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        losses = torch.relu(1 - scores.squeeze(-1) * (2 * target - 1))
        return losses.mean() if weight is None else (losses * weight).sum() / weight.sum()


@pytest.mark.parametrize("changed", ["focal", "smoothing", "subclass"])
def test_tasks_that_lightgbm_does_not_know(changed: str) -> None:
    made = make(
        "binary",
        **{"focal": {"focal_gamma": 2.0}, "smoothing": {"label_smoothing": 0.1}, "subclass": {}}[changed],
    )
    if changed == "subclass":
        state, made.task = made.task.state, Hinge(made.task.settings)
        made.task.state = state
    assert objectives.known(made.task) is None
    estimator = fitted("gbdt", made)
    assert_parity(estimator, made.validation.features)
    before = made.task.loss(torch.zeros(len(made.train), 1), torch.from_numpy(made.train.target), None)
    after = made.task.loss(torch.from_numpy(estimator.scores(made.train.features)), torch.from_numpy(made.train.target), None)
    assert after < 0.9 * before


def test_smoothed_multiclass() -> None:
    made = make("multiclass", label_smoothing=0.1)
    assert objectives.known(made.task) is None
    assert_parity(fitted("gbdt", made), made.validation.features)


def test_no_split_is_worth_it() -> None:
    made = make("regression", n=60, n_dense=1, cardinalities=())
    estimator = fitted("gbdt", made, min_leaf_rows=1000)
    assert_parity(estimator, made.validation.features)
    np.testing.assert_allclose(estimator.scores(made.validation.features), made.task.state["initial"], atol=1e-6)
