"""Linear models against scikit-learn, which fits the same objective."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from shopkit.errors import ConfigError
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models import linear
from shopkit.models.base import Arrays
from shopkit.models.linear import Linear
from shopkit.models.settings import LinearSettings
from shopkit.tasks.binary import Binary
from shopkit.tasks.multiclass import Multiclass
from shopkit.tasks.regression import Regression
from shopkit.tasks.settings import BinarySettings, MulticlassSettings, RegressionSettings

N = 400
RANDOM = np.random.default_rng(0)
# Scales that differ ten-thousandfold, as raw amounts do.
X = (RANDOM.standard_normal((N, 3)) * [1, 100, 0.01] + [0, 50, 0]).astype(np.float32)
IDS = RANDOM.integers(0, 4, (N, 2))
SIGNAL = X[:, 0] + X[:, 1] / 100 - X[:, 2] * 100 + (IDS[:, 0] == 2) + RANDOM.standard_normal(N)
DENSE = FeatureSpec(tuple(FeatureBlock(f"x{i}", "identity", "dense", i, 1, (f"x{i}",)) for i in range(3)))
BOTH = FeatureSpec((*DENSE.blocks, *(FeatureBlock(f"c{i}", "vocabulary", "ids", i, 1, (f"c{i}",), 4) for i in range(2))))


def binary() -> tuple[Binary, np.ndarray]:
    task, target = Binary(BinarySettings()), (SIGNAL > 1).astype(np.float64)
    task.fit_target(target)
    return task, task.encode(target)


def fitted(task, features, columns, target, weight=None, **settings) -> Linear:
    train = Arrays(columns, target, weight)
    model = Linear(LinearSettings(**settings), features, task)
    facts = model.fit(train, Arrays({name: values[:50] for name, values in columns.items()}, target[:50]), seed=0)
    assert facts["largest_gradient"] < 1e-4
    assert np.isfinite(facts["validation_loss"])
    return model


def test_the_penalty_that_validates_best_is_taken():
    task, target = binary()
    random = np.random.default_rng(1)
    noise = random.standard_normal((N, 60)).astype(np.float32)
    features = FeatureSpec((FeatureBlock("x", "identity", "dense", 0, 60, tuple(f"x{i}" for i in range(60))),))
    rows = np.arange(N) < 100
    train, held_out = (Arrays({"dense": noise[part]}, target[part]) for part in (rows, ~rows))
    model = Linear(LinearSettings(), features, task)
    facts = model.fit(train, held_out, seed=0)
    tried = {l2: Linear(LinearSettings(l2=l2), features, task) for l2 in linear.STRENGTHS}
    auroc = {}
    for l2, other in tried.items():
        other.fit(train, held_out, seed=0)
        scores = torch.from_numpy(other.scores(held_out.features))
        auroc[l2] = task.validation_metrics(scores, torch.from_numpy(held_out.target), None)["auroc"]
    assert facts["l2"] == max(auroc, key=auroc.__getitem__)
    np.testing.assert_allclose(model.scores(held_out.features), tried[facts["l2"]].scores(held_out.features), atol=1e-3)


def test_where_validation_rows_are_of_one_class_the_loss_decides():
    """AUROC is not defined there: the strongest penalty would stay the best."""
    task, target = binary()
    positives = np.flatnonzero(target == 1)[:50]
    columns, held_out = {"dense": X}, Arrays({"dense": X[positives]}, target[positives])
    facts = Linear(LinearSettings(), DENSE, task).fit(Arrays(columns, target), held_out, seed=0)
    tried = {l2: Linear(LinearSettings(l2=l2), DENSE, task) for l2 in linear.STRENGTHS}
    losses = {l2: other.fit(Arrays(columns, target), held_out, seed=0)["validation_loss"] for l2, other in tried.items()}
    assert facts["l2"] == min(losses, key=losses.__getitem__) != linear.STRENGTHS[0]


def test_without_a_validation_part_the_weakest_penalty_is_taken():
    task, target = binary()
    model = Linear(LinearSettings(), DENSE, task)
    facts = model.fit(Arrays({"dense": X}, target), Arrays({"dense": X[:0]}, target[:0]), seed=0)
    assert facts["l2"] == 1.0
    assert "validation_loss" not in facts


@pytest.mark.parametrize("l2", [0.1, 1.0, 10.0])
def test_logistic_regression_equals_scikit_learn(l2):
    task, target = binary()
    model = fitted(task, DENSE, {"dense": X}, target, l2=l2)
    reference = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=10_000, solver="newton-cholesky").fit(
        X.astype(np.float64), target
    )
    np.testing.assert_allclose(model.scores({"dense": X})[:, 0], reference.decision_function(X), atol=2e-3)


def test_ids_are_one_hot_columns():
    task, target = binary()
    model = fitted(task, BOTH, {"dense": X, "ids": IDS}, target, l2=1.0)
    one_hot = np.hstack([X, np.eye(4)[IDS[:, 0]], np.eye(4)[IDS[:, 1]]])
    reference = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000, solver="newton-cholesky").fit(one_hot, target)
    np.testing.assert_allclose(model.scores({"dense": X, "ids": IDS})[:, 0], reference.decision_function(one_hot), atol=2e-3)


def test_weighted_rows_count_as_repeated_ones():
    task, target = binary()
    times = RANDOM.integers(1, 4, N)
    weighted = fitted(task, DENSE, {"dense": X}, target, times.astype(np.float32), l2=0.0)
    repeated = fitted(task, DENSE, {"dense": np.repeat(X, times, 0)}, np.repeat(target, times), l2=0.0)
    np.testing.assert_allclose(weighted.scores({"dense": X}), repeated.scores({"dense": X}), atol=2e-3)


def test_softmax_regression_equals_scikit_learn():
    task, target = Multiclass(MulticlassSettings()), np.digitize(SIGNAL, [0, 2]).astype(np.float64)
    task.fit_target(target)
    model = fitted(task, DENSE, {"dense": X}, task.encode(target), l2=1.0)
    reference = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(X / X.std(0), target)
    free = fitted(task, DENSE, {"dense": (X / X.std(0)).astype(np.float32)}, task.encode(target), l2=1.0)
    scores, expected = free.scores({"dense": (X / X.std(0)).astype(np.float32)}), reference.decision_function(X / X.std(0))
    np.testing.assert_allclose(scores - scores.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=5e-3)
    assert model.scores({"dense": X}).shape == (N, 3)


def test_linear_regression_equals_ridge():
    task = Regression(RegressionSettings(target_scale="none"))
    task.fit_target(SIGNAL)
    target = task.encode(SIGNAL)
    model = fitted(task, DENSE, {"dense": X}, target, l2=0.0)
    reference = Ridge(alpha=0.0).fit(X.astype(np.float64), target)
    np.testing.assert_allclose(model.scores({"dense": X})[:, 0], reference.predict(X), atol=1e-3)


def test_rows_in_chunks_give_the_same_fit(monkeypatch):
    task, target = binary()
    columns = {"dense": X, "ids": IDS}
    whole = fitted(task, BOTH, columns, target)
    monkeypatch.setattr(linear, "CHUNK_ROWS", 64)
    chunked = fitted(task, BOTH, columns, target)
    np.testing.assert_allclose(chunked.scores(columns), whole.scores(columns), atol=1e-3)


def test_a_constant_column_gets_no_weight():
    task, target = binary()
    constant = X.copy()
    constant[:, 1] = 7
    assert abs(fitted(task, DENSE, {"dense": constant}, target).weight[1, 0]) < 0.1


@pytest.mark.parametrize(
    ("features", "columns"),
    [
        (DENSE, {"dense": X}),
        (BOTH, {"dense": X, "ids": IDS}),
        (FeatureSpec(BOTH.ids), {"ids": IDS}),
    ],
)
def test_the_graph_and_the_kept_state_answer_as_the_model(features, columns):
    task, target = binary()
    model = fitted(task, features, columns, target)
    session = ort.InferenceSession(model.to_onnx().SerializeToString())
    for n in (1, 9):
        few = {name: values[:n] for name, values in columns.items()}
        np.testing.assert_allclose(session.run(["scores"], few)[0], model.scores(few), atol=1e-5)
    again = Linear(LinearSettings(), features, task)
    again.load_state(model.state())
    np.testing.assert_array_equal(again.scores(columns), model.scores(columns))


def test_fitting_twice_gives_the_same_bits():
    task, target = binary()
    first, second = (fitted(task, DENSE, {"dense": X}, target) for _ in range(2))
    np.testing.assert_array_equal(first.weight, second.weight)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"l2": -1.0}, r"model\.l2 is -1; it must be at least 0"),
        ({"max_iterations": 0}, r"model\.max_iterations is 0; it must be at least 1"),
        ({"tolerance": 0.0}, r"model\.tolerance is 0; it must be above 0"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        LinearSettings(**wrong)
