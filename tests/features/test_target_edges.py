"""Bins where the target changes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit.errors import ConfigError
from shopkit.features.target_edges import FINE_BINS, split_points
from tests.features.fitting import fit_column, floats


@pytest.mark.parametrize(("mean", "size"), [(0, 1), (0, 1e-8), (1e9, 1), (-1e9, 1)])
def test_edges_stand_where_the_target_jumps(mean: float, size: float) -> None:
    values = floats(np.random.default_rng(0).uniform(0, 100, 5000))
    target = mean + size * ((values > 37) * 1.0 + (values > 80) * 2.0)
    fitted = fit_column(values, {"name": "piecewise_linear", "edges": "target", "n_bins": 3}, target=target)
    np.testing.assert_allclose(fitted.states["x"]["edges"], [values.min(), 37, 80, values.max()], atol=0.5)


@pytest.mark.parametrize("n", [3, 4, 5, 40, 256, 700])
def test_every_value_is_counted_in_its_bin(n: int) -> None:
    values = floats(range(n))
    for at in {1, n // 2, n - 1}:
        fitted = fit_column(values, {"name": "piecewise_linear", "edges": "target", "n_bins": 2}, target=(values >= at) * 1.0)
        low, border, high = fitted.states["x"]["edges"]
        assert (low, high) == (0, n - 1)
        assert at - 1 < border <= at if n <= FINE_BINS else abs(border - at) <= n / FINE_BINS


def test_no_split_where_nothing_is_gained() -> None:
    assert split_points(np.full(10, 5.0), np.full(10, 2.0), 4, 1.0) == []


def test_three_values_are_parted_only_where_the_target_changes() -> None:
    values = floats([0] * 86 + [1] * 86 + [2] * 85)  # 257, so that every quantile is one of them
    for target, expected in ((np.full(257, 3.0), [0, 2]), (values > 0, [0, 1, 2])):
        fitted = fit_column(values, {"name": "piecewise_linear", "edges": "target"}, target=np.asarray(target, np.float64))
        assert fitted.states["x"]["edges"].tolist() == expected


def test_bins_hold_enough_rows() -> None:
    borders = split_points(np.full(10, 1.0), np.arange(10.0) ** 2, 10, 3.0)
    assert borders
    assert min(np.diff([0, *borders, 10])) >= 3


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 9), st.integers(1, 6), st.sampled_from([1.0, 3.0, 7.5]), st.integers(0, 10**6))
def test_borders_are_those_of_the_best_first_tree(n_fine, n_bins, least, seed) -> None:
    """Leaf by leaf, always the split that takes most off the squared error."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 6, n_fine).astype(np.float64)
    totals = rng.normal(size=n_fine) * counts

    def error(low: int, high: int) -> float:  # less what no split changes
        return -(totals[low:high].sum() ** 2) / counts[low:high].sum()

    leaves, expected = [(0, n_fine)], []
    while len(leaves) < n_bins:
        splits = [
            (error(low, at) + error(at, high) - error(low, high), low, at, high)
            for low, high in leaves
            for at in range(low + 1, high)
            if min(counts[low:at].sum(), counts[at:high].sum()) >= least
        ]
        if not splits or min(splits)[0] > -1e-12:
            break
        _, low, at, high = min(splits)
        leaves.remove((low, high))
        leaves += [(low, at), (at, high)]
        expected.append(at)
    assert split_points(counts, totals, n_bins, least) == sorted(expected)


def test_missing_values_are_in_no_bin_and_one_value_makes_one_bin() -> None:
    target = np.array([0.0] * 50 + [1.0] * 50 + [9.0] * 100)
    values = floats([*range(50), *range(100, 150), *[np.nan] * 100])
    fitted = fit_column(values, {"name": "piecewise_linear", "edges": "target", "n_bins": 2}, target=target)
    edges = fitted.states["x"]["edges"]
    assert len(edges) == 3
    assert (edges[0], edges[-1]) == (0, 149)
    assert 49 < edges[1] <= 100
    one = fit_column(floats([1.0] * 40), {"name": "piecewise_linear", "edges": "target"}, target=np.arange(40.0))
    assert one.states["x"]["edges"].tolist() == [1, 2]


def test_a_bin_of_the_training_rows_holds_two_in_a_thousand_at_least() -> None:
    # Every 20th value is a quantile, so that the rows of each value are a bin to choose: of 1 there are fewer than ten.
    for n_ones, expected in ((1, [0, 1, 3]), (11, [0, 1, 2, 3])):
        values = floats([0] * 2560 + [1] * n_ones + [2] * 2500 + [3] * (61 - n_ones))
        spec = {"name": "piecewise_linear", "edges": "target", "n_bins": 3}
        assert fit_column(values, spec, target=(values == 1) * 1000.0).states["x"]["edges"].tolist() == expected


def test_a_multiclass_target_has_no_mean() -> None:
    spec = {"name": "piecewise_linear", "edges": "target"}
    message = "piecewise_linear.edges is 'target', which needs a binary or numeric target; use edges: quantile."
    for context in ({"target": np.arange(40.0) % 3, "n_classes": 3}, {}):
        with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
            fit_column(floats(range(40)), spec, **context)
