"""TF-IDF in the graph against scikit-learn's, on texts of several scripts."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from shopkit.errors import ConfigError
from shopkit.features.settings import FeaturePlan, NgramSettings, TfidfSettings
from tests.features.fitting import Fitted, fit_column, fit_table, texts
from tests.features.texts import ANY_TEXT, TRAIN, as_matrix

CASES: dict[str, dict[str, Any]] = {
    "words": {"analyzer": "word", "ngram_range": [1, 2]},
    "longer words": {"analyzer": "word", "ngram_range": [2, 3], "norm": "l1", "min_df": 2},
    "characters": {"analyzer": "char", "ngram_range": [1, 3], "sublinear_tf": True},
    "long n-grams only": {"analyzer": "char", "ngram_range": [4, 4], "use_idf": False},
    "within words": {"analyzer": "char_wb", "ngram_range": [2, 4], "smooth_idf": False, "max_df": 0.3},
    "longer than many words": {"analyzer": "char_wb", "ngram_range": [5, 7], "norm": "none"},
    "letters": {"analyzer": "letter", "ngram_range": [1, 4], "sublinear_tf": True, "min_df": 2},
    "case matters": {"analyzer": "word", "ngram_range": [1, 1], "lowercase": False},
}


@cache
def fitted(case: str) -> Fitted:
    return fit_column(PLAIN, {"name": "tfidf", "min_df": 1, **CASES[case]})


# Python lower-cases "İ" to two characters, and a final "Σ" to another than elsewhere; the graph goes character by character.
PLAIN = texts([text.replace("İ", "I").replace("Σ", "σ") for text in TRAIN])


@cache
def scikit_learn(case: str) -> TfidfVectorizer:
    chosen = {"min_df": 1, **CASES[case]}
    chosen["ngram_range"] = tuple(chosen["ngram_range"])
    chosen["norm"] = {"none": None}.get(chosen.get("norm", "l2"), chosen.get("norm", "l2"))
    if chosen["analyzer"] == "letter":
        chosen |= {"analyzer": "char", "preprocessor": lambda text: "".join(re.findall(r"\w", text.lower()))}
    return TfidfVectorizer(**chosen).fit(PLAIN)


def weights(of: Fitted, values: np.ndarray) -> np.ndarray:
    return as_matrix(of.run({"x": values}), of.features.spec.n_bag)


@pytest.mark.parametrize("case", CASES)
def test_vocabulary_and_weights_are_scikit_learns(case):
    terms = [name.removeprefix("x: ") for name in fitted(case).features.spec.blocks[0].names]
    assert terms == scikit_learn(case).get_feature_names_out().tolist()
    np.testing.assert_allclose(weights(fitted(case), PLAIN), scikit_learn(case).transform(PLAIN).toarray(), atol=1e-6)


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=25, deadline=None)
@given(values=st.lists(ANY_TEXT, min_size=1, max_size=5))
def test_other_texts_are_weighed_as_by_scikit_learn(case, values):
    found = weights(fitted(case), texts(values))
    np.testing.assert_allclose(found, scikit_learn(case).transform(values).toarray(), atol=1e-6)
    np.testing.assert_allclose(found, fitted(case).reference("x", texts(values)), atol=1e-6)


def test_max_features_keeps_those_that_occur_most():
    many = fit_column(PLAIN, {"name": "tfidf", "min_df": 1, "max_features": 10})
    counts = TfidfVectorizer(ngram_range=(1, 2), use_idf=False, norm=None).fit(PLAIN)
    times = np.asarray(counts.transform(PLAIN).sum(axis=0)).ravel()
    kept = [counts.vocabulary_[name.removeprefix("x: ")] for name in many.features.spec.blocks[0].names]
    assert len(kept) == 10
    assert times[kept].min() >= np.sort(times)[-10]


def test_of_terms_that_occur_as_often_the_first_by_name_are_kept():
    names = [f"word{at:02}" for at in range(60)]
    values = texts([" ".join(names[::-1]), " ".join(names[1::2])])
    of = fit_column(values, {"name": "tfidf", "min_df": 1, "max_features": 40, "ngram_range": [1, 1]})
    assert of.states["x"]["terms"].tolist() == sorted([*names[1::2], *names[:20:2]])


@pytest.mark.parametrize("batch", [7, 75])
def test_terms_counted_a_few_texts_at_a_time_are_those_counted_at_once(monkeypatch, batch):
    monkeypatch.setattr("shopkit.features.text.BATCH_ROWS", batch)
    spec = {"name": "tfidf", "min_df": 2, "max_df": 0.5}
    parts = fit_column(PLAIN[:75], spec)
    monkeypatch.undo()
    whole = fit_column(PLAIN[:75], spec)
    assert parts.features.spec == whole.features.spec
    np.testing.assert_array_equal(parts.states["x"]["idf"], whole.states["x"]["idf"])


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 9])
def test_every_text_is_read_once(monkeypatch, rows):
    monkeypatch.setattr("shopkit.features.text.BATCH_ROWS", 4)
    names = [f"word{at}" for at in range(rows)]
    plan = FeaturePlan(columns={"x": {"name": "tfidf", "min_df": 1, "ngram_range": [1, 1], "smooth_idf": False}})
    state = fit_table({"x": texts([f"{name} all" for name in names])}, plan).states["x"]
    assert dict(zip(state["terms"], state["idf"], strict=True)) == pytest.approx(
        {"all": 1.0, **dict.fromkeys(names, np.log(rows) + 1)}
    )


def test_words_may_be_known_beside_others_alone():
    values = texts(["aa bb", "aa bb cc", "bb dd", "bb cc", "aa"])
    of = fit_column(values, {"name": "tfidf", "min_df": 2, "max_df": 0.7})  # "bb" is in too many texts
    assert of.states["x"]["terms"].tolist() == ["aa", "aa bb", "bb cc", "cc"]
    found = weights(of, texts(["bb", "bb cc", "aa bb bb", "cc bb aa"]))
    np.testing.assert_array_equal(found > 0, [[0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 0, 0], [1, 0, 0, 1]])


def test_several_columns_share_one_vocabulary():
    plan = FeaturePlan(strings={"name": "tfidf", "min_df": 1, "analyzer": "char"})
    both = fit_table({"title": PLAIN[:80], "review": PLAIN[70:150]}, plan)
    title, review = both.features.spec.blocks
    assert (title.start, review.start) == (0, title.width)
    outputs = both.run({"title": PLAIN[:80], "review": PLAIN[70:150]})
    assert not outputs["bag_ids"][outputs["bag_weights"] == 0].any()
    found = as_matrix(outputs, both.features.spec.n_bag)
    for block, values in ((title, PLAIN[:80]), (review, PLAIN[70:150])):
        own = both.reference(block.column, values)
        np.testing.assert_allclose(found[:, block.start : block.start + block.width], own, atol=1e-6)


@pytest.mark.parametrize("values", [[], [""], [" \n"], ["ЖЖЖЖЖЖ"], ["", "the fabric", ""]], ids=repr)
@pytest.mark.parametrize("case", CASES)
def test_texts_without_a_known_term_are_empty_bags(case, values):
    outputs = fitted(case).run({"x": texts(values)})
    assert outputs["bag_ids"].dtype == np.int64
    assert outputs["bag_weights"].dtype == np.float32
    assert outputs["bag_ids"].shape == outputs["bag_weights"].shape
    assert outputs["bag_ids"].shape[1] >= 1
    np.testing.assert_allclose(weights(fitted(case), texts(values)), fitted(case).reference("x", texts(values)), atol=1e-6)
    assert (outputs["bag_ids"][outputs["bag_weights"] == 0] == 0).all()
    if values in ([""], ["ЖЖЖЖЖЖ"]):
        assert not outputs["bag_weights"].any()


def test_a_column_without_any_term_has_one_that_never_occurs():
    nothing = fit_column(texts(["!", "?"] * 5), {"name": "tfidf"})
    (block,) = nothing.features.spec.blocks
    assert (block.extractor, block.names, nothing.features.spec.n_bag) == ("tfidf", ("x: ",), 1)
    assert nothing.states["x"]["idf"].tolist() == [1]
    assert not nothing.run({"x": texts(["! ?", "word"])})["bag_weights"].any()


def test_a_text_of_a_megabyte_beside_many_short_ones():
    of = fit_column(PLAIN, {"name": "tfidf", "analyzer": "char", "max_characters": 2000})
    long = "这个东西很好 " * 150_000
    outputs = of.run({"x": texts([long, *["short"] * 500])})
    alone = of.run({"x": texts([long[:2000]])})  # characters are cut exactly
    np.testing.assert_allclose(
        np.sort(outputs["bag_weights"][0])[::-1][: alone["bag_weights"].shape[1]], np.sort(alone["bag_weights"][0])[::-1]
    )


def test_a_word_of_twenty_thousand_letters_is_a_term_like_any_other():
    of = fit_column(texts(["soft fabric", "x" * 20_000] * 50), {"name": "tfidf"})
    assert [len(term) for term in of.states["x"]["terms"]] == [6, 4, 11, 20_000]
    assert of.run({"x": texts(["x" * 20_000])})["bag_weights"].tolist() == [[1.0]]


def test_the_graph_has_no_loop_and_nothing_as_wide_as_the_vocabulary():
    model = fitted("characters").features.model
    assert not {node.op_type for node in model.graph.node} & {"Loop", "Scan", "If", "TfIdfVectorizer"}
    shapes = onnx.shape_inference.infer_shapes(model).graph.value_info
    wide = fitted("characters").features.spec.n_bag
    assert not [value.name for value in shapes for dim in value.type.tensor_type.shape.dim if dim.dim_value == wide]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ngram_range": [2, 1]}, r"text\.ngram_range is \[2, 1\]; give the shortest and the longest n-gram"),
        ({"ngram_range": [1]}, r"text\.ngram_range is \[1\]"),
        ({"ngram_range": [0, 2]}, r"text\.ngram_range is \[0, 2\]"),
    ],
)
def test_ngram_settings_are_checked(given, message):
    with pytest.raises(ConfigError, match=message):
        NgramSettings(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"min_df": 0}, r"tfidf\.min_df is 0; it must be at least 1"),
        ({"max_features": -1}, r"tfidf\.max_features is -1; it must be at least 0"),
        ({"max_df": 1.5}, r"tfidf\.max_df is 1\.5; it is a share of the texts, above 0 and at most 1"),
    ],
)
def test_settings_are_checked(given, message):
    with pytest.raises(ConfigError, match=message):
        TfidfSettings(**given)
