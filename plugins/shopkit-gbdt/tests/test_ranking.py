"""Learning to rank: the whole way, parity, and equality with LightGBM called directly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import shopkit
from conftest import Made, make
from shopkit.errors import DataError
from shopkit.tasks.ranking import Ranking
from shopkit.tasks.settings import RankingSettings
from test_parity import assert_parity, fitted

from shopkit_gbdt.columns import side_by_side


def ranking(weighted: bool = False, **settings: object) -> Made:
    """Grades 0 to 3, in groups of about 15 rows in no order."""
    made = make("multiclass", n=900, weighted=weighted)
    made.task = Ranking(RankingSettings(**settings))
    made.task.fit_target(made.train.target.astype(float))

    def part(arrays: object) -> object:
        groups = np.random.default_rng(0).integers(0, len(arrays) // 15, len(arrays))
        return replace(arrays, target=arrays.target.astype(np.float32), groups=groups)

    made.train, made.validation = part(made.train), part(made.validation)
    return made


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("gain", ["exponential", "linear"])
def test_ranks_and_the_graph_equals_the_library(weighted: bool, gain: str) -> None:
    made = ranking(weighted, gain=gain)
    estimator = fitted("gbdt", made)
    assert_parity(estimator, made.validation.features)
    bound, rows = made.task.grouped_by(made.validation.groups), made.validation
    found = bound.metrics({"score": estimator.scores(rows.features)[:, 0]}, rows.target)["ndcg"]
    assert found > bound.metrics(bound.constant_outputs(len(rows)), rows.target)["ndcg"] + 0.15


def test_equal_to_lightgbm_called_directly_whatever_the_order_of_rows() -> None:
    made = ranking(k=5)
    train = made.train
    order = np.argsort(train.groups, kind="stable")
    data = lgb.Dataset(
        side_by_side(train.features)[order],
        train.target[order],
        group=np.bincount(train.groups),
        categorical_feature=[4, 5, 6],
    )
    parameters = {"objective": "lambdarank", "lambdarank_truncation_level": 8, "learning_rate": 0.1, "verbose": -1}
    direct = lgb.train({**parameters, "deterministic": True, "force_col_wise": True}, data, 25)
    estimator = fitted("gbdt", made, early_stopping_rounds=0)
    expected = direct.predict(side_by_side(made.validation.features))
    np.testing.assert_allclose(estimator.scores(made.validation.features)[:, 0], expected, atol=1e-5)


def test_any_relevance_and_early_stopping_by_the_tasks_metric() -> None:
    made = ranking(gain="linear")
    for part in ("train", "validation"):
        arrays = getattr(made, part)
        setattr(made, part, replace(arrays, target=arrays.target * 123.45))
    estimator = fitted("gbdt", made, n_trees=300, early_stopping_rounds=5)
    assert len(estimator.forest.roots) < 300
    assert_parity(estimator, made.validation.features)


def test_no_groups_and_a_group_too_large() -> None:
    made = ranking()
    made.train = replace(made.train, groups=None)
    with pytest.raises(DataError, match=r"Name it with view\.group"):
        fitted("gbdt", made)
    n = 10_001
    large = {name: np.resize(values, (n, values.shape[1])) for name, values in made.train.features.items()}
    made.train = replace(made.train, features=large, target=np.resize(made.train.target, n), groups=np.zeros(n, np.int64))
    with pytest.raises(DataError, match="has 10,001 rows, and LightGBM ranks at most 10,000 in a group"):
        fitted("gbdt", made)


def test_the_whole_way(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    match, price = rng.random(300), rng.lognormal(3, 0.6, 300)
    utility = 3 * match - 0.03 * price + rng.normal(size=300) * 0.2
    grade = np.digitize(utility, np.quantile(utility, [0.6, 0.85, 0.95]))
    data = pd.DataFrame(
        {"query": rng.permutation(np.arange(300) % 20).astype(str), "match": match, "price": price, "relevance": grade}
    )
    overrides = ["view=table", "view.target=relevance", "view.group=query", "task=ranking", "split=group", "model=gbdt"]
    quick = ["evaluation.n_bootstrap=20", "evaluation.latency_seconds=0.02", "trainer.max_epochs=2", "model.min_leaf_rows=5"]
    run = shopkit.run(data=data, overrides=[*overrides, *quick], folder=tmp_path / "run")
    found = run.metrics
    assert found["kind"] == "ranking"
    assert found["metrics"]["test"]["ndcg"]["value"] > found["baselines"]["constant"]["metrics"]["ndcg"]["value"] + 0.1
    assert found["importance"]["metric"] == "ndcg"
