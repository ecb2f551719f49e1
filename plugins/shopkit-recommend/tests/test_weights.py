"""What the weight of a row means to each model: as many rows like it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shopkit
from shop import QUICK
from shopkit.errors import ConfigError
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.features.tensors import Ragged
from shopkit.models.base import Arrays
from small import ROWS, problem

from shopkit_recommend.models.als import ALS
from shopkit_recommend.models.blend import Blend
from shopkit_recommend.models.ease import Ease
from shopkit_recommend.models.histories import whole_sequences
from shopkit_recommend.models.item_graph import ItemGraph
from shopkit_recommend.models.item_knn import ItemKnn
from shopkit_recommend.models.markov import Markov
from shopkit_recommend.models.network_settings import ALSSettings, BlendSettings
from shopkit_recommend.models.popular import Popular
from shopkit_recommend.models.session_knn import SessionKnn
from shopkit_recommend.models.settings import EaseSettings, ItemKnnSettings, MarkovSettings, PopularSettings, SessionKnnSettings

TIMES = [3, 1, 0, 2, 1, 1]
"""What each row of `ROWS` counts."""
REPEATED = [row for row, times in zip(ROWS, TIMES, strict=True) for _ in range(times)]
MODELS = [
    (Popular, PopularSettings()),
    (Markov, MarkovSettings()),
    (Markov, MarkovSettings(window=3, backwards=0.3)),
    (ItemKnn, ItemKnnSettings(shrink=2.0)),
    (Ease, EaseSettings(l2=3.0)),
    (ALS, ALSSettings(factors=3, iterations=4)),
]


def weighted(rows: list[list[int]], weight: list[float] | None) -> Arrays:
    _, _, train = problem(rows)
    return replace(train, weight=None if weight is None else np.array(weight, np.float32))


def learnt(kind: type, chosen: object, train: Arrays) -> dict[str, np.ndarray]:
    spec, task, _ = problem()
    model = kind(chosen, spec, task)
    model.fit(train, train, 0)
    return model.state()


@pytest.mark.parametrize(("kind", "chosen"), MODELS)
def test_a_weight_is_so_many_rows(kind: type, chosen: object) -> None:
    spec, task, _ = problem()
    found, expected = (kind(chosen, spec, task) for _ in range(2))
    for model, train in ((found, weighted(ROWS, TIMES)), (expected, weighted(REPEATED, None))):
        model.fit(train, train, 0)
    asked = weighted(ROWS, None).features
    np.testing.assert_allclose(found.scores(asked), expected.scores(asked), rtol=1e-4, atol=1e-5)
    unweighted = kind(chosen, spec, task)
    unweighted.fit(weighted(ROWS, None), weighted(ROWS, None), 0)
    assert not np.allclose(found.scores(asked), unweighted.scores(asked), rtol=1e-3)


@pytest.mark.parametrize(("kind", "chosen"), MODELS)
def test_ones_are_no_weights(kind: type, chosen: object) -> None:
    ones, none = (learnt(kind, chosen, weighted(ROWS, weight)) for weight in ([1.0] * len(ROWS), None))
    for name, values in none.items():
        np.testing.assert_allclose(ones[name], values, rtol=1e-6)


def test_a_weight_below_one_leaves_popularity_to_decide_ties_alone() -> None:
    _, _, train = problem(ROWS)
    faint = learnt(Markov, MarkovSettings(), replace(train, weight=np.full(len(ROWS), 1e-3, np.float32)))
    assert faint["popularity"].max() < faint["data"].min()


def test_popularity_by_age_counts_weights_as_well() -> None:
    spec, task, train = problem([[0, 1], [2, 1]])
    spec = FeatureSpec((*spec.blocks, FeatureBlock("days_before", "identity", "sequence_dense", 0, 1, ("days_before",))))
    days = Ragged(np.array([[10.0], [0.0]], np.float32), np.array([0, 1, 2]), np.float32)
    features = {**train.features, "sequence_dense": days}
    timed = replace(train, features=features, times=np.array([0, 20]) * 86_400, weight=np.array([2.0, 0.5], np.float32))
    model = Popular(PopularSettings(half_life_days=10), spec, task)
    model.fit(timed, timed, 0)
    # Ages: item 0 30 days, item 1 20 and 0, item 2 0.
    assert np.allclose(np.exp(model.bought[:3]), [2 * 0.125, 2 * 0.25 + 0.5, 0.5], atol=1e-4)


def test_an_item_graph_counts_who_stands_beside_whom_by_weight() -> None:
    spec, _, _ = problem()
    shares = []
    for train in (weighted(ROWS, TIMES), weighted(REPEATED, None)):
        graph = ItemGraph(7, 3, 1.0, False)
        graph.look_at(whole_sequences(train, spec.blocks[0], 5))
        shares.append(graph.shares)
    np.testing.assert_allclose(shares[0], shares[1], rtol=1e-6)


@pytest.mark.parametrize(("kind", "chosen"), [(SessionKnn, SessionKnnSettings()), (Blend, BlendSettings())])
def test_where_a_weight_means_nothing_it_is_refused(kind: type, chosen: object) -> None:
    name = {SessionKnn: "session_knn", Blend: "blend"}[kind]
    with pytest.raises(
        ConfigError, match=rf"model={name} takes no weights; .*leave view\.weight empty.*as item_knn and sasrec do"
    ):
        learnt(kind, chosen, weighted(ROWS, [2.0] * len(ROWS)))


def test_weights_of_a_table_of_histories_come_to_the_model(tmp_path: Path) -> None:
    rows = [(["a"], "b")] * 20 + [(["c"], "d")] * 40
    table = pd.DataFrame(rows, columns=["history", "next"]).assign(counts=[3.0] * 20 + [1.0] * 40)
    chosen = ["view=table", "view.target=next", "split=random", "task=next_item", "model=popular", "model.exclude_seen=false"]
    changes = [*chosen, "features.columns.history=catalogue", "evaluation.baselines=[]", *QUICK]
    for weight, first in (("", {"c", "d"}), ("counts", {"a", "b"})):
        run = shopkit.run(None, [*changes, f"view.weight={weight}"], data={"data": table}, folder=tmp_path / f"run{weight}")
        items = shopkit.Predictor(run.model_path)({"history": ["a"]})["items"]
        assert set(items[:2]) == first
