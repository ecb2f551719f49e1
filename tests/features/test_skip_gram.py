"""Skip-gram with negative sampling: which pairs are learnt from, how often, and one step by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from shopkit.features import skip_gram
from shopkit.features.settings import Word2vecSettings
from shopkit.features.skip_gram import N_SHARED, vectors

Call = tuple[np.ndarray, np.ndarray, float, float]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Pairs, words not seen, weight and rate of each step, which learns nothing."""
    found: list[Call] = []
    monkeypatch.setattr(skip_gram, "_step", lambda near, far, *given: found.append(given))
    return found


def learn(texts: list[list[int]], n_words: int, **settings: Any) -> np.ndarray:
    words, lengths = np.array([word for text in texts for word in text], np.int32), np.array([len(text) for text in texts])
    return vectors(words, lengths, n_words, Word2vecSettings(**{"dim": 4, "epochs": 1, "sample": 0, **settings}), 0)


def pairs(calls: list[Call]) -> Counter[tuple[int, int]]:
    return Counter(pair for call in calls for pair in map(tuple, call[0].tolist()))


@pytest.mark.parametrize("chunk", [200_000, 9])
def test_neighbours_within_a_text_are_pairs_in_both_directions(calls: list[Call], monkeypatch: Any, chunk: int) -> None:
    monkeypatch.setattr(skip_gram, "CHUNK_WORDS", chunk)
    learn([[0, 1, 2], [3], [4, 0, 4, 1, 1], [], [2, 0]], 5, window=1, epochs=2)
    assert pairs(calls) == {
        (0, 1): 2, (1, 0): 2, (1, 2): 2, (2, 1): 2, (4, 0): 4, (0, 4): 4, (4, 1): 2, (1, 4): 2, (1, 1): 4, (2, 0): 2, (0, 2): 2
    }  # fmt: skip


def test_each_word_draws_how_far_it_reaches(calls: list[Call]) -> None:
    learn([list(range(3000))], 3000, window=3)
    distances = Counter(abs(a - b) for a, b in pairs(calls))
    assert distances[1] == 2 * 2999
    assert set(distances) == {1, 2, 3}
    assert distances[2] / 5996 == pytest.approx(2 / 3, abs=0.03)
    assert distances[3] / 5994 == pytest.approx(1 / 3, abs=0.03)
    own = Counter(abs(a - b) for a, b in pairs(calls) if a == 1000)
    assert all(own[distance] in (0, 2) for distance in (1, 2, 3))  # to both sides alike


def test_frequent_words_are_skipped_at_random(calls: list[Call]) -> None:
    texts = [[0, 1]] * 4000 + [[1, 1]] * 4000  # shares of a quarter and three quarters
    learn(texts, 2, window=1, sample=1 / 16)
    found, kept_0, kept_1 = pairs(calls), 1 / 2, (1 / 12) ** 0.5
    assert found[0, 1] == found[1, 0] == pytest.approx(4000 * kept_0 * kept_1, rel=0.15)
    assert found[1, 1] == pytest.approx(8000 * kept_1**2, rel=0.15)
    calls.clear()
    learn(texts, 2, window=1, sample=0.75)
    assert pairs(calls) == {(0, 1): 4000, (1, 0): 4000, (1, 1): 8000}


def test_steps_are_of_a_batch_of_pairs_and_become_smaller(calls: list[Call], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skip_gram, "BATCH_PAIRS", 4)
    monkeypatch.setattr(skip_gram, "CHUNK_WORDS", 5)
    learn([[0, 1, 2, 3, 4]] * 2, 5, window=1, epochs=2, lr=0.5, negatives=16)
    assert [len(call[0]) for call in calls] == [4, 4] * 4
    assert {call[2] for call in calls} == {16 / 64}
    np.testing.assert_allclose([call[3] for call in calls], [0.5, 0.5, 0.375, 0.375, 0.25, 0.25, 0.125, 0.125])
    assert {call[1].shape for call in calls} == {(N_SHARED,)}
    assert all(call[0].dtype == np.int64 for call in calls)


def test_words_are_drawn_by_their_count_to_three_quarters(calls: list[Call]) -> None:
    learn([[0] * 15 + [1, 2]] * 3000, 4, window=1)
    drawn = np.bincount(np.concatenate([call[1] for call in calls]), minlength=4) / (64 * len(calls))
    weights = np.array([15, 1, 1, 0]) ** 0.75
    np.testing.assert_allclose(drawn, weights / weights.sum(), atol=0.02)


def test_they_begin_small_and_at_random(calls: list[Call]) -> None:
    found = learn([[0, 1]], 500, dim=8)
    assert (found.shape, found.dtype) == ((500, 8), np.float32)
    assert np.abs(found).max() <= 0.5 / 8
    assert (found.min(), found.max()) == (pytest.approx(-0.5 / 8, rel=0.01), pytest.approx(0.5 / 8, rel=0.01))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_a_step_by_hand() -> None:
    """Gradients of log σ(x·y) + weight · Σ log σ(−x·z), summed by word, each divided by the root of its mean squares so far."""
    rng = np.random.default_rng(0)
    start = {name: rng.normal(size=(4, 3)).astype(np.float32) for name in ("near", "far")}
    tables = {name: skip_gram._Table(values) for name, values in start.items()}
    seen, unseen, weight, rate = np.array([[0, 1], [0, 2], [3, 1]]), np.array([2, 3, 3]), 0.25, 0.1
    moved = {name: np.full(4, 1e-6) for name in start}
    values = {name: of.astype(np.float64) for name, of in start.items()}
    for _ in range(2):
        skip_gram._step(tables["near"], tables["far"], seen, unseen, weight, rate)
        slopes = {name: np.zeros((4, 3)) for name in start}
        for x, y in seen:
            pull = sigmoid(values["near"][x] @ values["far"][y]) - 1
            slopes["near"][x] += pull * values["far"][y]
            slopes["far"][y] += pull * values["near"][x]
            for z in unseen[unseen != y]:
                push = weight * sigmoid(values["near"][x] @ values["far"][z])
                slopes["near"][x] += push * values["far"][z]
                slopes["far"][z] += push * values["near"][x]
        for name in start:
            moved[name] += (slopes[name] ** 2).mean(1)
            values[name] = values[name] - rate * slopes[name] / np.sqrt(moved[name])[:, None]
            np.testing.assert_allclose(tables[name].values.numpy(), values[name], rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(tables[name].moved.numpy()[:, 0], moved[name], rtol=1e-4)
    assert tables["near"].values.dtype == torch.float32
