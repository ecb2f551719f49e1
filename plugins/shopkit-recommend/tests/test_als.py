"""Implicit least squares, against dense ones solved step by step."""

from __future__ import annotations

import numpy as np
import pytest
from small import ROWS, asked, fitted, problem

from shopkit_recommend.models import als
from shopkit_recommend.models.als import ALS
from shopkit_recommend.models.network_settings import ALSSettings

N_ITEMS = 5
SETTINGS = {"factors": 3, "alpha": 4.0, "regularization": 0.5, "recency": 0.7}
SEQUENCES = [*ROWS, [1, 1, 4]]


def weights(rows: list[list[int]]) -> list[list[tuple[int, float]]]:
    """Item and weight of each step: `alpha`, less by `recency` for each step after it."""
    return [[(item, 4.0 * 0.7 ** (len(row) - 1 - at)) for at, item in enumerate(row)] for row in rows]


def solved(of_steps: list[list[tuple[int, float]]], given: np.ndarray) -> np.ndarray:
    """For each side, (YᵀY + λI + Σ w y yᵀ)⁻¹ Σ (1 + w) y over its steps, y being the factors of the other side."""
    found = []
    for steps in of_steps:
        matrix, right = given.T @ given + 0.5 * np.eye(3), np.zeros(3)
        for other, weight in steps:
            matrix += weight * np.outer(given[other], given[other])
            right += (1 + weight) * given[other]
        found.append(np.linalg.solve(matrix, right))
    return np.array(found)


def turned(of_customers: list[list[tuple[int, float]]]) -> list[list[tuple[int, float]]]:
    """Customers with their items → items with their customers."""
    return [
        [(customer, weight) for customer, steps in enumerate(of_customers) for other, weight in steps if other == item]
        for item in range(N_ITEMS)
    ]


def exact(n_rounds: int) -> np.ndarray:
    items = np.random.default_rng(0).standard_normal((N_ITEMS, 3)).astype(np.float32).astype(float) * 0.1
    for _ in range(n_rounds):
        customers = solved(weights(SEQUENCES), items)
        items = solved(turned(weights(SEQUENCES)), customers)
    return items


def test_a_round_solves_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(als, "FITTING_STEPS", 10)
    model = fitted(ALS, ALSSettings(iterations=1, **SETTINGS), SEQUENCES)
    np.testing.assert_allclose(model.items, exact(1), rtol=1e-3, atol=1e-4)


def test_rounds_of_few_steps_come_to_the_same() -> None:
    model = fitted(ALS, ALSSettings(iterations=60, **SETTINGS), SEQUENCES)
    expected = exact(60)
    np.testing.assert_allclose(model.items @ model.items.T, expected @ expected.T, rtol=0.02, atol=0.01)


def test_a_customer_is_folded_in_by_the_same_least_squares() -> None:
    model = fitted(ALS, ALSSettings(iterations=3, exclude_seen=False, **SETTINGS), SEQUENCES)
    histories = [[0, 3], [4], [2, 2, 1, 0]]
    items = model.items.astype(float)
    np.testing.assert_allclose(model.scores(asked(*histories)), solved(weights(histories), items) @ items.T, atol=1e-4)
    # What is unknown takes a step, and says no more.
    aged = [[(item, weight * 0.7) for item, weight in steps] for steps in weights([[0, 3]])]
    np.testing.assert_allclose(model.scores(asked([0, 3, -1])), solved(aged, items) @ items.T, atol=1e-4)


def test_a_customer_without_history_is_given_what_is_bought_most() -> None:
    model = fitted(ALS, ALSSettings(iterations=1, **SETTINGS), SEQUENCES)
    counts = np.bincount([item for row in SEQUENCES for item in row], minlength=N_ITEMS)
    np.testing.assert_allclose(model.scores(asked([], [-1])), np.tile(counts / counts.max(), (2, 1)), rtol=1e-6)


def test_the_seed_is_where_factors_start() -> None:
    spec, task, train = problem()
    found = []
    for seed in (0, 0, 1):
        model = ALS(ALSSettings(factors=3, iterations=1), spec, task)
        model.fit(train, train, seed)
        found.append(model.items)
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
