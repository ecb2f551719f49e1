"""The neighbour and closed-form models: what they learn, and against slow references."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import spox
from hypothesis import given, settings
from hypothesis import strategies as st
from shop import recommend, sequences
from shopkit.errors import ConfigError
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.features.tensors import Ragged
from shopkit.models.base import Arrays
from shopkit.runtime.artifact import open_session
from small import ROWS, asked, fitted, problem

from shopkit_recommend.models import csr
from shopkit_recommend.models.ease import Ease
from shopkit_recommend.models.histories import whole_sequences
from shopkit_recommend.models.inputs import FIRST_ITEM
from shopkit_recommend.models.item_knn import ItemKnn
from shopkit_recommend.models.markov import Markov
from shopkit_recommend.models.pairs import Pairs
from shopkit_recommend.models.popular import Popular
from shopkit_recommend.models.recommender import recency
from shopkit_recommend.models.session_knn import SessionKnn
from shopkit_recommend.models.settings import (
    EaseSettings,
    ItemKnnSettings,
    MarkovSettings,
    PairsSettings,
    PopularSettings,
    SessionKnnSettings,
)


def test_a_model_is_called_as_it_is_chosen() -> None:
    _, task, _ = problem()
    for model, chosen in ((ItemKnn, ItemKnnSettings()), (SessionKnn, SessionKnnSettings())):
        with pytest.raises(ConfigError, match=rf"model={model.name} reads histories as the 5 items.*there are: none"):
            model(chosen, FeatureSpec(()), task)
    assert (ItemKnn.name, SessionKnn.name) == ("item_knn", "session_knn")


def test_whole_sequences_are_histories_with_their_targets_less_unknown_items() -> None:
    spec, _, train = problem()
    unknown = Arrays(train.features, np.where(train.target == 3, -1, train.target))
    found = whole_sequences(unknown, spec.blocks[0], 5)
    rows = [found.items[a:b].tolist() for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)]
    assert rows == [[0, 1, 2], [0, 1], [1, 2], [4, 0, 1, 2], [], [2, 0]]


@pytest.mark.filterwarnings("error")
def test_a_short_history_beside_a_long_one_has_its_own_recency() -> None:
    ids = np.full((2, 3000), FIRST_ITEM)
    ids[1, 2:] = 0
    np.testing.assert_allclose(recency(ids, 0.7)[1, :3], [0.7, 1, 0])


def test_popular_counts() -> None:
    model = fitted(Popular, PopularSettings(exclude_seen=False))
    assert np.allclose(np.exp(model.scores(asked([]))[0]) - 1, [4, 4, 4, 2, 1])


def test_popular_with_time_decay_counts_by_age(tmp_path: Path) -> None:
    spec, task, train = problem([[0, 1], [2, 1]])
    spec = FeatureSpec((*spec.blocks, FeatureBlock("days_before", "identity", "sequence_dense", 0, 1, ("days_before",))))
    days = Ragged(np.array([[10.0], [0.0]], np.float32), np.array([0, 1, 2]), np.float32)
    times = np.array([0, 20]) * 86_400
    timed = Arrays({**train.features, "sequence_dense": days}, train.target, times=times)
    model = Popular(PopularSettings(half_life_days=10, exclude_seen=False), spec, task)
    model.fit(timed, timed, 0)
    # Ages: item 0 30 days, item 1 20 and 0, item 2 0.
    assert np.allclose(np.exp(model.bought[:3]), [0.125, 1.25, 1.0], atol=1e-4)


def test_popular_with_time_decay_needs_times() -> None:
    with pytest.raises(ConfigError, match=r"model\.half_life_days counts by time, and the examples do not say when"):
        fitted(Popular, PopularSettings(half_life_days=7))


def test_markov_counts_what_followed_the_last_known_item() -> None:
    model = fitted(Markov, MarkovSettings(exclude_seen=False))
    after_one = model.scores(asked([4, 1]))[0]
    assert np.floor(after_one).tolist() == [0, 0, 3, 1, 0]
    assert np.allclose(model.scores(asked([4, 1, -1])), after_one)  # -1 is an unknown item


def test_sequential_rules_count_within_a_window_and_backwards() -> None:
    model = fitted(Markov, MarkovSettings(window=2, backwards=0.5, exclude_seen=False))
    popularity = 0.125 * np.array([4, 4, 4, 2, 1]) / 4
    np.testing.assert_allclose(model.scores(asked([0]))[0] - popularity, [0, 3, 1.5, 0.5, 0.5], atol=1e-6)


def test_pairs_count_what_came_right_after_the_last_two() -> None:
    model = fitted(Pairs, PairsSettings())
    assert model.scores(asked([0, 1], [4, 0], [3, 0, 1])).tolist() == [[0, 0, 2, 1, 0], [0, 1, 0, 0, 0], [0, 0, 2, 1, 0]]
    # In another order, one alone, after an unknown item, none.
    assert not model.scores(asked([1, 0], [1], [-1, 1], [0, -1], [])).any()
    assert not fitted(Pairs, PairsSettings(), [[0, 1], [2]]).scores(asked([0, 1])).any()


def test_item_knn_is_shrunk_cosine_with_decay() -> None:
    model = fitted(ItemKnn, ItemKnnSettings(decay=0.5, shrink=2.0, exclude_seen=False, repeat=3.0))
    has = np.zeros((6, 5))
    for at, row in enumerate(ROWS):
        has[at, row] = 1
    together, n = has.T @ has, has.sum(0)
    similar = together / (np.sqrt(np.outer(n, n)) + 2)
    np.fill_diagonal(similar, 3)
    assert np.allclose(model.scores(asked([0, 3]))[0], 0.5 * similar[0] + similar[3], atol=2e-6)


def test_ease_is_ridge_regression_without_the_diagonal() -> None:
    model = fitted(Ease, EaseSettings(l2=1.5, weights=0, exclude_seen=False))
    has = np.zeros((6, 5))
    for at, row in enumerate(ROWS):
        has[at, row] = 1
    for item in range(5):
        others = np.delete(has, item, axis=1)
        ridge = np.linalg.solve(others.T @ others + 1.5 * np.eye(4), others.T @ has[:, item])
        found = [model.scores(asked([other]))[0, item] for other in range(5) if other != item]
        assert np.allclose(found, ridge, atol=1e-5)


def test_ease_wants_a_ridge_that_can_be_inverted() -> None:
    with pytest.raises(ConfigError, match=r"model\.l2 is 1e-06, too little for these histories.*almost always occur together"):
        fitted(Ease, EaseSettings(l2=1e-6), [[0, 1, 2, 3, 4]] * 1000)


def test_ease_refuses_a_catalogue_that_memory_would_not_hold() -> None:
    spec, task, _ = problem()
    assert Ease(EaseSettings(max_items=5), spec, task).n_items == 5
    with pytest.raises(ConfigError, match=r"5 items take 0\.0 GB at least, and model\.max_items is 4\. Choose model=item_knn"):
        Ease(EaseSettings(max_items=4), spec, task)


def test_session_knn_asks_the_latest_of_equal_sessions_and_counts_a_repeated_item_once() -> None:
    model = fitted(SessionKnn, SessionKnnSettings(neighbours=1, idf=False))
    # Of the sessions with item 1 the shortest is [1, 2].
    assert np.flatnonzero(model.scores(asked([1]))[0] > 1e-3).tolist() == [1, 2]
    equal = fitted(SessionKnn, SessionKnnSettings(neighbours=1, idf=False), [[0, 1], [0, 2], [0, 3]])
    assert np.flatnonzero(equal.scores(asked([0]))[0] > 1e-3).tolist() == [0, 3]
    assert np.allclose(equal.scores(asked([0, 0, 0])), equal.scores(asked([0])))


def test_with_aging_a_late_session_goes_before_a_more_similar_one() -> None:
    rows = [[0, 1], [0, 2, 3]]
    for aging, expected in ((0.0, [0, 1]), (1.0, [0, 2, 3])):
        model = fitted(SessionKnn, SessionKnnSettings(neighbours=1, idf=False, aging=aging), rows)
        assert np.flatnonzero(model.scores(asked([0]))[0] > 1e-3).tolist() == expected


def test_what_was_seen_is_masked() -> None:
    for kind, chosen in ((Markov, MarkovSettings()), (ItemKnn, ItemKnnSettings()), (Ease, EaseSettings())):
        scores = fitted(kind, chosen).scores(asked([0, 1], [4]))
        assert (scores < -1e29).tolist() == [[True, True, False, False, False], [False, False, False, False, True]]


@pytest.mark.parametrize(
    ("kind", "chosen"),
    [
        (Markov, MarkovSettings()),
        (Markov, MarkovSettings(window=3, backwards=0.5)),
        (ItemKnn, ItemKnnSettings(neighbours=2)),
        (Ease, EaseSettings(weights=2)),
        (SessionKnn, SessionKnnSettings(neighbours=2, recent=2, aging=1.0)),
        (Pairs, PairsSettings()),
    ],
)
def test_the_graph_of_a_large_matrix_answers_the_same(kind: type, chosen: object, monkeypatch: pytest.MonkeyPatch) -> None:
    model = fitted(kind, chosen)
    histories = asked([0, 1], [], [-1, 3], [4, 4, 2, 0], [0, 1, 2], [1], [4, -1])
    for small in (0, csr.SMALL):
        monkeypatch.setattr(csr, "SMALL", small)
        session = open_session(model.to_onnx().SerializeToString())
        (answer,) = session.run(["scores"], {"sequence_ids": histories["sequence_ids"]})
        np.testing.assert_allclose(answer, model.scores(histories), rtol=1e-5)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_sparse_product_in_a_graph(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_rows, width, height, n_columns = rng.integers(1, 5), rng.integers(1, 6), rng.integers(1, 8), rng.integers(1, 8)
    matrix = sp.random_array((height, n_columns), density=rng.random(), rng=rng, format="csr", dtype=np.float32)
    places, weights = rng.integers(0, height, (n_rows, width)), rng.normal(size=(n_rows, width)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csr, "SMALL", 0)
        given_places, given_weights = (spox.argument(spox.Tensor(dtype, ("N", "T"))) for dtype in (np.int64, np.float32))
        model = spox.build({"p": given_places, "w": given_weights}, {"y": csr.times(given_places, given_weights, matrix)})
    (found,) = open_session(model.SerializeToString()).run(None, {"p": places, "w": weights})
    expected = (weights[..., None] * matrix.toarray()[places]).sum(1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_largest_entries_of_each_row() -> None:
    matrix = sp.csr_matrix(np.array([[1.0, -3.0, 2.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.0]]))
    assert csr.largest(matrix, 2).toarray().tolist() == [[0, -3, 2], [0, 0.5, 0], [0, 0, 0]]
    assert csr.largest(matrix, 0) is matrix


def test_a_run_learns_the_order(tmp_path: Path) -> None:
    metrics = recommend(tmp_path, sequences(300), "model=markov").metrics
    assert metrics["metrics"]["test"]["mrr_10"]["value"] > metrics["baselines"]["constant"]["metrics"]["mrr_10"]["value"] + 0.3
