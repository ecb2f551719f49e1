"""N-grams in small, by hand: which are learnt, which are found, and how often."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.features.fitting import Fitted, fit_column, texts
from tests.features.texts import as_matrix


def learnt(values: list[str], **spec: Any) -> Fitted:
    return fit_column(texts(values), {"name": "tfidf", "min_df": 1, "norm": "none", "use_idf": False, **spec})


def found(of: Fitted, value: str) -> dict[str, float]:
    """Term → how often a text has it."""
    (row,) = as_matrix(of.run({"x": texts([value])}), of.features.spec.n_bag)
    return {term: count for term, count in zip(of.states["x"]["terms"], row.tolist(), strict=True) if count}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"analyzer": "word", "ngram_range": [1, 2]}, {"ab": 2, "cde": 1, "ab cde": 1, "cde ab": 1}),
        ({"analyzer": "word", "ngram_range": [3, 4]}, {"ab cde ab": 1}),
        ({"analyzer": "letter", "ngram_range": [1, 1]}, {"a": 2, "b": 2, "c": 1, "d": 1, "e": 1, "f": 1}),
        ({"analyzer": "letter", "ngram_range": [6, 7]}, {"abcdef": 1, "bcdefa": 1, "cdefab": 1, "abcdefa": 1, "bcdefab": 1}),
        ({"analyzer": "char", "ngram_range": [10, 11]}, {"ab cde f ab": 1, "ab cde f a": 1, "b cde f ab": 1}),
        # A word that is shorter than every n-gram is one itself, with its blanks.
        ({"analyzer": "char_wb", "ngram_range": [5, 6]}, {" ab ": 2, " cde ": 1, " f ": 1}),
        ({"analyzer": "char_wb", "ngram_range": [4, 4]}, {" ab ": 2, " cde": 1, "cde ": 1, " f ": 1}),
    ],
    ids=str,
)  # fmt: skip
def test_the_n_grams_of_a_text(spec: dict[str, Any], expected: dict[str, float]) -> None:
    of = learnt(["ab cde f ab"], **spec)
    assert of.states["x"]["terms"].tolist() == sorted(expected)
    assert found(of, "ab cde f ab") == expected


@pytest.mark.parametrize("analyzer", ["word", "letter", "char"])
def test_no_n_gram_reaches_across_texts(analyzer: str) -> None:
    parts = {"word": ("bb", " ", "aa"), "letter": ("b", "", "a"), "char": ("b", "", "a")}[analyzer]
    of = learnt(["".join(parts)], analyzer=analyzer, ngram_range=[2, 2])
    assert found(of, "".join(parts)) == {"".join(parts): 1}
    assert not of.run({"x": texts([parts[0], parts[2]])})["bag_weights"].any()


def test_a_word_that_only_ends_n_grams_is_none_itself() -> None:
    of = learnt(["aa bb", "aa bb", "aa", "bb", "bb"], max_df=0.6, ngram_range=[1, 2])
    assert of.states["x"]["terms"].tolist() == ["aa", "aa bb"]  # "bb" is in four of five texts
    assert found(of, "bb aa bb bb") == {"aa": 1, "aa bb": 1}


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_how_often_a_term_occurs_is_counted_over_all_batches(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopkit.features.text.BATCH_ROWS", batch)
    of = learnt(["bb bb bb", "aa", "aa"], max_features=1, ngram_range=[1, 1])
    assert of.states["x"]["terms"].tolist() == ["bb"]


def test_one_word_in_all_texts() -> None:
    of = learnt(["aa", "aa", "aa"], ngram_range=[1, 1], use_idf=True, smooth_idf=False)
    np.testing.assert_array_equal(of.states["x"]["idf"], [1])
