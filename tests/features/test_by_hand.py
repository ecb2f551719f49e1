"""What extractors learn and how they call their positions, by hand: graph and reference share what was learnt, these do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.features.piecewise_linear import separable
from shopkit.features.settings import FeaturePlan
from shopkit.schema import MISSING_TIME
from tests.features.fitting import Fitted, fit_column, fit_table, floats, texts

NAN = float("nan")
LONG_TAIL = floats([-20.0, -1.0, 0.0, 0.0, 0.5, 3.0, 40.0, 1000.0, NAN])
DAY = 86_400
FRIDAY_NOON = 12 * 3600 + DAY  # 1970-01-02


def names(fitted: Fitted) -> list[tuple[str, tuple[str, ...]]]:
    return [(block.extractor, block.names) for block in fitted.blocks("x")]


# -- numbers ------------------------------------------------------------------------------------------------------------


def test_log1p_is_the_signed_logarithm_standardised():
    present = LONG_TAIL[:-1].astype(np.float64)
    logs = np.sign(present) * np.log1p(np.abs(present))
    expected = (logs - logs.mean()) / logs.std()
    fitted = fit_column(LONG_TAIL, "log1p")
    np.testing.assert_allclose(fitted.of_column("x", LONG_TAIL), [*np.column_stack([expected, expected * 0]), [0, 1]], atol=1e-5)
    assert names(fitted) == [("log1p", ("x",)), ("log1p", ("x is missing",))]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"name": "impute", "strategy": "mean"}, 1022.5 / 8),
        ({"name": "impute", "strategy": "median"}, 0.25),
        ({"name": "impute", "strategy": "constant", "value": -7.5}, -7.5),
        ({"name": "standardize"}, 0.0),
        ({"name": "log1p"}, 0.0),
        ({"name": "identity"}, NAN),
        ({"name": "identity", "missing": "zero"}, 0.0),
        ({"name": "quantile"}, 0.0),
        ({"name": "quantile", "output": "uniform"}, 0.0),
    ],
)
def test_what_stands_for_missing(spec: dict[str, Any], expected: float):
    found = fit_column(LONG_TAIL, {**spec, "indicator": "never"}).of_column("x", floats([NAN, 0.5]))
    assert found.shape == (2, 1)
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-6)
    if spec["name"] in ("impute", "identity"):
        assert found[1, 0] == 0.5


@pytest.mark.parametrize("strategy", ["mean", "median"])
def test_a_middle_of_0_stands_for_missing(strategy: str):
    fitted = fit_column(floats([-1, 1, NAN]), {"name": "impute", "strategy": strategy, "indicator": "never"})
    assert fitted.of_column("x", floats([NAN, 1])).tolist() == [[0], [1]]


@pytest.mark.parametrize("name", ["identity", "standardize", "log1p", "quantile", "impute", "piecewise_linear"])
@pytest.mark.parametrize(
    ("indicator", "lacking", "wanted"),
    [("always", False, True), ("always", True, True), ("auto", False, False), ("auto", True, True), ("never", True, False)],
)
def test_the_indicator(name: str, indicator: str, lacking: bool, wanted: bool):
    values = floats([1.0, 2.0, 3.0, NAN if lacking else 4.0])
    fitted = fit_column(values, {"name": name, "indicator": indicator})
    assert (names(fitted)[-1] == (name, ("x is missing",))) == wanted
    if wanted:
        assert fitted.of_column("x", floats([1.0, NAN]))[:, -1].tolist() == [0.0, 1.0]


def test_of_several_columns_each_has_its_own_indicator():
    table = {"a": floats([1, NAN, 3]), "b": floats([1, 2, 3]), "c": floats([NAN, NAN, 5])}
    fitted = fit_table(table, FeaturePlan(columns=dict.fromkeys(table, "standardize")))
    blocks = [(block.column, block.names) for block in fitted.features.spec.blocks]
    assert sorted(blocks) == sorted(
        [("a", ("a",)), ("b", ("b",)), ("c", ("c",)), ("a", ("a is missing",)), ("c", ("c is missing",))]
    )
    dense = fitted.run(table)["dense"]
    place = {block.names[0]: block.start for block in fitted.features.spec.blocks}
    assert dense[:, place["a is missing"]].tolist() == [0, 1, 0]
    assert dense[:, place["c is missing"]].tolist() == [1, 1, 0]


def test_a_constant_is_0_whatever_rounding_makes_of_its_spread():
    constant = fit_column(floats([1e7 + 1] * 5 + [NAN]), "standardize").of_column("x", floats([1e7 + 1, NAN]))
    np.testing.assert_array_equal(constant, [[0, 0], [0, 1]])


@pytest.mark.parametrize(
    ("spec", "edges", "named"),
    [
        ({"edges": [0.5, 2.0]}, [0.5, 2.0], ("x in ..0.5", "x in 0.5..2", "x in 2..")),
        ({"strategy": "uniform", "n_bins": 4}, [2.0, 4.0, 6.0], ("x in ..2", "x in 2..4", "x in 4..6", "x in 6..")),
        ({"n_bins": 2}, [1.0], ("x in ..1", "x in 1..")),
        ({"edges": [0.5, 0.5 + 1e-9, 2]}, [0.5, 2.0], ("x in ..0.5", "x in 0.5..2", "x in 2..")),  # float32 knows two
    ],
)
def test_bins(spec: dict[str, Any], edges: list[float], named: tuple[str, ...]):
    values = floats([0, 0, 1, 1, 1, 2, 8, NAN])
    given = {"name": "bucketize", **spec}
    ids, one_hot = fit_column(values, given), fit_column(values, {**given, "encode": "one_hot"})
    assert ids.states["x"]["edges"].tolist() == edges
    (block,) = ids.blocks("x")
    assert (block.extractor, block.names, block.cardinality) == ("bucketize", ("x",), len(edges) + 3)
    assert names(one_hot) == [("bucketize", named)]
    asked = floats([-np.float32(1e30), *edges, 1e30, NAN])
    assert ids.of_column("x", asked)[:, 0].tolist() == [*range(2, len(edges) + 3), len(edges) + 2, 0]
    expected = np.vstack([np.eye(len(edges) + 1), np.eye(len(edges) + 1)[-1:], np.zeros((1, len(edges) + 1))])
    np.testing.assert_array_equal(one_hot.of_column("x", asked), expected)


def test_infinity_is_in_the_highest_bin_of_each_of_several_columns():
    table = {"few": floats([0] * 30 + [5, 6] * 5), "many": floats(range(40))}
    fitted = fit_table(table, FeaturePlan(numbers={"name": "bucketize", "n_bins": 8}))
    found = fitted.run({name: floats([np.inf, -np.inf, NAN]) for name in table})["ids"]
    highest = [block.cardinality - 1 for block in fitted.features.spec.blocks]
    assert highest[0] < highest[1]
    assert found.tolist() == [highest, [2, 2], [0, 0]]


@pytest.mark.parametrize("values", [[3.0] * 5, [3.0, NAN, 3.0]])
def test_one_value_makes_one_bin_of_one_width(values: list[float]):
    fitted = fit_column(floats(values), {"name": "bucketize", "strategy": "uniform"})
    assert fitted.of_column("x", floats([2, 3, 4, NAN]))[:, 0].tolist() == [2, 2, 2, 0]


def test_a_bin_is_filled_step_by_step():
    fitted = fit_column(floats([0, 10, 20, 30, NAN]), {"name": "piecewise_linear", "n_bins": 3})
    found = fitted.of_column("x", floats([-5, 0, 5, 10, 25, 30, 99, NAN]))
    filled = [[0, 0, 0], [0, 0, 0], [0.5, 0, 0], [1, 0, 0], [1, 1, 0.5], [1, 1, 1], [1, 1, 1], [0, 0, 0]]
    np.testing.assert_allclose(found, np.column_stack([filled, [0] * 7 + [1]]), atol=1e-6)
    assert names(fitted)[0] == ("piecewise_linear", ("x in 0..10", "x in 10..20", "x in 20..30"))


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ([], [0, 1]),
        ([5], [5, 10]),
        ([0.25], [0.25, 1.25]),
        ([-8, -8], [-8, 0]),
        ([3, 1, 2, 2], [1, 2, 3]),
        ([0, 1e-31, 1], [0, 1]),
        ([0, 1e-29], [0, np.float32(1e-29)]),
        ([0, 1, 2, 100.0, 100.005], [0, 1, 2, 100]),
        ([0, 50, 50.001, 50.009, 100], [0, 50, 50.001, 50.009, 100]),
        ([0, 1, 5000, 9000, 9000.25, 9001], [0, 1, 5000, 9000, 9000.25, 9001]),  # near the middle one they are told apart
    ],
)
def test_edges_that_float32_can_tell_apart(edges: list[float], expected: list[float]):
    found = separable(np.array(edges, np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    np.testing.assert_array_equal(found, found.astype(np.float32))


# -- strings ------------------------------------------------------------------------------------------------------------

COLOURS = texts(["red"] * 4 + ["blue"] * 3 + [""] * 5 + ["green"] * 3 + ["rare"])


@pytest.mark.parametrize(
    ("spec", "categories"),
    [
        ({}, ["red", "blue", "green", "rare"]),
        ({"min_count": 2}, ["red", "blue", "green"]),
        ({"min_count": 3}, ["red", "blue", "green"]),
        ({"min_count": 4}, ["red"]),
        ({"max_size": 2}, ["red", "blue"]),
        ({"max_size": 1}, ["red"]),
    ],
)
def test_ids_by_falling_count_then_by_name(spec: dict[str, Any], categories: list[str]):
    fitted = fit_column(COLOURS, {"name": "vocabulary", **spec})
    asked = ["", "unseen", *categories]
    assert fitted.of_column("x", texts(asked))[:, 0].tolist() == list(range(len(asked)))
    (block,) = fitted.blocks("x")
    assert (block.extractor, block.names, block.cardinality, block.tensor) == ("vocabulary", ("x",), len(asked), "ids")


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({}, ("x is missing", "x=red", "x=blue", "x=green", "x=rare")),
        ({"min_count": 2}, ("x is missing", "x=red", "x=blue", "x=green")),
        ({"max_size": 2}, ("x is missing", "x=red")),
        ({"min_count": 9}, ("x is missing",)),
    ],
)
def test_one_position_for_each_category(spec: dict[str, Any], named: tuple[str, ...]):
    fitted = fit_column(COLOURS, {"name": "one_hot", **spec})
    assert names(fitted) == [("one_hot", named)]
    asked = texts(["" if name == "x is missing" else name[2:] for name in named] + ["unseen"])
    np.testing.assert_array_equal(fitted.of_column("x", asked), [*np.eye(len(named)), np.zeros(len(named))])


def test_rates_of_the_most_frequent_and_names():
    target = np.arange(len(COLOURS), dtype=np.float64)
    spec = {"name": "target_rate", "smoothing": 2.0, "max_size": 2}
    fitted = fit_column(COLOURS, spec, target=target)
    of = {name: target[np.equal(COLOURS, name)] for name in set(COLOURS)}
    beyond = {name: (own - target.mean()).sum() / (len(own) + 2) for name, own in of.items()}
    spread = np.sqrt(np.mean([beyond[name] ** 2 for name in COLOURS]))
    expected = [beyond[""] / spread, beyond["red"] / spread, 0, 0]
    np.testing.assert_allclose(fitted.of_column("x", texts(["", "red", "blue", "unseen"]))[:, 0], expected, rtol=1e-5)
    assert names(fitted) == [("target_rate", ("x target rate",))]
    equal = fit_column(texts(["b", "a", "c"] * 4), {**spec, "smoothing": 0.0}, target=np.arange(12.0))
    np.testing.assert_allclose(equal.of_column("x", texts(["a", "b", "c"]))[:, 0], [0, -(1.5**0.5), 0], atol=1e-6)


# -- times --------------------------------------------------------------------------------------------------------------


def test_parts_of_a_time():
    times = np.array([FRIDAY_NOON, FRIDAY_NOON + 10 * DAY, MISSING_TIME], np.int64)
    parts = ["elapsed", "hour", "weekday", "day_of_month", "day_of_year"]
    fitted = fit_column(times, {"name": "time_parts", "parts": parts})
    assert [name for _, named in names(fitted) for name in named] == [
        *(f"x {part} {wave}" for part in parts[1:] for wave in ("sine", "cosine")),
        "x elapsed",
        "x is missing",
    ]
    found = fitted.of_column("x", times)
    turns = np.array([[0.5, 4.5 / 7, 1 / 31, (1.5 * DAY) / 31_556_952], [0.5, 0.5 / 7, 11 / 31, (11.5 * DAY) / 31_556_952]])
    for at, (turn, elapsed) in enumerate(zip(turns, [-1, 1], strict=True)):
        waves = np.column_stack([np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)]).ravel()
        np.testing.assert_allclose(found[at], [*waves, elapsed, 0], atol=1e-5)
    np.testing.assert_array_equal(found[2], [0] * 9 + [1])
    assert {extractor for extractor, _ in names(fitted)} == {"time_parts"}


def test_the_day_of_the_month_on_every_day_of_400_years():
    days = np.arange("1599-12-25", "2000-01-10", dtype="datetime64[D]")
    times = days.astype("datetime64[s]").astype(np.int64)
    fitted = fit_column(times, {"name": "time_parts", "parts": ["day_of_month"]})
    turn = (days - days.astype("datetime64[M]")).astype(np.int64) / 31 * 2 * np.pi
    np.testing.assert_allclose(fitted.of_column("x", times), np.column_stack([np.sin(turn), np.cos(turn)]), atol=1e-5)


# -- what is said of the features ---------------------------------------------------------------------------------------

DENSE = FeatureBlock("a", "e", "dense", 0, 3, ("a1", "a2", "a3"))
IDS = FeatureBlock("b", "e", "ids", 0, 2, ("b1", "b2"), cardinality=9)
STEPS = FeatureBlock("c", "e", "sequence_dense", 0, 4, ("c",))
STEP_IDS = FeatureBlock("d", "e", "sequence_ids", 0, 1, ("d",), cardinality=7)
BAG = FeatureBlock("f", "e", "bag", 0, 1200, ())
TOKENS = FeatureBlock("g", "e", "tokens", 0, 1, (), cardinality=30_522, shape=(128,))
IMAGE = FeatureBlock("h", "e", "image", 0, 1, (), shape=(3, 32, 16))


@pytest.mark.parametrize(
    ("blocks", "said", "shapes"),
    [
        ((), "", {}),
        ((DENSE,), "3 numbers", {"dense": (3,)}),
        ((IDS,), "2 ids", {"ids": (2,)}),
        ((DENSE, DENSE, IDS), "6 numbers and 2 ids", {"dense": (6,), "ids": (2,)}),
        ((STEPS,), "of each step 4 numbers", {"sequence_dense": ("T", 4), "lengths": ()}),
        (
            (DENSE, STEPS, STEP_IDS),
            "3 numbers, and of each step 4 numbers and 1 id",
            {"dense": (3,), "sequence_dense": ("T", 4), "sequence_ids": ("T", 1), "lengths": ()},
        ),
        ((STEP_IDS,), "of each step 1 id", {"sequence_ids": ("T", 1), "lengths": ()}),
        ((BAG, BAG), "2,400 terms", {"bag_ids": ("K",), "bag_weights": ("K",)}),
        ((TOKENS,), "tokens of a vocabulary of 30,522", {"tokens": ("P",), "token_lengths": ()}),
        ((IMAGE,), "an image of 3×32×16", {"image": (3, 32, 16)}),
        (
            (BAG, TOKENS, IMAGE),
            "1,200 terms, and tokens of a vocabulary of 30,522, and an image of 3×32×16",
            {"tokens": ("P",), "token_lengths": (), "bag_ids": ("K",), "bag_weights": ("K",), "image": (3, 32, 16)},
        ),
    ],
)
def test_what_a_spec_says(blocks, said, shapes):
    spec = FeatureSpec(blocks)
    assert (str(spec), spec.shapes) == (said, shapes)
    assert FeatureSpec.from_json(spec.to_json()) == spec


def test_which_models_read_which_features():
    every = FeatureSpec((DENSE, IDS, STEPS, STEP_IDS, BAG, TOKENS, IMAGE))
    tags = ["features:sequences", "features:bags", "features:tokens", "features:images"]
    assert every.unread(tags) is None
    for left, block in zip(tags, (STEPS, BAG, TOKENS, IMAGE), strict=True):
        assert every.unread([tag for tag in tags if tag != left]) == block
    assert (every.cardinalities, every.sequence_cardinalities, every.n_bag) == ((9,), (7,), 1200)
    assert (every.dense, every.ids, every.tokens, every.image) == ((DENSE,), (IDS,), TOKENS, IMAGE)
    assert FeatureSpec(()).n_bag == 0
