from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from shopkit.evaluation.drift import drift, kolmogorov_smirnov, population_stability
from shopkit.schema import MISSING_TIME


def test_equal_distributions_do_not_drift() -> None:
    rng = np.random.default_rng(0)
    raw = [
        {
            "number": rng.normal(size=n).astype(np.float32),
            "counts": rng.poisson(0.3, n).astype(np.float32),
            "text": np.array(list("aabc"), object)[rng.integers(0, 4, n)],
            "time": rng.integers(0, 10**9, n),
        }
        for n in (5000, 2000)
    ]
    found = drift(*raw)
    assert {entry["level"] for entry in found} == {"none"}
    assert {entry["column"]: entry["kind"] for entry in found} == {
        "number": "number", "counts": "number", "text": "string", "time": "time",
    }  # fmt: skip


def test_shifts_are_found_worst_first() -> None:
    rng = np.random.default_rng(0)
    train = {"moved": rng.normal(size=4000), "slid": rng.normal(size=4000), "new": np.array(["a", "b"] * 2000, object)}
    test = {"moved": rng.normal(size=4000) + 2, "slid": rng.normal(size=4000) + 0.4, "new": np.array(["a", "c"] * 2000, object)}
    found = {entry["column"]: entry for entry in drift(train, test)}
    assert found["moved"]["level"] == "large"
    assert found["slid"]["level"] == "moderate"
    assert found["new"]["level"] == "large"
    assert found["new"]["unseen"] == 0.5
    values = [entry["psi"] for entry in drift(train, test)]
    assert values == sorted(values, reverse=True)


def test_missing_values_are_a_bin_of_their_own() -> None:
    train = {"x": np.arange(1000, dtype=np.float32), "t": np.arange(1000), "s": np.array(["a"] * 1000, object)}
    test = {"x": train["x"].copy(), "t": train["t"].copy(), "s": train["s"].copy()}
    test["x"][:500], test["t"][:500], test["s"][:500] = np.nan, MISSING_TIME, ""
    for entry in drift(train, test):
        assert entry["level"] == "large"
        assert (entry["missing_train"], entry["missing_test"]) == (0, 0.5)


def test_a_column_all_missing_in_training() -> None:
    (entry,) = drift({"x": np.full(10, np.nan, np.float32)}, {"x": np.zeros(10, np.float32)})
    assert entry["ks"] is None
    assert entry["level"] == "large"


def test_kolmogorov_smirnov_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    first, second = np.sort(rng.poisson(3, 300)), np.sort(rng.poisson(4, 200))
    assert kolmogorov_smirnov(first, second) == pytest.approx(ks_2samp(first, second).statistic)


def test_population_stability_of_a_textbook_case() -> None:
    # 0.2·ln(0.6/0.4) + (-0.2)·ln(0.4/0.6)
    assert population_stability(np.array([40_000, 60_000]), np.array([60_000, 40_000])) == pytest.approx(0.1622, abs=1e-3)


def test_free_text_is_compared_by_its_length() -> None:
    def texts(low: int, high: int) -> np.ndarray:
        rng = np.random.default_rng(low)
        return np.array([f"{i} " + "x" * int(rng.integers(low, high)) for i in range(300)], object)

    same, longer = (drift({"review": texts(1, 40)}, {"review": other})[0] for other in (texts(2, 40), texts(30, 80)))
    assert (same["kind"], same["unseen"], same["level"]) == ("text", None, "none")
    assert longer["level"] == "large"


def test_a_text_that_the_split_keeps_apart_is_compared_by_its_length() -> None:
    groups = np.repeat(np.arange(100), 4)
    train, test = (np.array([f"type {start + group}" for group in groups], object) for start in (100, 500))
    (apart,) = drift({"type": train}, {"type": test}, groups)
    assert (apart["kind"], apart["level"]) == ("text", "none")
    for others in (None, groups // 2, np.arange(400)):  # no groups, two texts in a group, a text in several groups
        (new,) = drift({"type": train}, {"type": test}, others)
        assert (new["kind"], new["unseen"], new["level"]) == ("string", 1.0, "large")
    (met,) = drift({"type": train}, {"type": train}, groups)
    assert met["kind"] == "string"


def test_few_rows_of_the_same_have_not_drifted() -> None:
    """Sixty rows in eleven bins: the index alone calls every other column moderate."""
    levels, indices = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        (found,) = drift({"x": rng.normal(size=2000).astype(np.float32)}, {"x": rng.normal(size=60).astype(np.float32)})
        levels.append(found["level"])
        indices.append(found["psi"])
    assert np.mean(np.array(indices) >= 0.1) > 0.4
    assert np.mean(np.array(levels) != "none") < 0.15
    (moved,) = drift({"x": rng.normal(size=2000).astype(np.float32)}, {"x": rng.normal(1.5, size=60).astype(np.float32)})
    assert moved["level"] == "large"
