from __future__ import annotations

import time

import numpy as np
import pytest

from shopkit.evaluation.bootstrap import Resamples, estimate, interval, resample
from shopkit.tasks.base import Metric
from shopkit.tasks.metrics import BinaryStatistics


def mean_of(values: np.ndarray):  # type: ignore[no-untyped-def]
    return lambda weight: {"mean": float(weight @ values / weight.sum())}


def covers(seed: int, grouped: bool) -> bool:
    """Does the 90 % interval of a mean hold the true mean 0? Forty customers with ten rows each, alike within a customer."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(40), 10)
    values = rng.normal(size=40)[groups] + 0.3 * rng.normal(size=400)
    samples = resample({"model": mean_of(values)}, Resamples(400, 200, seed, groups if grouped else None))["model"]["mean"]
    low, high = interval(samples, values.mean(), 0.9) or (0.0, 0.0)
    return low <= 0 <= high


def test_an_interval_over_customers_holds_the_truth_as_often_as_it_says() -> None:
    assert np.mean([covers(seed, grouped=True) for seed in range(150)]) == pytest.approx(0.9, abs=0.08)


def test_an_interval_over_their_rows_does_not() -> None:
    assert np.mean([covers(seed, grouped=False) for seed in range(100)]) < 0.6


def test_an_interval_agrees_with_the_formula_for_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=2000)
    samples = resample({"model": mean_of(values)}, Resamples(2000, 1000, 0))["model"]["mean"]
    low, high = interval(samples, values.mean(), 0.95) or (0.0, 0.0)
    reach = 1.96 * values.std() / np.sqrt(2000)
    assert (low, high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.006)


def test_the_interval_of_an_inflated_statistic_is_brought_back() -> None:
    """Resampling adds noise to a calibration error that is nearly zero: plain percentiles would lie above the value."""
    rng = np.random.default_rng(0)
    p = rng.random(2000).astype(np.float32)
    y = (rng.random(2000) < p).astype(np.float32)
    statistic = BinaryStatistics(p, p > 0.5, y)
    value = statistic(np.ones(2000))["calibration_error"]
    samples = resample({"model": statistic}, Resamples(2000, 300, 0))["model"]["calibration_error"]
    assert samples.mean() > value * 1.1
    low, high = interval(samples, value, 0.95) or (0.0, 0.0)
    assert low <= value <= high
    assert high < np.quantile(samples, 0.9)


def test_equal_seeds_give_equal_resamples_and_whole_groups() -> None:
    groups = np.array(["a", "a", "b", "c", "c", "c"], object)
    resamples = Resamples(6, 20, 3, groups, np.array([1.0, 2, 1, 1, 1, 1]))
    first, second = list(resamples), list(resamples)
    assert (np.array(first) == np.array(second)).all()
    assert (resamples.unit, resamples.n_units) == ("groups", 3)
    for weight in first:
        assert weight[1] == 2 * weight[0]
        assert weight[3] == weight[4] == weight[5]
        assert weight[0] + weight[2] + weight[3] == 3


def test_groups_of_one_are_rows() -> None:
    resamples = Resamples(3, 1, 0, np.array(["a", "b", "c"], object))
    assert (resamples.unit, resamples.n_units) == ("rows", 3)


def test_a_metric_that_resamples_say_nothing_of_has_none() -> None:
    described = {"different": Metric("Different", "higher", "values that occur", resampled=False)}
    values = np.arange(50) % 7
    statistic = {"model": lambda weight: {"mean": float(weight.mean()), "different": len(set(values[weight > 0]))}}
    found = resample(statistic, Resamples(50, 10, 0), described)  # type: ignore[arg-type]
    assert list(found["model"]) == ["mean"]
    assert set(resample(statistic, Resamples(50, 10, 0))["model"]) == {"mean", "different"}  # type: ignore[arg-type]


def test_what_does_not_exist_is_none() -> None:
    nan = np.full(10, np.nan)
    assert interval(nan, 0.5, 0.95) is None
    assert interval(np.zeros(0), 0.5, 0.95) is None
    assert estimate(float("nan"), float("nan"), nan, 0.95) == {"value": None, "low": None, "high": None}
    assert estimate(0.5, 0.5, None, 0.95) == {"value": 0.5, "low": None, "high": None}


def test_a_constant_has_a_point_for_an_interval() -> None:
    assert interval(np.full(50, 0.5), 0.5, 0.95) == (0.5, 0.5)


def test_all_binary_metrics_of_30_000_rows_are_resampled_within_seconds() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(30_000).astype(np.float32)
    statistic = BinaryStatistics(p, p > 0.5, (rng.random(30_000) < p).astype(np.float32))
    start = time.process_time()
    resample({"model": statistic}, Resamples(30_000, 200, 0, rng.integers(0, 2000, 30_000)))
    assert time.process_time() - start < 10


def test_most_resamples_must_have_a_value() -> None:
    samples = np.where(np.arange(100) < 49, 0.5, np.nan)
    assert interval(samples, 0.5, 0.95) is None
    samples[49] = 0.5
    assert interval(samples, 0.5, 0.95) == (0.5, 0.5)
