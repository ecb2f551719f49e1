from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from shopkit.evaluation.audit import audit, column_power
from shopkit.evaluation.fingerprints import row_hashes
from shopkit.evaluation.part import Outputs, Part, Raw
from shopkit.evaluation.settings import EvaluationSettings
from shopkit.schema import MISSING_TIME
from shopkit.tasks.binary import Binary

Shop = tuple[Binary, dict[str, Part], Callable[[Raw], Outputs]]


def findings(parts: dict[str, Part], n_classes: int | None = 2) -> list[dict[str, Any]]:
    return audit(parts, EvaluationSettings(), n_classes=n_classes, seed=0)


def with_column(parts: dict[str, Part], name: str, make: Callable[[Part], np.ndarray]) -> dict[str, Part]:
    return {key: replace(part, raw={**part.raw, name: make(part)}) for key, part in parts.items()}


def test_it_does_not_cry_wolf(shop: Shop) -> None:
    parts = with_column(shop[1], "id", lambda part: part.keys["visit"])
    assert findings(parts) == []


@pytest.mark.parametrize(
    ("name", "leak"),
    [
        ("monotone", lambda y, rng: y * 3 + rng.normal(size=len(y)) * 0.3),
        ("reversed", lambda y, rng: -y + rng.normal(size=len(y)) * 0.1),
        ("folded", lambda y, rng: np.where(y == 1, 0.0, rng.choice([-1.0, 1.0], len(y)))),
        ("by_missing", lambda y, rng: np.where(y == 1, rng.normal(size=len(y)), np.nan)),
    ],
)
def test_a_planted_number_is_found(shop: Shop, name: str, leak: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    (found,) = findings(with_column(shop[1], name, lambda part: leak(part.target, rng).astype(np.float32)))
    assert (found["check"], found["severity"], found["column"]) == ("one_column_predicts", "warning", name)
    assert f"features.ignore=[{name}]" in found["message"]
    assert found["value"] > 0.99


def test_a_planted_text_is_found(shop: Shop) -> None:
    parts = with_column(shop[1], "refund", lambda part: np.where(part.target == 1, "none", "asked").astype(object))
    assert [found["column"] for found in findings(parts)] == ["refund"]


def test_of_what_is_neither_class_nor_amount_it_is_not_asked(shop: Shop) -> None:
    parts = with_column(shop[1], "refund", lambda part: np.where(part.target == 1, "none", "asked").astype(object))
    assert findings(parts, None) == []


def test_a_number_among_many_classes_is_read_as_scikit_learn_reads_it() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 30, 2000)
    x = (y * 10 + rng.normal(size=2000)).round(1).astype(np.float32)  # rising with the class, and with ties
    of_number = [max(area, 1 - area) for k in range(30) for area in [roc_auc_score(y == k, x)]]
    assert np.mean(of_number) <= column_power(x, y, 30) <= 1
    assert column_power(x, y >= 15, 2) == pytest.approx(1)
    assert column_power(-x, y < 10, 2) == pytest.approx(roc_auc_score(y < 10, -x))


def test_a_strong_honest_column_is_not_a_leak() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=5000).astype(np.float32) * 3
    assert 0.85 < column_power(x, rng.random(5000) < 1 / (1 + np.exp(-x)), 2) < 0.95


def test_leaks_of_amounts_and_classes() -> None:
    rng = np.random.default_rng(0)
    amount = rng.lognormal(size=3000) * 10
    assert column_power((amount * 1.2).astype(np.float32), amount, 0) > 0.99
    assert column_power(np.log(amount).astype(np.float32), amount, 0) > 0.99
    assert column_power(rng.normal(size=3000).astype(np.float32), amount, 0) < 0.1
    assert column_power(np.array([str(row) for row in range(3000)], object), amount, 0) < 0.1
    label = rng.integers(0, 3, 3000)
    assert column_power(np.array(["x", "y", "z"], object)[label], label, 3) > 0.99
    assert column_power(rng.normal(size=3000).astype(np.float32), label, 3) < 0.6


