"""Target rates: smoothing, and training rows that never see their own target."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit.errors import ConfigError
from tests.features.fitting import fit_column, texts

RNG = np.random.default_rng(5)
SPEC = {"name": "target_rate", "smoothing": 10.0, "n_folds": 4}


def scaled(rates: np.ndarray, count: np.ndarray, mean: float) -> np.ndarray:
    return (rates - mean) / np.sqrt(np.average((rates - mean) ** 2, weights=count))


def test_rate_is_the_smoothed_mean_and_unknown_the_overall_mean() -> None:
    values = texts(["a"] * 30 + ["b"] * 10 + [""] * 10)
    target = np.array([1.0] * 15 + [0.0] * 15 + [1.0] * 10 + [0.0] * 10)
    found = fit_column(values, SPEC, target=target).of_column("x", texts(["a", "b", "", "unseen"]))[:, 0]
    rates = scaled(np.array([(15 + 5) / 40, (10 + 5) / 20, (0 + 5) / 20]), np.array([30, 10, 10]), mean=0.5)
    np.testing.assert_allclose(found, [*rates, 0], rtol=1e-6)


@pytest.mark.parametrize("size", [-1e-7, 1.0, 1e5])
def test_rates_have_one_size_whatever_the_target_is_measured_in(size: float) -> None:
    values = texts(RNG.choice(list("abcde"), 500))
    target = size * (RNG.random(500) + (values == "a"))
    fitted = fit_column(values, SPEC, target=target)
    for rows in (fitted.of_column("x", values)[:, 0], fitted.features.training_overrides[0][:, 0]):
        assert abs(rows.mean()) < 0.05
        assert rows.std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("mean", [0.1, 0.0, -0.1])
def test_categories_that_are_alike_say_nothing(mean: float) -> None:
    fitted = fit_column(texts(["a", "b", "c"] * 40), SPEC, target=np.full(120, mean))
    np.testing.assert_allclose(fitted.of_column("x", texts(["a", "b", "unseen"])), 0, atol=1e-7)
    np.testing.assert_allclose(fitted.features.training_overrides[0], 0, atol=1e-7)


def test_weights_count_as_rows() -> None:
    values, target, weight = texts(["a", "a", "b", "c", "c"]), np.array([1.0, 0.0, 0.3, 2.0, 0.5]), np.array([3, 1, 2, 1, 4])
    weighted = fit_column(values, SPEC, target=target, weight=weight.astype(float))
    repeated = fit_column(np.repeat(values, weight), SPEC, target=np.repeat(target, weight))
    # Of two categories, any rates would be the same once they are scaled.
    asked = texts(["a", "b", "c", "d"])
    np.testing.assert_allclose(weighted.of_column("x", asked), repeated.of_column("x", asked), rtol=1e-6)


def test_small_weights_count_as_large_ones() -> None:
    values, target = texts(["a", "a", "b"]), np.array([1.0, 0.0, 0.0])
    spec = {**SPEC, "smoothing": 0.0}
    of_weight = [fit_column(values, spec, target=target, weight=size * np.array([3.0, 1.0, 2.0])) for size in (1.0, 1e-3)]
    asked = texts(["a", "b", "c"])
    np.testing.assert_allclose(of_weight[0].of_column("x", asked)[:, 0], [0.5**0.5, -(2**0.5), 0], atol=1e-6)
    np.testing.assert_allclose(of_weight[1].of_column("x", asked), of_weight[0].of_column("x", asked), rtol=1e-6)
    rows = [fitted.features.training_overrides[0] for fitted in of_weight]
    np.testing.assert_allclose(rows[1], rows[0], rtol=1e-6)


def test_rates_that_differ_by_rounding_alone_are_not_blown_up() -> None:
    values, target = texts(["a", "b"] * 20), 1e6 + np.array([1e-5, -1e-5] * 20)
    found = fit_column(values, {**SPEC, "smoothing": 0.0}, target=target).of_column("x", texts(["a", "b"]))[:, 0]
    np.testing.assert_allclose(found, [1e-5, -1e-5], rtol=0.01)
    wide = fit_column(values, {**SPEC, "smoothing": 0.0}, target=1e6 + (target - 1e6) * 1e4).of_column("x", texts(["a", "b"]))
    np.testing.assert_allclose(wide[:, 0], [1, -1], rtol=0.01)


def test_multiclass_has_a_rate_for_each_class_but_the_first() -> None:
    values, target = texts(["a", "a", "b", "b"] * 10), np.array([0.0, 1.0, 2.0, 2.0] * 10)
    fitted = fit_column(values, {**SPEC, "smoothing": 0.0}, target=target, n_classes=3)
    np.testing.assert_allclose(fitted.of_column("x", texts(["a", "b", "c"])), [[1, -1], [-1, 1], [0, 0]], atol=1e-6)
    assert fitted.blocks("x")[0].names == ("x rate of class 1", "x rate of class 2")
    own = fitted.features.training_overrides[0]
    assert (own.shape, own.dtype) == ((40, 2), np.float32)


@settings(max_examples=15, deadline=None)
@given(row=st.integers(0, 59), data=st.data())
def test_a_row_does_not_see_its_own_target(row: int, data: st.DataObject) -> None:
    values = texts(data.draw(st.lists(st.sampled_from(["a", "b", "rare", ""]), min_size=60, max_size=60)))
    target = RNG.random(60).round(2)
    own = fit_column(values, SPEC, target=target).features.training_overrides[0]
    changed = target.copy()
    changed[row] += 1000.0
    again = fit_column(values, SPEC, target=changed).features.training_overrides[0]
    assert own.shape == (60, 1)
    np.testing.assert_allclose(own[row], again[row], rtol=1e-6, atol=1e-12)


def test_rows_equal_rates_fitted_without_their_fold() -> None:
    values = texts(RNG.choice(list("abcd"), 200))
    target = RNG.random(200)
    own = fit_column(values, SPEC, target=target).features.training_overrides[0][:, 0]
    folds = np.floor((np.arange(200) * 2_654_435_761 % 2**32) * 4 / 2**32).astype(int)
    assert np.bincount(folds).tolist() == pytest.approx([50] * 4, abs=2)
    for fold in range(4):
        others = folds != fold
        count = np.array([(others & (values == category)).sum() for category in "abcd"])
        total = np.array([target[others & (values == category)].sum() for category in "abcd"])
        mean = target[others].mean()
        for category, expected in zip("abcd", scaled((total + 10 * mean) / (count + 10), count, mean), strict=True):
            np.testing.assert_allclose(own[(folds == fold) & (values == category)], expected, rtol=1e-4)


def test_rows_of_a_category_that_is_not_kept_are_those_of_an_unknown_one() -> None:
    values = texts(["often"] * 30 + ["seldom"] * 20)
    kept, all_kept = (fit_column(values, {**SPEC, "max_size": n}, target=np.arange(50.0)) for n in (1, 2))
    assert kept.of_column("x", texts(["seldom", "unseen"])).tolist() == [[0], [0]]
    own, of_all = (fitted.features.training_overrides[0][:, 0] for fitted in (kept, all_kept))
    np.testing.assert_array_equal(own[:30], of_all[:30])
    assert of_all.all()
    assert not own[30:].any()


def test_a_key_says_nothing_about_its_row() -> None:
    """A category for each row: in-sample rates would be the target itself."""
    values, target = texts([f"id {row}" for row in range(300)]), (RNG.random(300) < 0.5).astype(float)
    own = fit_column(values, {**SPEC, "smoothing": 0.0}, target=target).features.training_overrides[0][:, 0]
    np.testing.assert_array_equal(own, 0)


def test_seed_changes_the_folds() -> None:
    values, target = texts(RNG.choice(list("ab"), 100)), RNG.random(100)
    one, two = (fit_column(values, SPEC, target=target, seed=seed).features.training_overrides[0] for seed in (0, 1))
    assert not np.array_equal(one, two)


def test_a_task_without_target_is_refused() -> None:
    with pytest.raises(ConfigError, match="target_rate on column 'x' needs a target, and this task has none"):
        fit_column(texts(["a", "b"]), "target_rate")
