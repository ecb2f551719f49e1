from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from shopkit.evaluation.importance import permutation_importance
from shopkit.evaluation.part import Outputs, Part, Raw
from shopkit.evaluation.settings import EvaluationSettings
from shopkit.tasks.binary import Binary
from shopkit.tasks.ranking import Ranking
from shopkit.tasks.regression import Regression
from shopkit.tasks.settings import RankingSettings, RegressionSettings

Shop = tuple[Binary, dict[str, Part], Callable[[Raw], Outputs]]
SETTINGS = EvaluationSettings(n_bootstrap=50, permutation_rows=800)


def test_columns_in_use_matter_and_others_do_not(shop: Shop) -> None:
    task, parts, predict = shop
    found = permutation_importance(task, parts["test"], predict, SETTINGS, 0)
    assert found is not None
    assert found["metric"] == "auroc"
    assert [entry["column"] for entry in found["columns"]][:2] == ["recency", "visitor"]
    assert found["columns"][0]["low"] > 0.1
    for entry in found["columns"][2:]:
        assert (entry["value"], entry["low"], entry["high"]) == (0, 0, 0)


def test_equal_seeds_shuffle_alike_whatever_other_columns_there_are(shop: Shop) -> None:
    task, parts, predict = shop
    test = parts["test"]
    fewer = Part({name: test.raw[name] for name in ("visitor", "recency")}, test.target, test.outputs, groups=test.groups)
    whole = permutation_importance(task, test, predict, SETTINGS, 5)
    assert whole == permutation_importance(task, test, predict, SETTINGS, 5)
    part = permutation_importance(task, fewer, predict, SETTINGS, 5)
    assert whole is not None
    assert part is not None
    assert part["columns"] == whole["columns"][:2]
    assert whole != permutation_importance(task, test, predict, SETTINGS, 6)


def test_a_metric_of_which_less_is_better_counts_up() -> None:
    rng = np.random.default_rng(0)
    raw = {"x": rng.normal(size=400).astype(np.float32)}
    task = Regression(RegressionSettings())
    task.fit_target(raw["x"])
    part = Part(raw, raw["x"], {"prediction": raw["x"]})
    found = permutation_importance(task, part, lambda raw: {"prediction": raw["x"]}, SETTINGS, 0)
    assert found is not None
    assert found["metric"] == "rmse"
    assert found["columns"][0]["value"] == pytest.approx(np.sqrt(2), abs=0.2)


def test_no_repeats_is_none(shop: Shop) -> None:
    task, parts, predict = shop
    assert permutation_importance(task, parts["test"], predict, EvaluationSettings(permutation_repeats=0), 0) is None


def test_sequences_are_shuffled_as_one(shop: Shop) -> None:
    task, parts, predict = shop
    test = parts["test"]
    steps = np.empty(len(test), object)
    for i, value in enumerate(test.raw["recency"]):
        steps[i] = np.array([value])
    rest = {name: values for name, values in test.raw.items() if name != "recency"}
    part = Part(rest, test.target, test.outputs, groups=test.groups, sequences={"a": steps, "b": steps})

    def from_steps(raw: Raw) -> Outputs:
        assert all(first is second for first, second in zip(raw["a"], raw["b"], strict=True))
        return predict({**raw, "recency": np.concatenate(raw["a"])})

    found = permutation_importance(task, part, from_steps, SETTINGS, 0)
    assert found is not None
    assert found["columns"][0]["column"] == "the steps (a, b)"
    assert found["columns"][0]["low"] > 0.1


def test_a_task_of_groups_is_measured_on_whole_groups() -> None:
    rng = np.random.default_rng(0)
    x, groups = rng.random(600).astype(np.float32), np.arange(600) % 40
    task = Ranking(RankingSettings(gain="linear"))
    task.fit_target(x)
    part = Part({"x": x}, x, {"score": x}, groups=groups)
    settings = EvaluationSettings(n_bootstrap=20, permutation_rows=100)
    found = permutation_importance(task, part, lambda raw: {"score": raw["x"]}, settings, 0)
    assert found is not None
    assert (found["metric"], found["n_rows"]) == ("ndcg", 90)
    assert found["columns"][0]["low"] > 0
    few = EvaluationSettings(n_bootstrap=20, permutation_rows=3)
    found = permutation_importance(task, part, lambda raw: {"score": raw["x"]}, few, 0)
    assert found is not None
    assert found["n_rows"] == 15
