"""All extractors as one graph: what is said of it, what it is made of, and what cannot stand side by side."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopkit.errors import ConfigError
from shopkit.features.graph import fit, input_shape
from shopkit.features.plan import resolve
from shopkit.features.settings import FeaturePlan
from shopkit.features.tfidf import Tfidf
from shopkit.features.training_part import training_part
from shopkit.schema import Column, Schema
from tests.features.fitting import REGISTRY, Fitted, fit_table, floats, texts
from tests.features.texts import as_matrix

N = 40
TABLE = {
    "a": texts(["x", "y", "x", ""] * 10),
    "n": floats(range(N)),
    "b": texts(["u", "v"] * 20),
    "m": floats([*range(30), *[np.nan] * 10]),
}
PLAN = FeaturePlan(
    numbers="standardize", columns={"a": ["target_rate", "vocabulary"], "b": ["one_hot", {"name": "target_rate", "n_folds": 2}]}
)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit_table(TABLE, PLAN, target=np.arange(float(N)))


def test_what_is_said_of_each_extractor(fitted: Fitted):
    said = [(row["column"], row["extractor"], row["width"]) for row in fitted.features.description]
    assert said == [
        ("a", "target_rate", 1), ("a", "vocabulary", 1), ("n", "standardize", 1), ("b", "one_hot", 2), ("b", "target_rate", 1),
        ("m", "standardize", 2),
    ]  # fmt: skip
    assert {row["why"] for row in fitted.features.description} == {"chosen for this column", "chosen for number columns"}
    assert set(fitted.features.description[0]) == {"column", "kind", "extractor", "settings", "why", "width"}
    assert fitted.features.vocabularies == {"a": ["x", "y"], "b": ["u", "v"]}
    assert fitted.features.assets == {}


def test_groups_stand_in_the_order_of_their_first_column(fitted: Fitted):
    blocks = [(block.column, block.extractor, block.tensor, block.start) for block in fitted.features.spec.blocks]
    assert blocks == [
        ("a", "target_rate", "dense", 0), ("a", "vocabulary", "ids", 0), ("n", "standardize", "dense", 1),
        ("m", "standardize", "dense", 2), ("m", "standardize", "dense", 3), ("b", "one_hot", "dense", 4),
        ("b", "target_rate", "dense", 6),
    ]  # fmt: skip


def test_values_of_the_training_rows_stand_where_their_extractor_begins(fitted: Fitted):
    overrides = fitted.features.training_overrides
    assert {start: rows.shape for start, rows in overrides.items()} == {0: (N, 1), 6: (N, 1)}
    for start, column in ((0, "a"), (6, "b")):
        plan = FeaturePlan(columns={column: PLAN.columns[column]})
        alone = fit_table({column: TABLE[column]}, plan, target=np.arange(float(N)))
        (rows,) = alone.features.training_overrides.values()
        np.testing.assert_array_equal(overrides[start], rows)


def test_every_node_is_needed_and_every_value_has_a_short_name_of_its_own(fitted: Fitted):
    graph = fitted.features.model.graph
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    made = [name for node in graph.node for name in node.output] + [tensor.name for tensor in graph.initializer]
    assert set(made) <= read
    inner = [name for name in made if name not in ("dense", "ids")]
    assert sorted(inner) == sorted(f"features/{at}" for at in range(1, len(inner) + 1))
    assert [node.name for node in graph.node] == [f"features/{node.op_type}_{at}" for at, node in enumerate(graph.node)]
    assert (graph.name, list(graph.value_info), list(fitted.features.model.metadata_props)) == ("features", [], [])
    assert [node.op_type for node in graph.node for name in node.output if name == "dense"] == ["Concat"]


def test_dimensions_have_names(fitted: Fitted):
    def shape(value):
        return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]

    graph = fitted.features.model.graph
    assert {value.name: shape(value) for value in graph.input} == {f"column.{name}": ["N"] for name in TABLE}
    assert {value.name: shape(value) for value in graph.output} == {"dense": ["N", 7], "ids": ["N", 1]}
    assert input_shape(Column("x", "string", sequence=True)) == ("N", "L")
    assert input_shape(Column("x", "image", channels=3)) == ("N", "x.height", "x.width", 3)


def test_bags_of_three_extractors_are_counted_on():
    values = {name: texts(["tea milk", "milk", f"tea {name}", ""] * 5) for name in ("p", "q", "r")} | {"n": floats(range(20))}
    specs = {"p": {"analyzer": "word"}, "q": {"analyzer": "char"}, "r": {"analyzer": "letter"}}
    columns = {name: {"name": "tfidf", **spec} for name, spec in specs.items()}
    fitted = fit_table(values, FeaturePlan(numbers="standardize", columns=columns))
    blocks = [block for block in fitted.features.spec.blocks if block.tensor == "bag"]
    assert [block.start for block in blocks] == [0, blocks[0].width, blocks[0].width + blocks[1].width]
    outputs = fitted.run(values)
    np.testing.assert_allclose(outputs["dense"][:, 0], fitted.reference("n", values["n"])[:, 0], atol=1e-6)
    found = as_matrix(outputs, fitted.features.spec.n_bag)
    for block in blocks:
        own = fitted.reference(block.column, values[block.column])
        np.testing.assert_allclose(found[:, block.start : block.start + block.width], own, atol=1e-6)


def test_two_extractors_of_tokens_are_refused():
    columns = {"a": "characters", "b": {"name": "characters", "max_length": 9}, "n": "standardize"}
    message = (
        "More than one extractor gives tokens: a (characters), b (characters). A model reads one text: choose one extractor with "
        "the same settings for these columns, or leave columns out with features.ignore."
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        fit_table(TABLE, FeaturePlan(columns=columns), ["features:tokens"])


def test_steps_become_numbers_or_ids_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Tfidf, "gives", None)  # one that does not say before what it makes
    pq.write_table(pa.table({"past": [["tea"], ["tea", "milk"]]}), tmp_path / "examples.parquet")
    schema = Schema((Column("past", "string", sequence=True),))
    message = (
        "features.columns.past: tfidf makes bag of a value, which the steps of a sequence cannot become. Choose vocabulary, or "
        "another extractor that gives numbers or ids."
    )
    with training_part(tmp_path / "examples.parquet", np.ones(2, bool)) as context:
        plan = resolve(FeaturePlan(columns={"past": "tfidf"}), schema, context, ["features:sequences"], REGISTRY)
        with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
            fit(plan, context)
