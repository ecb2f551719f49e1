"""Bins where the target changes."""

from __future__ import annotations

import numpy as np

from shopkit.features.target_edges import split_points
from tests.features.fitting import fit_column, floats


def test_edges_stand_where_the_target_jumps() -> None:
    values = floats(np.random.default_rng(0).uniform(0, 100, 5000))
    target = (values > 37) * 1.0 + (values > 80) * 2.0
    fitted = fit_column(values, {"name": "piecewise_linear", "edges": "target", "n_bins": 3}, target=target)
    np.testing.assert_allclose(fitted.states["x"]["edges"], [values.min(), 37, 80, values.max()], atol=0.5)


def test_no_split_where_nothing_is_gained() -> None:
    assert split_points(np.full(10, 5.0), np.full(10, 2.0), 4, 1.0) == []


def test_bins_hold_enough_rows() -> None:
    borders = split_points(np.full(10, 1.0), np.arange(10.0) ** 2, 10, 3.0)
    assert borders
    assert min(np.diff([0, *borders, 10])) >= 3
