"""Hashed n-grams against scikit-learn's `HashingVectorizer`."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.utils import murmurhash3_32

from shopkit.errors import ConfigError
from shopkit.features.hashed_ngrams import murmur3
from shopkit.features.settings import HashedNgramsSettings
from tests.features.fitting import Fitted, fit_column, texts
from tests.features.texts import ANY_TEXT, TRAIN, as_matrix

CASES: dict[str, dict[str, Any]] = {
    "words": {"analyzer": "word", "ngram_range": [1, 2], "n_bits": 12},
    "characters": {"analyzer": "char", "ngram_range": [2, 3], "n_bits": 8, "norm": "l1"},
    "within words": {"analyzer": "char_wb", "ngram_range": [4, 5], "n_bits": 4, "norm": "none"},
    "long runs of words": {"analyzer": "word", "ngram_range": [4, 5], "n_bits": 6},
    "without signs": {"analyzer": "word", "ngram_range": [1, 3], "n_bits": 3, "alternate_sign": False},
}


@cache
def fitted(case: str) -> Fitted:
    return fit_column(TRAIN, {"name": "hashed_ngrams", **CASES[case]})


@pytest.mark.parametrize("case", CASES)
@settings(max_examples=25, deadline=None)
@given(values=st.lists(ANY_TEXT, min_size=1, max_size=5))
def test_equal_to_scikit_learn(case, values):
    chosen = {"norm": "l2", **CASES[case]}
    n_buckets = 1 << chosen.pop("n_bits")
    chosen |= {"ngram_range": tuple(chosen["ngram_range"]), "norm": None if chosen["norm"] == "none" else chosen["norm"]}
    expected = HashingVectorizer(n_features=n_buckets, **chosen).transform(values).toarray()
    found = as_matrix(fitted(case).run({"x": texts(values)}), n_buckets)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(found, fitted(case).reference("x", texts(values)), atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_no_rows_and_empty_texts_are_empty_bags(case):
    for values in ([], [""], [" ", "\n"]):
        outputs = fitted(case).run({"x": texts(values)})
        assert outputs["bag_ids"].shape == outputs["bag_weights"].shape == (len(values), 1)
        assert not outputs["bag_weights"].any()
    (block,) = fitted(case).blocks("x")
    assert (block.extractor, block.width, block.names) == ("hashed_ngrams", 1 << CASES[case]["n_bits"], ())


def test_terms_whose_signs_cancel_out_weigh_nothing():
    of = fit_column(TRAIN, {"name": "hashed_ngrams", "n_bits": 1, "ngram_range": [1, 1]})
    words = [word for word in (f"word{at}" for at in range(50)) if murmur3(word.encode()) % 2 == 0]
    plus = next(word for word in words if murmur3(word.encode()) > 0)
    minus = next(word for word in words if murmur3(word.encode()) < 0)
    assert not of.run({"x": texts([f"{plus} {minus}"])})["bag_weights"].any()


@settings(max_examples=200)
@given(st.binary(max_size=40))
def test_the_reference_hash_is_murmur3(data):
    assert murmur3(data) == murmurhash3_32(data, 0)


def test_settings_are_checked():
    for n_bits in (0, 31):
        with pytest.raises(ConfigError, match=rf"hashed_ngrams\.n_bits is {n_bits}; it must be from 1 to 30"):
            HashedNgramsSettings(n_bits=n_bits)
