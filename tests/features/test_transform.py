"""Streaming a file through the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shopkit.features.settings import FeaturePlan
from shopkit.features.transform import load, transform
from tests.features.fitting import Fitted, fit_table, floats, texts, write

RNG = np.random.default_rng(0)
N = 500
TABLE = {
    "amount": floats(np.where(RNG.random(N) < 0.1, np.nan, RNG.lognormal(size=N))),
    "age": floats(RNG.integers(18, 90, N)),
    "exact": RNG.random(N) + 1e6,
    "color": texts(RNG.choice(["red", "green", ""], N)),
    "town": texts([f"town {at % 40}" for at in range(N)]),
    "at": RNG.integers(1_500_000_000, 1_600_000_000, N),
}
PLANS: dict[str, dict[str, Any]] = {
    "all": {"columns": {"color": ["one_hot", "vocabulary"], "town": ["target_rate", "vocabulary"], "age": "bucketize"}},
    "strings": {"ignore": ["amount", "age", "exact", "at"]},
    "numbers": {"ignore": ["color", "town"]},
    "ids": {"strings": "vocabulary", "numbers": "bucketize", "ignore": ["at"]},
}


@pytest.fixture(scope="module", params=PLANS)
def fitted(request: pytest.FixtureRequest) -> Fitted:
    return fit_table(TABLE, FeaturePlan(**PLANS[request.param]), target=RNG.random(N))


def expected(fitted: Fitted) -> dict[str, np.ndarray]:
    return fitted.run({column.name: TABLE[column.name] for column in fitted.plan.schema.of_role("feature")})


@pytest.mark.parametrize("batch_rows", [7, 100, 10_000])
@pytest.mark.parametrize("in_memory", [True, False])
def test_parts_hold_their_rows_in_order(fitted: Fitted, batch_rows: int, in_memory: bool, tmp_path: Path) -> None:
    rows = np.sort(RNG.permutation(N)[:100])
    parts = {"train": np.isin(np.arange(N), rows, invert=True), "test": rows, "validation": np.zeros(N, bool)}
    path = write(TABLE, tmp_path / "examples.parquet")
    features = fitted.features
    found = transform(features.model, features.spec, path, parts, None if in_memory else tmp_path, batch_rows)
    for tensor, values in expected(fitted).items():
        np.testing.assert_allclose(np.asarray(found["test"][tensor]), values[rows], atol=1e-6)
        np.testing.assert_allclose(np.asarray(found["train"][tensor]), np.delete(values, rows, axis=0), atol=1e-6)
        assert found["validation"][tensor].shape == (0, values.shape[1])
        if not in_memory:
            np.testing.assert_array_equal(load(tmp_path, "test", tensor)[:], found["test"][tensor][:])


def test_the_same_twice_to_the_last_bit(fitted: Fitted, tmp_path: Path) -> None:
    path = write(TABLE, tmp_path / "examples.parquet")
    one, two = (transform(fitted.features.model, fitted.features.spec, path, {"all": np.ones(N, bool)})["all"] for _ in range(2))
    for tensor in one:
        np.testing.assert_array_equal(one[tensor], two[tensor])
