from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from shopkit.tasks.binary import Binary
from shopkit.tasks.metrics import BinaryStatistics, MulticlassStatistics, RegressionStatistics
from shopkit.tasks.multiclass import Multiclass
from shopkit.tasks.regression import Regression
from shopkit.tasks.settings import BinarySettings, MulticlassSettings, RegressionSettings

seeds = st.integers(0, 10_000)


def binary_rows(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probability = (rng.integers(1, 99, n) / 100).astype(np.float32)  # with ties
    target = (rng.random(n) < probability).astype(np.float32)
    return probability, target, rng.random(n) * 3


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_weighted_binary_metrics_agree_with_scikit_learn(seed: int) -> None:
    p, y, w = binary_rows(seed)
    flagged = p >= 0.4
    found = BinaryStatistics(p, flagged, y)(w)
    assert found["auroc"] == pytest.approx(sk.roc_auc_score(y, p, sample_weight=w))
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(y, p, sample_weight=w))
    assert found["log_loss"] == pytest.approx(sk.log_loss(y, p, sample_weight=w), rel=1e-5)
    assert found["brier"] == pytest.approx(sk.brier_score_loss(y, p, sample_weight=w), rel=1e-5)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, flagged, sample_weight=w))
    assert found["precision"] == pytest.approx(sk.precision_score(y, flagged, sample_weight=w))
    assert found["recall"] == pytest.approx(sk.recall_score(y, flagged, sample_weight=w))
    assert found["f1"] == pytest.approx(sk.f1_score(y, flagged, sample_weight=w))


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_binary_torchmetrics_agree_with_the_weighted_ones(seed: int) -> None:
    p, y, _ = binary_rows(seed)
    task = Binary(BinarySettings())
    task.fit_target(y)
    outputs = {"probability": p, "label": np.where(p >= 0.4, "1", "0").astype(object)}
    assert task.metrics(outputs, y) == pytest.approx(task.statistics(outputs, y)(np.ones(len(y))), rel=1e-5)
    assert list(task.metrics(outputs, y)) == list(task.described)


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_multiclass_metrics_agree_with_scikit_learn_and_torchmetrics(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, k = 400, 4
    p = rng.dirichlet(np.ones(k), n).astype(np.float32)
    y = (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, k - 1)
    y[:k] = np.arange(k)
    w, label = rng.random(n) + 0.1, p.argmax(axis=1)
    found = MulticlassStatistics(p, label, y)(w)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, label, sample_weight=w))
    assert found["f1_macro"] == pytest.approx(sk.f1_score(y, label, average="macro", sample_weight=w))
    assert found["precision_macro"] == pytest.approx(sk.precision_score(y, label, average="macro", sample_weight=w))
    assert found["recall_macro"] == pytest.approx(sk.recall_score(y, label, average="macro", sample_weight=w))
    areas = [sk.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in range(k)]
    assert found["auroc_macro"] == pytest.approx(np.mean(areas))
    assert found["log_loss"] == pytest.approx(sk.log_loss(y, p / p.sum(axis=1, keepdims=True), sample_weight=w), rel=1e-4)

    task = Multiclass(MulticlassSettings())
    names = np.array(list("abcd"), object)
    task.fit_target(names[y])
    outputs = {"probability": p, "label": names[label]}
    assert task.metrics(outputs, y) == pytest.approx(task.statistics(outputs, y)(np.ones(n)), rel=1e-5)
    assert list(task.metrics(outputs, y)) == list(task.described)


def test_macro_means_leave_out_classes_that_do_not_occur() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]], np.float32)
    y = np.array([0, 1, 1])
    task = Multiclass(MulticlassSettings())
    task.fit_target(np.array(["a", "b", "c"], object))
    outputs = {"probability": p, "label": np.array(["a", "b", "a"], object)}
    expected = sk.f1_score(y, p.argmax(axis=1), average="macro")
    assert task.metrics(outputs, y)["f1_macro"] == pytest.approx(expected)
    assert task.statistics(outputs, y)(np.ones(3))["f1_macro"] == pytest.approx(expected)
    assert task.metrics(outputs, y) == pytest.approx(task.statistics(outputs, y)(np.ones(3)), rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(-1e4, 1e4))
def test_regression_metrics_agree_with_scikit_learn_and_torchmetrics(seed: int, level: float) -> None:
    rng = np.random.default_rng(seed)
    y = rng.normal(size=200).astype(np.float32) * 3 + np.float32(level)
    p = (y + rng.normal(size=200)).astype(np.float32)
    w = rng.random(200)
    found = RegressionStatistics(p, y)(w)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(y, p, sample_weight=w), rel=1e-5)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(y, p, sample_weight=w), rel=1e-5)
    y64, p64 = y.astype(np.float64), p.astype(np.float64)
    assert found["wape"] == pytest.approx(np.sum(w * abs(p64 - y64)) / np.sum(w * abs(y64)), rel=1e-5)
    assert found["r2"] == pytest.approx(sk.r2_score(y64, p64, sample_weight=w), rel=1e-5)
    task = Regression(RegressionSettings())
    assert task.metrics({"prediction": p}, y) == pytest.approx(RegressionStatistics(p, y)(np.ones(200)), rel=1e-5)
    assert list(task.metrics({"prediction": p}, y)) == list(task.described)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_integer_weights_equal_repeated_rows(seed: int) -> None:
    p, y, _ = binary_rows(seed, 100)
    w = np.random.default_rng(seed).integers(0, 4, 100)
    weighted = BinaryStatistics(p, p > 0.5, y)(w.astype(np.float64))
    rows = np.repeat(np.arange(100), w)
    assert weighted == pytest.approx(BinaryStatistics(p[rows], p[rows] > 0.5, y[rows])(np.ones(len(rows))), nan_ok=True)


def test_what_does_not_exist_is_nan() -> None:
    p = np.array([0.2, 0.6], np.float32)
    task = Binary(BinarySettings())
    task.fit_target(np.array([0.0, 1.0]))
    outputs = {"probability": p, "label": np.array(["0", "1"], object)}
    for target in (np.zeros(2, np.float32), np.ones(2, np.float32)):
        fast = task.statistics(outputs, target)(np.ones(2))
        assert task.metrics(outputs, target) == pytest.approx(fast, nan_ok=True)
        assert np.isnan(fast["auroc"])
    assert all(np.isnan(value) for value in task.statistics(outputs, np.zeros(2))(np.zeros(2)).values())
    flat = Regression(RegressionSettings()).metrics({"prediction": p}, np.zeros(2, np.float32))
    assert np.isnan(flat["r2"])
    assert np.isnan(flat["wape"])
    assert flat == pytest.approx(RegressionStatistics(p, np.zeros(2, np.float32))(np.ones(2)), nan_ok=True)


def test_rows_that_are_all_alike_explain_no_variance() -> None:
    """A resample without the one sale among sixty rows: what is left of the variance is rounding."""
    target = np.zeros(60)
    target[7] = 250
    statistics = RegressionStatistics(np.linspace(0, 3, 60), target)
    rng = np.random.default_rng(0)
    for _ in range(50):
        weight = rng.integers(0, 3, 60).astype(float)
        weight[7] = 0
        assert np.isnan(statistics(weight)["r2"])
