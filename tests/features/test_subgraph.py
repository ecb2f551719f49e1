"""Parts of a feature graph: what is left without some inputs, and what some outputs need."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from shopkit.features.settings import FeaturePlan
from shopkit.features.subgraph import padded_texts, pieces, reached_from, towards, without_inputs
from shopkit.features.transform import footprint, session
from tests.features.fitting import Fitted, fit_table, floats, texts

TABLE = {"s": texts(["a", "b", ""] * 10), "n": floats(range(30)), "t": texts(["u", "v"] * 15), "m": floats([*range(29), np.nan])}
PLAN = FeaturePlan(
    columns={"s": ["one_hot", "vocabulary"], "n": ["standardize", {"name": "bucketize"}], "t": "one_hot", "m": "log1p"}
)
FEED = {f"column.{name}": values for name, values in TABLE.items()}


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit_table(TABLE, PLAN)


def names(values: object) -> list[str]:
    return [value.name for value in values]  # type: ignore[attr-defined]


def require_no_more_than_needed(model: onnx.ModelProto) -> None:
    graph = model.graph
    read = {name for node in graph.node for name in node.input} | set(names(graph.output))
    made = [name for node in graph.node for name in node.output]
    assert set(made) <= read
    assert set(names(graph.initializer)) <= read
    assert set(names(graph.input)) <= read
    assert read <= {*made, *names(graph.initializer), *names(graph.input)}


@pytest.mark.parametrize(
    ("dropped", "left", "dense", "ids"),
    [
        ("s t", ["column.n", "column.m"], [5, 6, 7], [1]),
        ("n m", ["column.s", "column.t"], [0, 1, 2, 3, 4], [0]),
        ("s n t", ["column.m"], [6, 7], None),
        ("t m", ["column.s", "column.n"], [0, 1, 2, 5], [0, 1]),
    ],
)
def test_the_positions_that_read_no_dropped_input_stay_in_order(fitted, dropped, left, dense, ids):
    model = fitted.features.model
    before = model.SerializeToString(deterministic=True)
    reduced = without_inputs(model, {f"column.{name}" for name in dropped.split()})
    assert model.SerializeToString(deterministic=True) == before
    assert names(reduced.graph.input) == left
    require_no_more_than_needed(reduced)
    found = dict(zip(names(reduced.graph.output), session(reduced).run(None, {name: FEED[name] for name in left}), strict=True))
    whole = fitted.run(TABLE)
    starts = [(block.column, block.start) for block in fitted.features.spec.blocks if block.tensor == "dense"]
    assert starts == [("s", 0), ("t", 3), ("n", 5), ("m", 6), ("m", 7)]
    assert set(found) == ({"dense"} if ids is None else {"dense", "ids"})
    np.testing.assert_array_equal(found["dense"], whole["dense"][:, dense])
    if ids is not None:
        np.testing.assert_array_equal(found["ids"], whole["ids"][:, ids])
    onnx.checker.check_model(reduced, full_check=True)


def test_without_any_input_nothing_is_left(fitted):
    assert without_inputs(fitted.features.model, set(FEED)) is None
    assert names(without_inputs(fitted.features.model, set()).graph.input) == list(FEED)


def test_what_some_outputs_need(fitted):
    model = fitted.features.model
    of_ids = towards(model, {"ids", "tokens"})
    assert (names(of_ids.graph.output), names(of_ids.graph.input)) == (["ids"], ["column.s", "column.n"])
    require_no_more_than_needed(of_ids)
    (ids,) = session(of_ids).run(None, {name: FEED[name] for name in ("column.s", "column.n")})
    np.testing.assert_array_equal(ids, fitted.run(TABLE)["ids"])
    assert sorted(names(towards(model, {"dense", "ids"}).graph.output)) == ["dense", "ids"]
    assert towards(model, {"tokens"}) is None


def test_texts_that_the_longest_lengthens():
    table = {"x": texts(["green tea", "tea"] * 5), "y": texts(["milk", "tea milk"] * 5), "z": texts(["a", "b"] * 5)}
    for spec in ({"name": "tfidf", "min_df": 1}, "characters"):
        model = fit_table(table, FeaturePlan(columns={"x": spec, "y": spec, "z": "one_hot"})).features.model
        assert padded_texts(model) == {"column.x", "column.y"}
        assert sorted(footprint(model).columns) == ["x", "y"]
    assert padded_texts(fit_table(table, FeaturePlan(strings="one_hot")).features.model) == set()


def test_pieces_are_those_joined_along_the_second_axis():
    def node(kind, inputs, output, **attributes):
        return onnx.helper.make_node(kind, inputs, [output], **attributes)

    nodes = [
        node("Neg", ["a"], "b"),
        node("Concat", ["a", "b"], "c", axis=1),
        node("Identity", ["c"], "d"),
        node("Concat", ["a", "b"], "e", axis=0),
        node("Concat", ["d", "e", "a"], "f", axis=1),
        node("Neg", ["e"], "g"),
    ]
    producers = {node.output[0]: node for node in nodes}
    assert pieces("f", producers) == ["a", "b", "e", "a"]
    assert pieces("d", producers) == ["a", "b"]
    assert pieces("e", producers) == ["e"]
    assert pieces("a", producers) == ["a"]
    assert reached_from(nodes, {"d"}) == {"a", "b", "c", "d"}
    assert reached_from(nodes, {"g"}) == {"a", "b", "e", "g"}
