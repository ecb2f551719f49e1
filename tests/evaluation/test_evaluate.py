from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from shopkit.evaluation.evaluate import evaluate, kind_of
from shopkit.evaluation.part import Outputs, Part, Raw
from shopkit.evaluation.settings import EvaluationSettings
from shopkit.tasks.base import Task
from shopkit.tasks.binary import Binary
from shopkit.tasks.multiclass import Multiclass
from shopkit.tasks.ranking import Ranking
from shopkit.tasks.regression import Regression
from shopkit.tasks.settings import MulticlassSettings, RankingSettings, RegressionSettings

Shop = tuple[Binary, dict[str, Part], Callable[[Raw], Outputs]]
SETTINGS = EvaluationSettings(n_bootstrap=60, permutation_rows=300, permutation_repeats=2)

KEYS = [
    "kind", "n_rows", "sampled", "target", "decision", "interval", "about", "metrics", "baselines", "protocol", "primary",
    "details", "curves", "segments", "importance", "drift", "audit",
]  # fmt: skip


def test_it_is_plain_repeatable_and_whole(shop: Shop) -> None:
    task, parts, predict = shop
    found = evaluate(task, parts, settings=SETTINGS, predict=predict, seed=3)
    assert list(found) == KEYS
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found == evaluate(task, parts, settings=SETTINGS, predict=predict, seed=3)
    assert found["kind"] == "binary"
    assert found["n_rows"] == {"train": 3000, "validation": 500, "test": 1000}
    assert found["interval"]["unit"] == "groups"
    assert found["target"]["rate"]["test"] == pytest.approx(parts["test"].target.mean())
    for values in found["metrics"].values():
        assert list(values) == list(found["about"]) == list(task.described)
        for entry in values.values():
            assert entry["low"] <= entry["value"] <= entry["high"]
    curves = ["roc", "precision_recall", "thresholds", "gains", "deciles", "scores", "calibration", "confusion"]
    assert list(found["curves"]) == curves
    assert found["curves"]["confusion"]["threshold"] == task.state["threshold"]
    assert found["importance"]["columns"][0]["column"] == "recency"
    assert found["segments"][0]["column"] == "recency"
    assert len(found["drift"]) == 4


def test_baselines_are_compared_on_the_same_rows(shop: Shop) -> None:
    task, parts, predict = shop
    test = parts["test"]
    other = predict({**test.raw, "visitor": np.full(len(test), "returning", object)})
    found = evaluate(task, parts, settings=SETTINGS, baselines={"no_visitor": other, "twin": test.outputs})["baselines"]
    assert list(found) == ["constant", "no_visitor", "twin"]
    assert found["constant"]["metrics"]["auroc"]["value"] == 0.5
    assert found["constant"]["difference"]["auroc"]["verdict"] == "better"
    assert found["constant"]["difference"]["log_loss"]["verdict"] == "better"
    assert found["constant"]["difference"]["log_loss"]["value"] < 0
    gain = found["no_visitor"]["difference"]["auroc"]
    assert gain["verdict"] == "better"
    # Both see the same rows, so their difference is known better than either.
    assert (
        gain["high"] - gain["low"]
        < found["no_visitor"]["metrics"]["auroc"]["high"] - found["no_visitor"]["metrics"]["auroc"]["low"]
    )
    assert found["twin"]["difference"]["auroc"] == {"value": 0, "low": 0, "high": 0, "verdict": "equal"}


def test_a_better_baseline_makes_the_model_worse(shop: Shop) -> None:
    task, parts, _ = shop
    truth = parts["test"].target
    oracle = {"probability": truth, "label": np.where(truth > 0, "1", "0").astype(object)}
    found = evaluate(task, parts, settings=SETTINGS, baselines={"oracle": oracle})["baselines"]["oracle"]["difference"]
    assert {found[name]["verdict"] for name in ("auroc", "log_loss", "accuracy")} == {"worse"}


def test_the_little_that_is_needed(shop: Shop) -> None:
    task, parts, _ = shop
    found = evaluate(task, {"test": parts["test"]}, settings=EvaluationSettings(n_bootstrap=0, max_segment_columns=0))
    json.dumps(found, allow_nan=False)
    assert list(found["metrics"]) == ["test"]
    assert found["metrics"]["test"]["auroc"]["low"] is None
    assert found["baselines"]["constant"]["difference"]["auroc"]["verdict"] is None
    assert (found["importance"], found["drift"], found["audit"], found["segments"]) == (None, [], [], [])


def test_sample_weights_weigh(shop: Shop) -> None:
    task, parts, _ = shop
    test = parts["test"]
    weight = np.random.default_rng(0).integers(0, 3, len(test))
    rows = np.repeat(np.arange(len(test)), weight)
    settings = EvaluationSettings(n_bootstrap=0, max_segment_columns=0)
    weighted = evaluate(task, {"test": replace(test, weight=weight.astype(np.float32))}, settings=settings)
    repeated = evaluate(task, {"test": test.take(rows)}, settings=settings)
    for name, entry in weighted["metrics"]["test"].items():
        assert entry["value"] == pytest.approx(repeated["metrics"]["test"][name]["value"], rel=1e-5)
    assert weighted["curves"]["roc"]["area"] == pytest.approx(repeated["curves"]["roc"]["area"])
    assert weighted["target"]["rate"]["test"] == pytest.approx(repeated["target"]["rate"]["test"], rel=1e-6)


