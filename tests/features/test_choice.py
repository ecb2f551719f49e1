"""What `auto` stands for, number by number, and each sentence about a plan that cannot be followed."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopkit.errors import ConfigError
from shopkit.features.plan import ColumnFacts, NoFeatureError, automatic, facts, of_image, of_text, resolve
from shopkit.features.settings import FeaturePlan
from shopkit.features.training_part import training_part
from shopkit.schema import MISSING_TIME, Column, Kind, Schema
from tests.features.fitting import REGISTRY, fit_table, floats, texts

RATE = ["target_rate", {"name": "vocabulary", "min_count": 20}]
QUANTILE = ["quantile", {"name": "piecewise_linear", "n_bins": 16, "indicator": "never"}]


@pytest.mark.parametrize(
    ("kind", "n", "likes", "expected"),
    [
        ("time", 5, "dense", ("time_parts", "time")),
        ("number", 7, "dense", ("standardize", "7 distinct values, fewer than 8")),
        ("number", 7, "embedding", ("standardize", "7 distinct values, fewer than 8")),
        ("number", 7, "codes", ("identity", "the model takes numbers as they are, missing included")),
        ("number", 8, "dense", (QUANTILE, "8 distinct values")),
        ("number", 1200, "dense", (QUANTILE, "1,200 distinct values")),
        ("number", 1200, "embedding", ("piecewise_linear", "1,200 distinct values, as the model embeds bins")),
        ("string", 32, "dense", ("one_hot", "32 categories, at most 32")),
        ("string", 1233, "dense", (RATE, "1,233 categories, more than 32")),
        ("string", 33, "dense", (RATE, "33 categories, more than 32")),
        ("string", 33, "codes", ("vocabulary", "33 categories, as the model embeds or splits on ids")),
        ("string", 3, "embedding", ("vocabulary", "3 categories, as the model embeds or splits on ids")),
    ],
)
def test_auto(kind: Kind, n: int, likes: str, expected: Any):
    assert automatic(Column("x", kind), ColumnFacts(9000, n, 0), FeaturePlan(), likes) == expected
    if kind != "time":
        words = f"a sequence of {n:,} categories" if kind == "string" else f"a sequence of numbers, {n:,} distinct"
        steps = automatic(Column("x", kind, sequence=True), ColumnFacts(9000, n, 0), FeaturePlan(), likes)
        assert steps == ("vocabulary" if kind == "string" else "log1p", words)


def test_auto_without_a_frequent_category():
    found = ColumnFacts(9000, 1233, 0, has_frequent=False)
    expected = ("target_rate", "1,233 categories, more than 32, none in 20 rows")
    assert automatic(Column("x", "string"), found, FeaturePlan(), "dense") == expected


@pytest.mark.parametrize(
    ("found", "is_text"),
    [
        (ColumnFacts(100, 50, 0, 20, 2), True),
        (ColumnFacts(100, 49, 0, 20, 2), False),
        (ColumnFacts(100, 40, 20, 20, 2), True),
        (ColumnFacts(100, 39, 20, 20, 2), False),
        (ColumnFacts(100, 0, 100, 20, 2), False),
        (ColumnFacts(100, 100, 0, 19.9, 2), False),
        (ColumnFacts(100, 100, 0, 20, 1.9), False),
        (ColumnFacts(100, 100, 0, 10, 0, 0.5), True),
        (ColumnFacts(100, 100, 0, 9.9, 0, 0.5), False),
        (ColumnFacts(100, 100, 0, 10, 0, 0.49), False),
        (ColumnFacts(100, 49, 0, 10, 0, 1.0), False),
    ],
)
def test_a_text_is_long_mostly_different_and_of_several_words_or_without_blanks(found: ColumnFacts, is_text: bool):
    assert found.is_text == is_text
    assert found.spaceless == (found.without_blanks >= 0.5)


def test_what_a_text_becomes():
    words, spaceless = ColumnFacts(9, 9, 0, 25.4, 4), ColumnFacts(9, 9, 0, 25.6, 0, 1.0)
    tfidf = {"name": "tfidf", "sublinear_tf": True}
    why = "a text of 25 characters on average"
    assert of_text(words, True) == ("wordpiece", why)
    assert of_text(words, True, "scratch") == ({"name": "wordpiece", "vocabulary": "scratch"}, why)
    assert of_text(words, False) == ({**tfidf, "analyzer": "word", "ngram_range": [1, 2]}, why)
    why = "a text of 26 characters on average, of a script without blanks"
    assert of_text(spaceless, True) == of_text(spaceless, True, "scratch") == ("characters", why)
    assert of_text(spaceless, True, "bert") == ({"name": "wordpiece", "vocabulary": "bert"}, why)
    assert of_text(spaceless, False) == ({**tfidf, "analyzer": "char", "ngram_range": [1, 3]}, why)


def test_what_an_image_becomes():
    assert of_image(True) == ("image", "an image")
    assert of_image(False) == ("pixels", "an image, which this model reads as numbers")


def test_a_text_is_read_with_the_word_pieces_of_the_model(tmp_path: Path):
    english = [f"a soft dress, number {at}, in red" for at in range(9)]
    table = pa.table({"english": english, "chinese": [f"{at}这本书的质量很好我非常喜欢" for at in range(9)]})
    pq.write_table(table, tmp_path / "examples.parquet")
    both = Schema((Column("english", "string"), Column("chinese", "string")))
    with training_part(tmp_path / "examples.parquet", np.ones(9, bool)) as context:
        for word_pieces, expected in (
            ("", [("wordpiece", "minilm"), ("characters", None)]),
            ("scratch", [("wordpiece", "scratch"), ("characters", None)]),
            ("/a/folder", [("wordpiece", "/a/folder"), ("wordpiece", "/a/folder")]),
        ):
            given = {"word_pieces": word_pieces} if word_pieces else {}
            plan = resolve(FeaturePlan(), both, context, ["features:tokens"], REGISTRY, **given)
            assert [(a.name, a.settings.get("vocabulary")) for a in plan.assignments] == expected
        message = (
            "Column 'chinese' is a text of 14 characters on average, of a script without blanks, and model.encoder=minilm reads "
            "English. Take model.encoder=scratch, which learns to read from the training part, or the folder of an encoder of "
            "this language."
        )
        with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
            resolve(FeaturePlan(), both, context, ["features:tokens"], REGISTRY, word_pieces="minilm")
        chosen = FeaturePlan(columns={"chinese": "characters"})
        assert resolve(chosen, both, context, ["features:tokens"], REGISTRY, word_pieces="minilm").assignments


def test_facts_of_the_training_part(tmp_path: Path):
    table = pa.table(
        {
            "n": pa.array([1.0, 2.0, 2.0, float("nan"), 9.0], pa.float32()),
            "s": ["ab c d", "", "ab c d", "質量", "x"],
            "t": pa.array([5, 6, 7, MISSING_TIME, 7], pa.int64()),
            "past": [["a", "b", ""], ["a"], [], ["c"], ["z"]],
            "id": list("abcde"),
        }
    )
    pq.write_table(table, tmp_path / "examples.parquet")
    columns = [Column("n", "number"), Column("s", "string"), Column("t", "time"), Column("past", "string", sequence=True)]
    columns.append(Column("picture", "image"))
    schema = Schema((*columns, Column("id", "string", "key")))
    with training_part(tmp_path / "examples.parquet", np.array([True, True, True, True, False])) as context:
        assert facts(schema, context) == {
            "n": ColumnFacts(4, 2, 1),
            "s": ColumnFacts(4, 2, 1, n_characters=14 / 3, n_blanks=4 / 3, without_blanks=1 / 3),
            "t": ColumnFacts(4, 3, 1),
            "past": ColumnFacts(5, 3, 1),
            "picture": ColumnFacts(4, 4, 0),
        }


# -- what cannot be followed --------------------------------------------------------------------------------------------

TABLE = {"amount": floats(range(40)), "color": texts(["red", "green"] * 20), "at": np.arange(40) * 10**6}
COLUMNS = "Columns: amount, color, at."


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (
            {"columns": {"amuont": "standardize"}},
            f"features.columns names the column 'amuont', which the examples do not have. Did you mean 'amount'? {COLUMNS}",
        ),
        ({"ignore": ["size"]}, f"features.ignore names the column 'size', which the examples do not have. {COLUMNS}"),
        ({"types": {"size": "string"}}, f"features.types names the column 'size', which the examples do not have. {COLUMNS}"),
        (
            {"columns": {"color": "standardize"}},
            "features.columns.color: standardize reads number columns, and 'color' is a string column. Choose another extractor, "
            "or set features.types.color.",
        ),
        (
            {"times": "vocabulary"},
            "features.times: vocabulary reads string columns, and 'at' is a time column. Choose another extractor, or set "
            "features.types.at.",
        ),
        (
            {"columns": {"amount": {"name": "impute", "by": 1}}},
            "features.columns.amount.by: extractor impute has no setting 'by'. Its settings: indicator, strategy, value.",
        ),
    ],
)
def test_a_plan_that_cannot_be_followed(plan: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        fit_table(TABLE, FeaturePlan(**plan))


STEPS = Schema((Column("past", "string", sequence=True, note="of baskets"), Column("id", "string", "key")))


def resolved(tmp_path: Path, plan: FeaturePlan, schema: Schema, *tags: str) -> Any:
    pq.write_table(pa.table({"past": [["a", "b"], ["c"]] * 5, "id": list("abcdefghij")}), tmp_path / "examples.parquet")
    with training_part(tmp_path / "examples.parquet", np.ones(10, bool), target=np.arange(10.0)) as context:
        return resolve(plan, schema, context, tags, REGISTRY)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "tfidf",
            "features.columns.past: tfidf gives bag, one for each row, and the steps of the sequence 'past' are a value each. "
            "Choose another extractor, e.g. vocabulary.",
        ),
        (
            "target_rate",
            "features.columns.past: target_rate gives training rows values of their own, which the steps of the sequence 'past' "
            "cannot have. Choose another extractor, e.g. vocabulary.",
        ),
    ],
)
def test_what_steps_of_a_sequence_cannot_have(tmp_path: Path, spec: str, message: str):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        resolved(tmp_path, FeaturePlan(columns={"past": spec}), STEPS, "features:sequences")


def test_an_extractor_of_images_must_read_them(tmp_path: Path):
    message = (
        "features.images: standardize reads number columns, and 'picture' is an image column. Choose another extractor, or set "
        "features.types.picture."
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        resolved(tmp_path, FeaturePlan(images="standardize"), Schema((Column("picture", "image"),)))


def test_an_extractor_says_all_that_it_reads(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shopkit.features.vocabulary.Vocabulary.accepts", ("string", "time"))
    message = "features.columns.amount: vocabulary reads string and time columns, and 'amount' is a number column. "
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}Choose another extractor"):
        fit_table(TABLE, FeaturePlan(columns={"amount": "vocabulary"}))


def test_an_image_is_read_as_one_or_as_numbers(tmp_path: Path):
    asked = []

    class Registry:
        def choice(self, family: str, spec: Any, where: str) -> Any:
            asked.append((family, spec, where))
            return SimpleNamespace(settings={})

        def build(self, choice: Any) -> Any:
            return SimpleNamespace(accepts=("image",), gives=None)

    pq.write_table(pa.table({"id": ["a", "b"]}), tmp_path / "examples.parquet")
    schema = Schema((Column("picture", "image"), Column("id", "string", "key")))
    with training_part(tmp_path / "examples.parquet", np.ones(2, bool)) as context:
        for tags in (["features:images"], []):
            (found,) = resolve(FeaturePlan(), schema, context, tags, Registry()).assignments
            assert (found.name, found.why) == of_image(bool(tags))
    assert asked == [("features", {"name": name}, "features") for name in ("image", "pixels")]


def test_a_sequence_is_left_out_where_the_model_does_not_read_it(tmp_path: Path):
    message = (
        "No feature column is left: every column is a key, the target, ignored, constant or missing throughout. Columns: past (a "
        "sequence, which this model does not read), id (key)."
    )
    with pytest.raises(NoFeatureError, match=f"^{re.escape(message)}$"):
        resolved(tmp_path, FeaturePlan(), STEPS)
    beside = resolved(tmp_path, FeaturePlan(), STEPS.with_role("id", "feature")).schema
    assert [(column.name, column.note) for column in beside.of_role("ignored")] == [
        ("past", "a sequence, which this model does not read")
    ]
    for plan in (FeaturePlan(), FeaturePlan(strings="one_hot")):  # what is said of plain columns says nothing of sequences
        assert resolved(tmp_path, plan, STEPS, "features:sequences").to_json() == [
            {
                "column": "past",
                "kind": "string",
                "extractor": "vocabulary",
                "settings": {"min_count": 1, "max_size": 100_000},
                "why": "a sequence of 3 categories",
            }
        ]


def test_a_key_is_no_feature(tmp_path: Path):
    for schema, what in ((STEPS, "key"), (STEPS.with_role("past", "ignored", "of baskets"), "ignored (of baskets)")):
        name = "id" if what == "key" else "past"
        message = f"features.columns names '{name}', which is not a feature column but {what}."
        with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
            resolved(tmp_path, FeaturePlan(columns={name: "vocabulary"}), schema)


def test_a_constant_is_kept_where_it_was_asked_for_or_is_sometimes_missing():
    table = {"same": floats([1.0] * 40), "some": floats([1.0] * 39 + [np.nan]), **TABLE}
    fitted = fit_table(table, FeaturePlan(ignore=["at"]))
    assert {column.name: column.note for column in fitted.plan.schema.of_role("ignored")} == {
        "same": "constant in the training part",
        "at": "left out by features.ignore",
    }
    asked = fit_table(table, FeaturePlan(columns={"same": "identity", "at": "auto"}))
    why = {row["column"]: (row["extractor"], row["why"]) for row in asked.features.description}
    assert why["same"] == ("identity", "chosen for this column")
    assert why["at"] == ("time_parts", "time")
    by_kind = fit_table(TABLE, FeaturePlan(numbers="log1p", times={"name": "time_parts", "parts": ["hour"]}))
    assert {row["column"]: row["why"] for row in by_kind.features.description} == {
        "amount": "chosen for number columns",
        "at": "chosen for time columns",
        "color": "2 categories, at most 32",
    }


def test_how_many_steps_are_read(tmp_path: Path):
    limit = resolved(tmp_path, FeaturePlan(max_length=3, keep="earliest"), STEPS, "features:sequences").limit
    assert (limit.max_length, limit.keep) == (3, "earliest")
