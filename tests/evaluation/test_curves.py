from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics as sk

from shopkit.evaluation import curves
from shopkit.evaluation.curves import MOST_POINTS, Ranked


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    p = rng.random(5000).astype(np.float32)
    return p, (rng.random(5000) < p**2).astype(np.float32)


def test_roc_and_precision_recall_agree_with_scikit_learn(rows: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = rows
    weight = np.random.default_rng(1).random(len(p))
    ranked = Ranked(p, y, weight)
    roc = curves.roc(ranked)
    assert roc["area"] == pytest.approx(sk.roc_auc_score(y, p, sample_weight=weight))
    assert sk.auc(roc["false_positive_rate"], roc["true_positive_rate"]) == pytest.approx(roc["area"], abs=1e-3)
    assert (roc["false_positive_rate"][0], roc["true_positive_rate"][-1]) == (0, pytest.approx(1))
    found = curves.precision_recall(ranked)
    assert found["area"] == pytest.approx(sk.average_precision_score(y, p, sample_weight=weight))
    for threshold, precision, recall in list(zip(found["threshold"], found["precision"], found["recall"], strict=True))[::50]:
        flagged = p >= np.float32(threshold)
        assert precision == pytest.approx(sk.precision_score(y, flagged, sample_weight=weight))
        assert recall == pytest.approx(sk.recall_score(y, flagged, sample_weight=weight))


def test_every_curve_is_short_and_json(rows: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = rows
    found = curves.binary_curves(p, p > 0.5, y, None, ["no", "yes"], 1.96)
    json.dumps(found, allow_nan=False)
    for name in ("roc", "precision_recall", "thresholds", "gains"):
        lengths = {len(values) for values in found[name].values() if isinstance(values, list)}
        assert len(lengths) == 1
        assert 10 < lengths.pop() <= MOST_POINTS


def test_gains_and_deciles(rows: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = rows
    gains = curves.gains(Ranked(p, y, None))
    assert (gains["share_of_rows"][0], gains["share_of_positives"][0], gains["lift"][0]) == (0, 0, None)
    assert (gains["share_of_rows"][-1], gains["share_of_positives"][-1], gains["lift"][-1]) == (1, 1, 1)
    deciles = curves.deciles(p, y, None)
    top = y[p >= np.sort(p)[-500]]
    assert deciles[0]["observed"] == pytest.approx(top.mean())
    assert deciles[0]["lift"] == pytest.approx(top.mean() / y.mean())
    assert deciles[-1]["cumulative_share"] == pytest.approx(1)
    assert sum(decile["n"] for decile in deciles) == len(p)


def test_reliability_of_honest_probabilities_holds_the_diagonal() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    bins = curves.reliability(p, rng.random(20_000) < p, None, 3)
    assert len(bins) == 10
    for entry in bins:
        assert entry["low"] <= entry["mean_predicted"] <= entry["high"]
        assert 0 <= entry["low"] <= entry["observed"] <= entry["high"] <= 1


def test_wilson_interval_of_no_successes_is_not_empty() -> None:
    (entry,) = curves.reliability(np.full(20, 0.1), np.zeros(20), None, 1.96)
    assert entry["low"] == pytest.approx(0)
    assert entry["high"] == pytest.approx(0.161, abs=1e-3)  # the textbook value for 0 of 20


def test_confusion_counts_actual_by_predicted() -> None:
    found = curves.confusion(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0]), ["no", "yes"])
    assert found == {"classes": ["no", "yes"], "counts": [[1, 1], [1, 2]]}


def test_one_class_gives_empty_curves() -> None:
    found = curves.binary_curves(np.array([0.2, 0.6]), np.array([False, True]), np.zeros(2), None, ["no", "yes"], 1.96)
    json.dumps(found, allow_nan=False)
    assert found["roc"]["area"] is None
    assert found["precision_recall"]["recall"] == found["gains"]["lift"] == []


def test_multiclass_curves() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 600).astype(np.float32)
    y = (rng.random(600)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    found = curves.multiclass_curves(p, p.argmax(axis=1), y, None, ["a", "b", "c"], 1.96)
    json.dumps(found, allow_nan=False)
    report = sk.classification_report(y, p.argmax(axis=1), output_dict=True)
    for k, entry in enumerate(found["by_class"]):
        assert entry["f1"] == pytest.approx(report[str(k)]["f1-score"])
        assert entry["n"] == report[str(k)]["support"]
        assert entry["auroc"] == pytest.approx(sk.roc_auc_score(y == k, p[:, k]))


def test_regression_curves() -> None:
    rng = np.random.default_rng(0)
    prediction = rng.gamma(2, 10, 5000).astype(np.float32)
    target = prediction + rng.normal(size=5000)
    found = curves.regression_curves(prediction, target, None, 1.96, 0)
    json.dumps(found, allow_nan=False)
    assert len(found["predicted_actual"]["actual"]) == MOST_POINTS
    assert found["absolute_error"]["value"][3] == pytest.approx(1.96, abs=0.1)
    assert sum(found["residuals"]["counts"]) == pytest.approx(0.99 * 5000, abs=5)


def test_rows_without_weight_at_the_top_leave_an_area() -> None:
    p, y, weight = np.array([0.9, 0.8, 0.7, 0.1]), np.array([1.0, 1, 0, 1]), np.array([0.0, 1, 1, 1])
    found = curves.precision_recall(Ranked(p, y, weight))
    json.dumps(found, allow_nan=False)
    assert found["area"] == pytest.approx(sk.average_precision_score(y[1:], p[1:]))


def test_tenths_do_not_depend_on_the_order_of_rows_that_score_alike() -> None:
    """All negatives, then all positives, as many files stand."""
    p, y = np.repeat([0.4, 0.6, 0.4, 0.6], 250), np.repeat([0.0, 1.0], 500)
    for order in (slice(None), slice(None, None, -1)):
        assert [row["observed"] for row in curves.deciles(p[order], y[order], None)] == pytest.approx([0.5] * 10)


def test_classes_are_weighed_as_the_metrics_are() -> None:
    rng = np.random.default_rng(0)
    p, y, weight = rng.dirichlet(np.ones(3), 600).astype(np.float32), rng.integers(0, 3, 600), rng.random(600)
    label = p.argmax(axis=1)
    found = curves.multiclass_curves(p, label, y, weight, ["a", "b", "c"], 1.96)
    report = sk.classification_report(y, label, sample_weight=weight, output_dict=True)
    for k, entry in enumerate(found["by_class"]):
        assert (entry["precision"], entry["recall"]) == pytest.approx((report[str(k)]["precision"], report[str(k)]["recall"]))
        assert entry["n"] == (y == k).sum()


@pytest.mark.parametrize("is_rate", [True, False])
def test_whiskers_hold_the_truth_where_customers_recur(is_rate: bool) -> None:
    """Thirty customers of twenty rows each, alike within a customer: over rows, the interval would be four times too narrow."""
    held = {True: 0, False: 0}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.arange(30), 20)
        of_customer = rng.beta(1, 1, 30)[groups]
        observed = (rng.random(600) < of_customer) if is_rate else of_customer + 0.1 * rng.normal(size=600)
        for grouped in held:
            (entry,) = curves.reliability(np.full(600, 0.5), observed, None, 1.645, groups if grouped else None)
            held[grouped] += entry["low"] <= 0.5 <= entry["high"]
    assert held[True] / 200 == pytest.approx(0.9, abs=0.07)
    assert held[False] / 200 < 0.65


def test_rows_of_one_group_count_as_one() -> None:
    (entry,) = curves.reliability(np.full(20, 0.1), np.zeros(20), None, 1.96, np.zeros(20))
    assert entry["high"] == pytest.approx(0.793, abs=1e-3)  # 0 of 1
    alone = curves.reliability(np.full(20, 0.1), np.arange(20) % 2, None, 1.96, np.arange(20))[0]
    rows = curves.reliability(np.full(20, 0.1), np.arange(20) % 2, None, 1.96)[0]
    assert alone == rows
