"""How numbers become ranks and scales, by hand: what graph and reference have in common."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkit.features.quantile import SMALLEST_RANK, lines, segments, subdivided
from shopkit.features.training_part import training_part
from tests.features.fitting import REGISTRY, fit_column, floats, texts, write

# -- the pieces of a quantile transform ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vertices", "pieces"),
    [
        ([(0, 0)], []),
        ([(0, 1), (2, 5)], [(0, 2, 1)]),
        ([(0, 0), (1, 1), (2, 2), (4, 4)], [(0, 1, 0)]),
        ([(1, 3), (2, 2), (3, 1), (4, 3)], [(1, -1, 3), (3, 2, 1)]),
        ([(0, 0), (1, 0), (2, 4), (3, 8)], [(0, 0, 0), (1, 4, 0)]),
        ([(0, 0), (1, 1.5), (2, 2)], [(0, 1, 0)]),  # 0.5 beside the line, and the tolerance is that
        ([(0, 0), (1, 1.75), (2, 2)], [(0, 1.75, 0), (1, 0.25, 1.75)]),
        ([(0, 0), (1, 0.25), (2, 2)], [(0, 0.25, 0), (1, 1.75, 0.25)]),
        ([(1, 0), (1, 2), (2, 4)], [(1, 2, 2)]),  # of two at one place the later
        ([(1, 0), (1 + 1e-9, 2), (2, 4)], [(1, 2, 2)]),  # which float32 cannot tell apart
    ],
)
def test_few_lines_through_many_vertices(vertices, pieces):
    assert lines([(float(x), float(y)) for x, y in vertices], 0.5) == pieces


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(-4, 4)), min_size=2, max_size=12, unique_by=lambda v: v[0]),
    st.sampled_from([0.5, 2.0]),
)
def test_no_vertex_is_further_from_its_line_than_the_tolerance(vertices, tolerance):
    vertices = sorted((float(x), float(y)) for x, y in vertices)
    pieces = lines(vertices, tolerance)
    starts = [low for low, _, _ in pieces]
    for x, y in vertices:
        low, slope, score = pieces[max(np.searchsorted(starts, x, "right") - 1, 0)]
        assert abs(score + slope * (x - low) - y) <= tolerance + 1e-9
    for (low, slope, score), (following, _, there) in pairwise(pieces):
        assert score + slope * (following - low) == pytest.approx(there)
    # As few as can be when none may be left out before the next begins: one vertex more would have been too far.
    places = [x for x, _ in vertices]
    heights = dict(vertices)
    for low, following in pairwise([*starts, places[-1]]):
        after = places.index(following) + 1
        if after < len(places):
            slope = (heights[places[after]] - heights[low]) / (places[after] - low)
            inner = places[places.index(low) + 1 : after]
            assert max(abs(heights[low] + slope * (x - low) - heights[x]) for x in inner) > tolerance


def test_ranks_are_halved_towards_0_and_1():
    assert subdivided(0.25, 0.5) == [0.25, 0.5]
    low, high = subdivided(0.0, 0.5), subdivided(0.5, 1.0)
    assert low[:1] == [0.0]
    assert high[-1:] == [1.0]
    assert low[1:] == [0.5 * 0.5**k for k in reversed(range(len(low) - 1))]
    np.testing.assert_allclose(high[:-1], [1 - x for x in reversed(low[1:])], rtol=1e-12)
    assert SMALLEST_RANK < low[1] <= 2 * SMALLEST_RANK
    both = subdivided(0.0, 1.0)
    assert both[1] == pytest.approx(low[1])
    assert both[-2] == pytest.approx(high[-2])


def test_pieces_of_ranks():
    """Knots 0, 1, 1, 1, 3 of ranks 0, 1/4 … 1: below 0, at it, up to 1, at 1, up to 3, at it and above."""
    ranks = np.linspace(0, 1, 5)
    edges, table = segments({"ranks": ranks, "knots": np.array([0.0, 1.0, 1.0, 1.0, 3.0])}, normal=False)
    after_0, after_1 = np.nextafter(np.float32(0), np.float32(1)), np.nextafter(np.float32(1), np.float32(2))
    assert edges.tolist() == [0, after_0, 1, after_1, 3]
    np.testing.assert_allclose(table[:, 0], [0, *edges])
    np.testing.assert_allclose(table[:, 1], [0, 0, 0.25, 0, 0.125, 0], rtol=1e-6)
    np.testing.assert_allclose(table[:, 2], [0, 0, 0, 0.5, 0.75, 1])


@pytest.mark.parametrize(("knots", "below", "there", "above"), [([2.0], 0.0, 0.0, 1.0), ([2.0, 2.0], 0.0, 0.0, 1.0)])
def test_pieces_of_one_value(knots, below, there, above):
    edges, table = segments({"ranks": np.linspace(0, 1, len(knots)), "knots": np.array(knots)}, normal=False)
    score = {x: table[np.searchsorted(edges, np.float32(x), "right")][2] for x in (1.0, 2.0, 3.0)}
    assert score == {1.0: below, 2.0: there, 3.0: above}
    assert (table[:, 1] == 0).all()


def test_the_highest_value_has_one_piece_though_it_fills_several_knots():
    edges, _ = segments({"ranks": np.linspace(0, 1, 3), "knots": np.array([0.0, 1.0, 1.0])}, normal=False)
    assert edges.tolist() == [0, np.nextafter(np.float32(0), np.float32(1)), 1]
    edges, _ = segments({"ranks": np.linspace(0, 1, 5), "knots": np.arange(5.0)}, normal=False)  # nor do knots on one line
    assert edges.tolist() == [0, np.nextafter(np.float32(0), np.float32(1)), 4]


def test_knots_are_numbers_of_float32():
    knots = fit_column(np.linspace(0, 0.1, 7), {"name": "quantile", "n_quantiles": 4}).states["x"]["knots"]
    np.testing.assert_array_equal(knots, knots.astype(np.float32))
    np.testing.assert_allclose(knots, [0, 0.1 / 3, 0.2 / 3, 0.1], rtol=1e-6)


def test_no_knots_make_one_piece_that_is_0():
    edges, table = segments({"ranks": np.array([]), "knots": np.array([])}, normal=True)
    assert edges.shape == (0,)
    assert table.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("values", [[1, 2, 3, 4, 5], [1, 1, 1, 3, 5, 5, 5]])
def test_the_lowest_and_the_highest_value_have_the_outermost_ranks(values):
    values = floats(values)
    outermost = NormalDist().inv_cdf(SMALLEST_RANK)
    fitted = fit_column(values, {"name": "quantile", "n_quantiles": len(values)})
    asked = floats([0.5, 1, 3, 5, 6])
    expected = [[outermost], [outermost], [0], [-outermost], [-outermost]]
    np.testing.assert_allclose(fitted.of_column("x", asked), expected, atol=1e-5)
    np.testing.assert_allclose(fitted.reference("x", asked), expected, atol=1e-5)


# -- scales -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e-12, 3e-12], [-1, 1]),  # small, but not constant
        ([0, 0], [0, 0]),
        ([1e9, 1e9 + 0.5], [-0.25, 0.25]),  # a spread of less than a billionth is rounding, and left as it is
        ([1e9, 1e9 + 4], [-1, 1]),
    ],
)
def test_a_spread_counts_beside_the_mean(values, expected):
    column = np.array(values, np.float64)
    np.testing.assert_allclose(fit_column(column, "standardize").of_column("x", column)[:, 0], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["identity", "standardize", "log1p", "quantile", "impute", "piecewise_linear", "bucketize"])
def test_a_column_without_a_value_says_nothing_of_any(tmp_path, name):
    path = write({"x": floats([np.nan] * 3)}, tmp_path / "examples.parquet")
    extractor = REGISTRY.build(REGISTRY.choice("features", name))
    with training_part(path, np.ones(3, bool)) as part:
        state = extractor.fit("x", part)
    found = extractor.reference(floats([-1, 0, 1]), state)[:, :1]
    expected = {"quantile": [0, 0, 0], "piecewise_linear": [0, 0, 1], "bucketize": [2, 2, 2], "log1p": np.log([0.5, 1, 2])}
    np.testing.assert_allclose(found[:, 0], expected.get(name, [-1, 0, 1]), atol=1e-6)


# -- categories ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["one_hot", "vocabulary"])
def test_places_of_an_earlier_run_stay_and_new_categories_follow(tmp_path, name):
    path = write({"x": texts(["new", "new", "old"])}, tmp_path / "examples.parquet")
    extractor = REGISTRY.build(REGISTRY.choice("features", name))
    with training_part(path, np.ones(3, bool)) as part:
        state = extractor.fit("x", replace(part, vocabularies={"x": ("gone", "old"), "y": ("other",)}))
    assert state["categories"].tolist() == ["gone", "old", "new"]


def test_missing_is_no_category_though_an_earlier_run_had_a_position_for_it(tmp_path):
    path = write({"x": texts(["new", "", "old"])}, tmp_path / "examples.parquet")
    extractor = REGISTRY.build(REGISTRY.choice("features", "vocabulary"))
    with training_part(path, np.ones(3, bool)) as part:
        state = extractor.fit("x", replace(part, vocabularies={"x": ("old", "")}))
    assert state["categories"].tolist() == ["old", "new"]