def test_shared_keys_are_an_error(shop: Shop) -> None:
    parts = dict(shop[1])
    keys = parts["test"].keys["visit"].copy()
    keys[:3] = parts["train"].keys["visit"][:3]
    parts["test"] = replace(parts["test"], keys={"visit": keys})
    (found,) = findings(parts)
    assert (found["check"], found["severity"]) == ("shared_keys", "error")
    assert found["message"].startswith("3 keys (visit) are in both the train and the test part")


def test_shared_customers_are_stated(shop: Shop) -> None:
    parts = dict(shop[1])
    parts["train"] = replace(parts["train"], groups=np.array(["customer 1"] * len(parts["train"]), object))
    (found,) = findings(parts)
    assert (found["check"], found["severity"]) == ("shared_groups", "info")
    assert found["message"].startswith("1 of the 196 groups (customers) of the test part are in the training part")


def test_a_time_past_its_cutoff_is_found(shop: Shop) -> None:
    def late(part: Part) -> np.ndarray:
        assert part.cutoff is not None
        times = part.cutoff - 1
        times[0], times[1] = part.cutoff[0], MISSING_TIME
        return times

    (found,) = findings(with_column(shop[1], "returned_at", late))
    assert (found["check"], found["column"]) == ("time_past_cutoff", "returned_at")
    assert "in 3 of 4,500 rows" in found["message"]


def test_rows_of_the_same_time_are_stated(shop: Shop) -> None:
    parts = dict(shop[1])
    parts["test"] = replace(parts["test"], cutoff=parts["train"].cutoff[:1000], raw={"noise": parts["test"].raw["noise"]})  # type: ignore[index]
    parts["train"] = replace(parts["train"], raw={"noise": parts["train"].raw["noise"]})
    (found,) = audit({"train": parts["train"], "test": parts["test"]}, EvaluationSettings(), n_classes=2, seed=0)
    assert (found["check"], found["severity"]) == ("time_order", "info")
    assert "100.0% of the test rows are not later than the last training row (1970-01-11)" in found["message"]


@pytest.mark.parametrize(("copies", "severity"), [(10, "info"), (300, "warning")])
def test_copied_rows_are_found(shop: Shop, copies: int, severity: str) -> None:
    parts = dict(shop[1])
    train, test = parts["train"], parts["test"]
    raw = {name: np.concatenate([train.raw[name][:copies], values[copies:]]) for name, values in test.raw.items()}
    parts["test"] = replace(test, raw=raw, target=np.concatenate([train.target[:copies], test.target[copies:]]))
    (found,) = findings(parts)
    assert (found["check"], found["severity"]) == ("duplicate_rows", severity)
    assert found["value"] == pytest.approx(copies / 1000)


def test_a_copied_row_of_very_many_is_not_told(shop: Shop) -> None:
    train, test = shop[1]["train"], shop[1]["test"].take(np.arange(4000) % 1000)
    noise = np.random.default_rng(9).normal(size=4000).astype(np.float32)
    raw = {**test.raw, "noise": noise}
    raw = {name: np.concatenate([train.raw[name][:1], values[1:]]) for name, values in raw.items()}
    parts = {"train": train, "test": replace(test, raw=raw, target=np.concatenate([train.target[:1], test.target[1:]]))}
    found = audit(parts, EvaluationSettings(), n_classes=2, seed=0)
    assert "duplicate_rows" not in [finding["check"] for finding in found]


def test_row_hashes_tell_rows_apart() -> None:
    hashes = row_hashes({"a": np.array(["x", "x", "y"], object), "b": np.array([1.0, np.nan, 1.0], np.float32)})
    again = row_hashes({"a": np.array(["x", "x"], object), "b": np.array([1.0, np.nan], np.float32)})
    assert len(np.unique(hashes)) == 3
    assert (hashes[:2] == again).all()


def test_worst_comes_first(shop: Shop) -> None:
    parts = with_column(shop[1], "leak", lambda part: part.target)
    parts["train"] = replace(parts["train"], groups=parts["test"].groups.repeat(3))  # type: ignore[union-attr]
    parts["validation"] = replace(parts["validation"], keys={"visit": parts["test"].keys["visit"][:500]})
    assert [found["severity"] for found in findings(parts)] == ["error", "warning", "info"]
