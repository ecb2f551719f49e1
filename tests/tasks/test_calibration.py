from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from shopkit.errors import DataError, RunError
from shopkit.tasks.calibration import LEAST_SCALE, fit_scaling, require_scores

EVEN = [0.25] * 4
"""The classes' shares in training."""


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@settings(max_examples=25, deadline=None)
@given(st.floats(-4, 4), st.floats(0.3, 3), st.integers(0, 10_000))
def test_a_shifted_prior_and_a_wrong_scale_are_recovered(shift: float, stretch: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    honest = rng.normal(size=20_000) * 2
    target = (rng.random(20_000) < sigmoid(honest)).astype(np.int64)
    scale, bias = fit_scaling((honest[:, None] - shift) / stretch, target, None, EVEN)
    probability = sigmoid(scale * (honest - shift) / stretch + bias[0])
    assert probability.mean() == pytest.approx(target.mean(), abs=1e-6)
    assert np.abs(probability - sigmoid(honest)).mean() < 0.02


def test_it_is_logistic_regression_of_the_scores() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(3000, 1))
    target = (rng.random(3000) < sigmoid(2 * scores[:, 0] - 1)).astype(np.int64)
    weight = rng.random(3000) + 0.5
    reference = LogisticRegression(C=1e9, tol=1e-10).fit(scores, target, sample_weight=weight)
    scale, bias = fit_scaling(scores, target, weight, EVEN)
    assert scale == pytest.approx(reference.coef_[0, 0], rel=0.01)  # the ridge is one row of 3,000
    assert bias[0] == pytest.approx(reference.intercept_[0], rel=0.01)


def test_multiclass_means_equal_the_shares() -> None:
    rng = np.random.default_rng(1)
    honest = rng.normal(size=(20_000, 4)) * 1.5
    target = np.array([rng.choice(4, p=p) for p in softmax(honest)[:5000]])
    scores = honest[:5000] / 2 + np.array([1.0, -2, 0, 3])
    scale, bias = fit_scaling(scores, target, None, EVEN)
    probability = softmax(scale * scores + bias)
    assert probability.mean(axis=0) == pytest.approx(np.bincount(target) / 5000, abs=1e-6)
    assert scale == pytest.approx(2, rel=0.1)


def test_scores_that_part_the_classes_give_finite_numbers() -> None:
    scores = np.linspace(-1, 1, 50)[:, None]
    scale, bias = fit_scaling(scores, (scores[:, 0] > 0).astype(np.int64), None, EVEN)
    assert np.isfinite(scale)
    assert np.isfinite(bias).all()
    assert scale > 1


def test_the_ranking_is_never_turned_round() -> None:
    scores = np.linspace(-1, 1, 100)[:, None]
    scale, bias = fit_scaling(scores, (scores[:, 0] < 0.5).astype(np.int64), None, EVEN)
    assert scale == LEAST_SCALE
    assert sigmoid(scale * scores[:, 0] + bias[0]).mean() == pytest.approx(0.75, abs=1e-6)


def test_one_class_cannot_be_calibrated() -> None:
    scale, bias = fit_scaling(np.zeros((5, 1)), np.zeros(5, np.int64), None, EVEN)
    assert (scale, bias.tolist()) == (1.0, [0.0])


@pytest.mark.parametrize("informative", [0.1, 2.0])
def test_an_absent_class_keeps_its_share_of_training(informative: float) -> None:
    """Of a model whose loss weighed each class as much, whatever the order of the classes."""
    rng = np.random.default_rng(0)
    shares = np.array([0.9, 0.09, 0.01])
    target = rng.choice(2, 5000, p=[10 / 11, 1 / 11])
    scores = rng.normal(size=(5000, 3)) + informative * np.eye(3)[target]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        place = np.argsort(order)
        scale, bias = fit_scaling(scores[:, order], place[target], None, list(shares[order]))
        found = softmax(scale * scores[:, order] + bias).mean(axis=0)
        assert found[place] == pytest.approx(np.append(np.bincount(target) / 5000, 0.01), abs=0.02)
        assert found[place[2]] == pytest.approx(0.01, rel=1e-3)


def test_rows_of_weight_zero_are_as_if_not_there() -> None:
    rng = np.random.default_rng(0)
    scores, target, weight = rng.normal(size=(300, 3)), rng.integers(0, 3, 300), rng.random(300)
    weight[target == 2] = 0
    kept = weight > 0
    weighed, without = fit_scaling(scores, target, weight, EVEN), fit_scaling(scores[kept], target[kept], weight[kept], EVEN)
    assert weighed[0] == without[0]
    assert weighed[1].tolist() == without[1].tolist()


def test_huge_scores_do_not_overflow() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 200)
    scale, bias = fit_scaling((target * 2 - 1 + rng.normal(size=200))[:, None] * 1e4, target, None, EVEN)
    assert np.isfinite([scale, bias[0]]).all()


def test_scores_that_nothing_can_be_fitted_on() -> None:
    with pytest.raises(DataError, match="The validation part has no rows, but calibration and threshold are fitted on it"):
        require_scores(np.zeros((0, 1)))
    with pytest.raises(
        RunError, match=r"scores are NaN or infinite in 1 of 2 validation rows: training has diverged\. Lower trainer.lr"
    ):
        require_scores(np.array([[0.0, np.nan], [0.0, 1.0]]))