def test_one_class_in_the_test_part(shop: Shop) -> None:
    task, parts, predict = shop
    test = parts["test"].take(np.flatnonzero(parts["test"].target == 0))
    found = evaluate(task, {**parts, "test": test}, settings=SETTINGS, predict=predict)
    json.dumps(found, allow_nan=False)
    assert found["metrics"]["test"]["auroc"] == {"value": None, "low": None, "high": None}
    assert found["metrics"]["test"]["log_loss"]["value"] > 0


def _parts(raw: np.ndarray, target: np.ndarray, outputs: Outputs) -> dict[str, Part]:
    half = np.arange(len(target)) < len(target) // 2
    whole = Part({"x": raw}, target, outputs)
    return {"train": replace(whole.take(half), outputs={}), "test": whole.take(~half)}


def test_multiclass() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 800).astype(np.float32)
    codes = (rng.random(800)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    task = Multiclass(MulticlassSettings())
    names = np.array(["a", "b", "c"], object)
    task.fit_target(names[codes])
    parts = _parts(rng.normal(size=800).astype(np.float32), codes, {"probability": p, "label": names[p.argmax(axis=1)]})
    found = evaluate(task, parts, settings=SETTINGS)
    json.dumps(found, allow_nan=False)
    assert found["kind"] == "multiclass"
    assert sum(found["target"]["rate"]["test"].values()) == pytest.approx(1)
    assert [entry["class"] for entry in found["curves"]["by_class"]] == ["a", "b", "c"]
    assert found["baselines"]["constant"]["difference"]["accuracy"]["verdict"] == "better"
    assert found["segments"][0]["rows"][0]["target"] is None


def test_regression() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=800).astype(np.float32)
    target = (x * 10 + rng.normal(size=800)).astype(np.float32)
    task = Regression(RegressionSettings(unit="USD"))
    task.fit_target(target)
    found = evaluate(
        task, _parts(x, target, {"prediction": x * 10}), settings=SETTINGS, predict=lambda raw: {"prediction": raw["x"] * 10}
    )
    json.dumps(found, allow_nan=False)
    assert found["kind"] == "regression"
    assert found["target"]["unit"] == "USD"
    assert found["importance"]["metric"] == "rmse"
    assert found["audit"][0]["check"] == "one_column_predicts"
    assert found["baselines"]["constant"]["difference"]["mae"]["verdict"] == "better"


def test_a_task_of_another_kind_is_measured_without_curves(shop: Shop) -> None:
    class Hits(Regression):
        described = {}  # noqa: RUF012

        @property
        def outputs(self):  # type: ignore[no-untyped-def]
            return ()

        def metrics(self, outputs, target, weight=None):  # type: ignore[no-untyped-def]
            weight = np.ones(len(target)) if weight is None else weight
            return {"hits": float(np.average(outputs["prediction"] == target, weights=weight))}

        statistics = Task.statistics

    task = Hits(RegressionSettings())
    target = np.arange(200, dtype=np.float32)
    task.fit_target(target)
    parts = {"test": Part({"x": target}, target, {"prediction": target})}
    found = evaluate(task, parts, settings=SETTINGS)
    json.dumps(found, allow_nan=False)
    assert kind_of(task) == "other"
    assert found["curves"] == {}
    assert found["about"]["hits"] == {
        "title": "hits",
        "better": "higher",
        "meaning": "",
        "least": None,
        "most": None,
    }
    assert found["metrics"]["test"]["hits"]["value"] == 1


def test_the_spread_of_a_weighted_target_is_weighted() -> None:
    target, weight = np.array([0.0, 10, 10, 40], np.float32), np.array([1.0, 1, 1, 0], np.float32)
    task = Regression(RegressionSettings())
    task.fit_target(target)
    parts = {"test": Part({"x": target}, target, {"prediction": target}, weight)}
    found = evaluate(task, parts, settings=SETTINGS)["target"]
    assert found["mean"]["test"] == pytest.approx(20 / 3)
    assert found["std"]["test"] == pytest.approx(target[:3].std())


def test_what_is_ranked_are_decisions() -> None:
    """Two customers with two queries each, one of which has nothing relevant."""
    task = Ranking(RankingSettings(k=2))
    target = np.array([1.0, 0, 0, 0, 0, 1, 1, 0], np.float32)
    task.fit_target(target)
    rows = np.arange(8)
    part = Part({"x": target}, target, {"score": -target}, groups=rows // 4, decisions=rows // 2)
    found = evaluate(task, {"test": part}, settings=SETTINGS)
    assert found["target"] == {"groups": {"test": 4}, "groups_without_relevant": {"test": 1}}
