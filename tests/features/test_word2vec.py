"""Word vectors: learnt from who stands beside whom, averaged in the graph."""

from __future__ import annotations

import weakref
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit.errors import ConfigError
from shopkit.features import word2vec
from shopkit.features.settings import Word2vecSettings
from shopkit.features.skip_gram import vectors
from tests.features.fitting import Fitted, fit_column, texts
from tests.features.texts import ANY_TEXT

RNG = np.random.default_rng(0)
TOPICS = {
    "clothes": ["dress", "skirt", "shirt", "sleeve", "fabric", "cotton"],
    "food": ["apple", "bread", "cheese", "milk", "butter", "honey"],
}
KNOWN = [word for words in TOPICS.values() for word in words]
TRAIN = texts([" ".join(RNG.choice(TOPICS[("clothes", "food")[at % 2]], 8)) for at in range(400)] + ["", "never elsewhere"] * 3)
SPEC = {"name": "word2vec", "dim": 16, "epochs": 3}


@cache
def fitted() -> Fitted:
    return fit_column(TRAIN, SPEC)


def test_words_that_keep_the_same_company_are_alike():
    state = fitted().states["x"]
    assert set(state["words"]) == set(KNOWN)
    known = state["vectors"] / np.linalg.norm(state["vectors"], axis=1, keepdims=True)
    alike = known @ known.T - 2 * np.eye(len(known))
    topics = np.array([word in TOPICS["food"] for word in state["words"]])
    nearest = np.argsort(-alike, axis=1)[:, :3]
    assert (topics[nearest] == topics[:, None]).all()


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.one_of(ANY_TEXT, st.lists(st.sampled_from([*KNOWN, "Dress", "unknown"])).map(" ".join)), max_size=4))
def test_the_graph_averages_the_known_words(values):
    found = fitted().run({"x": texts(values)})["dense"]
    np.testing.assert_allclose(found, fitted().reference("x", texts(values)), atol=1e-6)


def test_a_text_without_a_known_word_is_0():
    found = fitted().run({"x": texts(["", "unknown 中文", "dress"])})["dense"]
    assert found.shape == (3, 16)
    assert not found[:2].any()
    assert found[2].any()


def test_a_column_without_any_frequent_word_is_0():
    rare = fit_column(texts(["one two", "three four"]), SPEC)
    assert (rare.states["x"]["words"].tolist(), rare.states["x"]["vectors"].shape) == ([""], (1, 16))
    assert not rare.run({"x": texts(["one two"])})["dense"].any()


def test_the_seed_and_the_texts_alone_decide():
    state = fitted().states["x"]
    shuffled = fit_column(TRAIN[np.random.default_rng(1).permutation(len(TRAIN))], SPEC).states["x"]
    np.testing.assert_array_equal(state["vectors"], shuffled["vectors"])
    other = fit_column(TRAIN, SPEC, seed=1).states["x"]
    assert not np.array_equal(state["vectors"], other["vectors"])


def test_one_word_alone_has_no_company():
    given = Word2vecSettings(dim=4, epochs=1)
    assert np.isfinite(vectors(np.zeros(1, np.int32), np.array([1]), 1, given, 0)).all()


def test_a_share_of_0_skips_no_word_as_one_that_no_word_has_does():
    words, lengths = np.tile(np.arange(4, dtype=np.int32), 25), np.full(25, 4)
    none, far, some = (vectors(words, lengths, 4, Word2vecSettings(dim=4, epochs=2, sample=s), 0) for s in (0, 1, 1e-3))
    np.testing.assert_array_equal(none, far)
    assert not np.array_equal(none, some)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dim": 0}, r"word2vec\.dim is 0; it must be at least 1"),
        ({"sample": -1}, r"word2vec\.sample is -1; it must be at least 0"),
        ({"lr": 0}, r"word2vec\.lr is 0; it must be above 0"),
    ],
)
def test_settings_are_checked(given, message):
    with pytest.raises(ConfigError, match=message):
        Word2vecSettings(**given)


def test_words_of_a_batch_are_let_go_once_they_are_counted(monkeypatch: pytest.MonkeyPatch):
    read: list[weakref.ref[np.ndarray]] = []

    def batches(*_):
        for _ in range(3):
            read.append(weakref.ref(found := np.array(["dress", "skirt", "dress", "shirt"] * 2, object)))
            yield found, np.array([0, 0, 1, 1, 2, 2, 3, 3]), np.zeros(8, np.int64), 4
            del found
            assert sum(batch() is not None for batch in read) <= 1

    monkeypatch.setattr(word2vec, "token_batches", batches)
    state = fit_column(TRAIN, SPEC).states["x"]
    assert state["words"].tolist() == ["dress", "shirt", "skirt"]


@pytest.mark.parametrize("batch", [2, 3, 100])
def test_what_is_learnt_from(monkeypatch: pytest.MonkeyPatch, batch: int):
    given = []

    def vectors(*of: object) -> np.ndarray:
        given.append(of)
        return np.zeros((2, 16), np.float32)

    monkeypatch.setattr("shopkit.features.text.BATCH_ROWS", batch)
    monkeypatch.setattr(word2vec, "vectors", vectors)
    values = texts(["", "!", "bb aa", "cc aa", "aa bb bb", "", "bb", "rare"])
    fitted = fit_column(values, {**SPEC, "min_count": 3}, seed=7)
    ((words, lengths, n_words, settings, seed),) = given
    assert fitted.states["x"]["words"].tolist() == ["bb", "aa"]
    ends = np.cumsum(lengths)[:-1]
    assert sorted(text.tolist() for text in np.split(words, ends)) == [[], [], [], [], [0], [0, 1], [1], [1, 0, 0]]
    assert (words.dtype, n_words, settings.min_count, seed) == (np.int32, 2, 3, 7)
    (block,) = fitted.blocks("x")
    assert (block.extractor, block.names) == ("word2vec", tuple(f"x word2vec {at}" for at in range(16)))


def test_words_of_equal_count_are_sorted_and_the_most_frequent_are_kept():
    values = texts(["bb aa cc", "bb aa", "dd dd dd"] * 5)
    kept = fit_column(values, {**SPEC, "max_size": 3}).states["x"]
    assert kept["words"].tolist() == ["dd", "aa", "bb"]
    assert (kept["vectors"].shape, kept["vectors"].dtype) == ((3, 16), np.float64)
