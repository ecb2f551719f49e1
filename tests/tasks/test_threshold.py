from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from shopkit.tasks.threshold import best_threshold, f1, nearest_rate, saving

rows = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=30)


def split(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score for score, _ in rows], np.float32) / 20, np.array([positive for _, positive in rows], np.float64)


def candidates(probability: np.ndarray) -> list[float]:
    return [*np.unique(probability).tolist(), 1.1]


@given(rows)
def test_no_threshold_has_a_better_f1(rows: list[tuple[int, bool]]) -> None:
    probability, target = split(rows)
    chosen = best_threshold(probability, target, None, f1)
    best = max(f1_score(target, probability >= candidate, zero_division=0) for candidate in candidates(probability))
    assert f1_score(target, probability >= np.float32(chosen), zero_division=0) == pytest.approx(best)


@given(rows, st.floats(0.1, 10), st.floats(0.1, 10))
def test_no_threshold_costs_less(rows: list[tuple[int, bool]], false_positive: float, false_negative: float) -> None:
    probability, target = split(rows)

    def cost(threshold: float) -> float:
        flagged = probability >= np.float32(threshold)
        return float(np.sum(flagged * (1 - target)) * false_positive + np.sum(~flagged * target) * false_negative)

    chosen = best_threshold(probability, target, None, saving(false_positive, false_negative, 0, 0))
    assert cost(chosen) == pytest.approx(min(cost(candidate) for candidate in candidates(probability)))


@given(rows, st.data())
def test_weights_equal_repeated_rows(rows: list[tuple[int, bool]], data: st.DataObject) -> None:
    probability, target = split(rows)
    weight = np.array(data.draw(st.lists(st.integers(1, 3), min_size=len(rows), max_size=len(rows))))
    repeated = best_threshold(np.repeat(probability, weight), np.repeat(target, weight), None, f1)
    assert best_threshold(probability, target, weight.astype(np.float64), f1) == repeated


def test_a_rate_is_met() -> None:
    probability = np.random.default_rng(0).random(1000).astype(np.float32)
    threshold = best_threshold(probability, np.zeros(1000), None, nearest_rate(0.2))
    assert np.mean(probability >= np.float32(threshold)) == pytest.approx(0.2)


def test_it_lies_between_two_probabilities() -> None:
    threshold = best_threshold(np.array([0.2, 0.8], np.float32), np.array([0.0, 1.0]), None, f1)
    assert threshold == pytest.approx(0.5)


def test_flagging_none_and_all_are_possible() -> None:
    probability = np.array([0.0, 1.0], np.float32)
    none = best_threshold(probability, np.array([0.0, 0.0]), None, saving(1, 1, 0, 0))
    assert not (probability >= np.float32(none)).any()
    every = best_threshold(probability, np.array([1.0, 1.0]), None, saving(1, 1, 0, 0))
    assert (probability >= np.float32(every)).all()
