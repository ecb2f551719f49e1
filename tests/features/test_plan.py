"""Which extractor reads which column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopkit.errors import ConfigError, DataError
from shopkit.features.plan import NoFeatureError, resolve
from shopkit.features.settings import FeaturePlan
from shopkit.features.training_part import training_part
from shopkit.schema import Column, Schema
from tests.features.fitting import REGISTRY, Fitted, fit_table, floats, texts, write

RNG = np.random.default_rng(0)
N = 200
TABLE = {
    "amount": floats(RNG.lognormal(size=N)),
    "is_member": floats(RNG.integers(0, 2, N)),
    "color": texts(RNG.choice(["red", "green"], N)),
    "town": texts([f"town {at % 60}" for at in range(N)]),
    "at": RNG.integers(1_500_000_000, 1_600_000_000, N),
}
TARGET = RNG.random(N)


def chosen(fitted: Fitted) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for row in fitted.features.description:
        names.setdefault(row["column"], []).append(row["extractor"])
    return names


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (
            ["features:embedding"],
            {"amount": ["piecewise_linear"], "is_member": ["standardize"], "color": ["vocabulary"], "town": ["vocabulary"]},
        ),
        (
            ["features:codes", "estimator"],
            {"amount": ["identity"], "is_member": ["identity"], "color": ["vocabulary"], "town": ["vocabulary"]},
        ),
        (
            [],
            {
                "amount": ["quantile", "piecewise_linear"],
                "is_member": ["standardize"],
                "color": ["one_hot"],
                "town": ["target_rate"],
            },
        ),
    ],
    ids=["embedding", "codes", "dense"],
)
def test_auto_follows_the_model(tags: list[str], expected: dict[str, list[str]]) -> None:
    assert chosen(fit_table(TABLE, tags=tags, target=TARGET)) == {**expected, "at": ["time_parts"]}


def test_ids_are_of_categories_with_rows_enough() -> None:
    """Of a column that has none a constant would be left, or whether a value is missing, which the rate says as well."""
    town = [f"town {at % 60}" for at in range(N)]
    twenty = ["home"] * 20 + town[20:]
    rare = ["home"] * 19 + town[19:-20] + [""] * 20  # missing is no category
    for values, names in ((rare, ["target_rate"]), (twenty, ["target_rate", "vocabulary"])):
        fitted = fit_table({**TABLE, "town": texts(values)}, target=TARGET)
        assert chosen(fitted)["town"] == names
        why = [row["why"] for row in fitted.features.description if row["column"] == "town"]
        assert all(text.startswith("61 categories, more than 32") for text in why)
        assert ("none in 20 rows" in why[0]) == (len(names) == 1)


def test_a_vocabulary_without_a_category_is_told() -> None:
    plan = FeaturePlan(columns={"town": {"name": "vocabulary", "min_count": 5}, "color": {"name": "vocabulary", "min_count": 5}})
    why = {row["column"]: row["why"] for row in fit_table(TABLE, plan).features.description}
    assert why["town"] == "chosen for this column; no category has rows enough, so that its id says only whether there is a value"
    assert why["color"] == "chosen for this column"


def test_the_user_comes_first_and_every_row_says_why() -> None:
    plan = FeaturePlan(
        strings="vocabulary", columns={"amount": ["standardize", {"name": "bucketize", "n_bins": 4}], "color": "one_hot"}
    )
    fitted = fit_table(TABLE, plan, target=TARGET)
    assert chosen(fitted)["amount"] == ["standardize", "bucketize"]
    why = {row["column"]: row["why"] for row in fitted.features.description}
    assert why["amount"] == "chosen for this column"
    assert why["town"] == "chosen for string columns"
    assert why["is_member"] == "2 distinct values, fewer than 8"
    assert next(row for row in fitted.features.description if row["extractor"] == "bucketize")["settings"]["n_bins"] == 4


def test_columns_without_information_are_left_out_with_a_note() -> None:
    table = {**TABLE, "constant": floats([1.0] * N), "empty": texts([""] * N), "absent": floats([np.nan] * N)}
    fitted = fit_table(table, FeaturePlan(ignore=["at"]), target=TARGET)
    notes = {column.name: column.note for column in fitted.plan.schema.of_role("ignored")}
    assert notes == {
        "constant": "constant in the training part",
        "empty": "every training value is missing",
        "absent": "every training value is missing",
        "at": "left out by features.ignore",
    }
    assert {value.name for value in fitted.features.model.graph.input} == {
        "column.amount", "column.is_member", "column.color", "column.town",
    }  # fmt: skip


def test_columns_may_be_called_as_the_outputs_are() -> None:
    table = {"dense": TABLE["amount"], "ids": TABLE["color"], "features/1": TABLE["is_member"]}
    outputs = fit_table(table, tags=["features:embedding"]).run(table)
    assert outputs["dense"].shape[0] == outputs["ids"].shape[0] == N


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"columns": {"amuont": "standardize"}}, r"features\.columns names the column 'amuont', .* Did you mean 'amount'\?"),
        ({"ignore": ["size"]}, r"features\.ignore names the column 'size', which the examples do not have"),
        ({"types": {"size": "string"}}, r"features\.types names the column 'size'"),
        ({"numbers": "standardise"}, r"There is no extractor 'standardise'\. Did you mean 'standardize'\?"),
        ({"columns": {"amount": {"name": "bucketize", "bins": 3}}}, r"features\.columns\.amount\.bins.*no setting 'bins'"),
        (
            {"columns": {"color": "standardize"}},
            r"features\.columns\.color: standardize reads number columns, and 'color' is a string",
        ),
        ({"times": "vocabulary"}, r"features\.times: vocabulary reads string columns, and 'at' is a time column"),
    ],
)
def test_a_plan_that_cannot_be_followed(plan: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        fit_table(TABLE, FeaturePlan(**plan), target=TARGET)


def test_no_feature_left() -> None:
    with pytest.raises(DataError, match=r"No feature column is left.*x \(constant in the training part\)"):
        fit_table({"x": floats([1.0, 1.0])})


def test_target_edges_need_a_target() -> None:
    spec = {"name": "piecewise_linear", "edges": "target"}
    with pytest.raises(ConfigError, match=r"piecewise_linear\.edges is 'target', which needs a binary or numeric target"):
        fit_table(TABLE, FeaturePlan(columns={"amount": spec}))


BOTH = FeaturePlan(columns={"town": [{"name": "wordpiece", "vocabulary": "scratch"}, {"name": "tfidf", "analyzer": "char"}]})


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["features:tokens"], ["wordpiece"]),
        (["features:bags"], ["tfidf"]),
        (["features:bags", "features:tokens"], ["wordpiece", "tfidf"]),
    ],
    ids=str,
)
def test_of_several_extractors_a_model_is_given_those_it_reads(tags: list[str], expected: list[str]) -> None:
    assert chosen(fit_table(TABLE, BOTH, tags, target=TARGET))["town"] == expected


def test_a_column_that_a_model_cannot_read_is_left_out_only_for_baselines(tmp_path: Path) -> None:
    schema = Schema((Column("town", "string"), Column("amount", "number")))
    path = write({name: TABLE[name] for name in schema.names}, tmp_path / "table.parquet")
    with training_part(path, np.ones(N, bool)) as context:
        strict = resolve(BOTH, schema, context, (), REGISTRY)
        lenient = resolve(BOTH, schema, context, (), REGISTRY, leave_out_unread=True)
        assert [a.name for a in strict.assignments if a.column.name == "town"] == ["wordpiece", "tfidf"]
        assert {a.column.name for a in lenient.assignments} == {"amount"}
        left_out = [(column.name, column.note) for column in lenient.schema.of_role("ignored")]
        assert left_out == [("town", "made tokens, which this model does not read")]
        with pytest.raises(
            NoFeatureError, match=r"No feature column is left: .*town \(made tokens, which this model does not read\)"
        ):
            resolve(BOTH, Schema(schema.columns[:1]), context, (), REGISTRY, leave_out_unread=True)


def test_a_column_with_an_extractor_can_be_left_out_but_must_be_a_feature(tmp_path: Path) -> None:
    plan = FeaturePlan(columns={"town": "vocabulary"}, ignore=["town"])
    assert "town" not in chosen(fit_table(TABLE, plan, target=TARGET))
    path = write({name: TABLE[name] for name in ("town", "amount")}, tmp_path / "table.parquet")
    schema = Schema((Column("town", "string", "key", note="a name"), Column("amount", "number")))
    with training_part(path, np.ones(N, bool)) as context:
        message = r"features\.columns names 'town', which is not a feature column but key \(a name\)"
        with pytest.raises(ConfigError, match=message):
            resolve(FeaturePlan(columns={"town": "vocabulary"}), schema, context, (), REGISTRY)


REVIEWS = texts([f"Row {at} says that the fabric number {at * 7} is soft and the colour {at % 9} nice" for at in range(N)])
CHINESE = texts([f"第{at}件东西很好下次还来买，{at * 7}号颜色漂亮" for at in range(N)])
CODES = texts([f"{at:036x}" for at in range(N)])


@pytest.mark.parametrize(
    ("values", "tags", "expected"),
    [
        (REVIEWS, ["features:bags"], ("tfidf", "word", [1, 2], "a text of 6")),
        (CHINESE, ["features:bags", "estimator"], ("tfidf", "char", [1, 3], "of a script without blanks")),
    ],
    ids=["English", "Chinese"],
)
def test_auto_makes_a_bag_of_a_text(values: np.ndarray, tags: list[str], expected: tuple[Any, ...]) -> None:
    (row,) = fit_table({"review": values}, tags=tags).features.description
    extractor, analyzer, ngram_range, why = expected
    assert (row["extractor"], row["settings"]["analyzer"], row["settings"]["ngram_range"]) == (extractor, analyzer, ngram_range)
    assert why in row["why"]


def test_names_of_things_are_no_texts() -> None:
    table = {"color": TABLE["color"], "town": TABLE["town"], "code": CODES, "repeated": REVIEWS[np.arange(N) % 20]}
    found = chosen(fit_table(table, tags=["features:bags"], target=TARGET))
    assert not {"tfidf"} & {name for names in found.values() for name in names}


def test_a_model_that_reads_no_text_is_not_given_one() -> None:
    plan = fit_table({"review": REVIEWS, "color": TABLE["color"]}, tags=["features:codes"], target=TARGET).plan
    assert plan.schema["review"].role == "ignored"
    assert "which this model does not read" in plan.schema["review"].note
    given = FeaturePlan(columns={"review": "vocabulary"})
    assert chosen(fit_table({"review": REVIEWS, "color": TABLE["color"]}, given, ["features:codes"], target=TARGET))["review"]


def test_the_steps_of_a_sequence_are_no_bag(tmp_path: Any) -> None:
    path = tmp_path / "examples.parquet"
    pq.write_table(pa.table({"past": [["a", "b"], ["c"]] * 5}), path)
    schema = Schema((Column("past", "string", sequence=True),))
    with training_part(path, np.ones(10, bool)) as context, pytest.raises(ConfigError, match="tfidf gives bag, one for each row"):
        resolve(FeaturePlan(columns={"past": "tfidf"}), schema, context, ["features:sequences", "features:bags"], REGISTRY)
