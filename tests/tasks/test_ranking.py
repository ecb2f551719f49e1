from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score
from torchmetrics.functional import retrieval

from shopkit.errors import DataError
from shopkit.tasks.base import Task
from shopkit.tasks.ranking import Ranking
from shopkit.tasks.ranking_metrics import RankingStatistics
from shopkit.tasks.settings import RankingSettings

K = 3
seeds = st.integers(0, 10_000)


def rows(seed: int, n: int = 150) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with ties, relevance, groups of very different sizes."""
    rng = np.random.default_rng(seed)
    relevance = rng.integers(0, 4, n) * (rng.random(n) < 0.4)
    relevance[0] = 1
    return rng.integers(0, 6, n) / 5.0, relevance.astype(np.float32), rng.geometric(0.1, n)


def task(groups: np.ndarray, **settings: object) -> Task:
    return Ranking(RankingSettings(**{"k": K, **settings})).grouped_by(groups)


def by_group(groups: np.ndarray, relevance: np.ndarray, of: Callable[[np.ndarray], float]) -> float:
    found = [groups == group for group in np.unique(groups)]
    return float(np.mean([of(mask) for mask in found if relevance[mask].any()]))


@given(seeds)
def test_ndcg_equals_scikit_learn_ties_included(seed: int) -> None:
    score, relevance, groups = rows(seed)
    for gain, worth in (("linear", relevance), ("exponential", 2.0**relevance - 1)):

        def reference(mask: np.ndarray, worth: np.ndarray = worth) -> float:
            # Alone in its group, a relevant row is in the best order there is; scikit-learn refuses to say so.
            return 1.0 if mask.sum() == 1 else ndcg_score([worth[mask]], [score[mask]], k=K)

        found = task(groups, gain=gain).metrics({"score": score}, relevance)["ndcg"]
        assert found == pytest.approx(by_group(groups, relevance, reference))


@given(seeds)
def test_equals_torchmetrics_without_ties(seed: int) -> None:
    _, relevance, groups = rows(seed)
    score = np.random.default_rng(seed).permutation(len(relevance)) + 1.0  # torchmetrics passes over scores that are not positive
    functions = {
        "ndcg": (retrieval.retrieval_normalized_dcg, relevance),
        "mrr": (retrieval.retrieval_reciprocal_rank, relevance > 0),
        "precision": (retrieval.retrieval_precision, relevance > 0),
        "recall": (retrieval.retrieval_recall, relevance > 0),
    }
    found = task(groups, gain="linear").metrics({"score": score}, relevance)
    for name, (function, truth) in functions.items():

        def reference(mask: np.ndarray, function: object = function, truth: np.ndarray = truth) -> float:
            return float(function(torch.from_numpy(score[mask]), torch.from_numpy(truth[mask]), top_k=K))

        assert found[name] == pytest.approx(by_group(groups, relevance, reference), abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=5))
def test_ties_are_the_mean_over_every_order(group: list[tuple[int, int]]) -> None:
    score, relevance = (np.array(values, np.float64) for values in zip(*group, strict=True))
    if not relevance.any():
        return
    one, gain = np.zeros(len(score)), 2.0**relevance - 1

    def measured(score: np.ndarray) -> dict[str, float]:
        return RankingStatistics(score, relevance, gain, one, K)(np.ones(len(score)))

    orders = [measured(score + np.array(order) / 100) for order in permutations(range(len(score)))]
    for name, value in measured(score).items():
        assert value == pytest.approx(np.mean([order[name] for order in orders]))


@given(seeds)
def test_a_group_drawn_twice_counts_as_two(seed: int) -> None:
    score, relevance, groups = rows(seed)
    counts = np.random.default_rng(seed).integers(0, 3, groups.max() + 1)[groups]
    counts[groups == groups[0]] = 2
    times = np.repeat(np.arange(len(score)), counts)
    copies = np.concatenate([np.arange(count) for count in counts])
    weighted = task(groups).statistics({"score": score}, relevance)(counts.astype(np.float64))
    repeated = task(groups[times] + 1000 * copies).metrics({"score": score[times]}, relevance[times])
    assert weighted == pytest.approx(repeated)


def test_a_constant_is_not_rewarded_for_the_order_of_the_file() -> None:
    groups, relevance = np.zeros(4), np.array([1.0, 0, 0, 0], np.float32)
    bound = task(groups, k=1)
    for order in (relevance, relevance[::-1]):
        found = bound.metrics(bound.constant_outputs(4), order)
        assert found == pytest.approx(dict.fromkeys(("ndcg", "mrr", "precision", "recall"), 0.25))


def test_groups_without_a_relevant_row_are_left_out() -> None:
    groups, relevance = np.array([0, 0, 1, 1]), np.array([1, 0, 0, 0], np.float32)
    score = np.array([2.0, 1, 2, 1])
    assert task(groups).metrics({"score": score}, relevance)["ndcg"] == 1
    assert np.isnan(task(groups).metrics({"score": score}, np.zeros(4, np.float32))["ndcg"])
    assert np.isnan(task(groups[:0]).metrics({"score": score[:0]}, relevance[:0])["mrr"])


def test_titles_name_k() -> None:
    assert task(np.zeros(1), k=7).described["ndcg"].title == "nDCG@7"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([]), "The target has no rows"),
        (np.array(["good", "bad"], object), r"needs relevance as a number from 0, but the target is text \(row 0: 'good'\)"),
        (np.array([0.0, -2.0]), r"Relevance is a number from 0, but the target is -2 in row 1 \(1 such rows\)"),
        (np.array([0.0, np.nan]), "the target is nan in row 1"),
        (np.array([0.0, 31.0]), r"The target is 31 in row 1, and task.gain=exponential takes relevance to 30"),
        (np.array([1.0, 1.0]), "The relevance is 1 in all 2 training rows"),
    ],
)
def test_targets_that_cannot_be_used(values: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Ranking(RankingSettings()).fit_target(values)


def test_no_groups() -> None:
    ranking = Ranking(RankingSettings(gain="linear"))
    ranking.fit_target(np.array([0.0, 50.0]))
    for ask in (lambda: ranking.grouped_by(None), lambda: ranking.metrics({"score": np.zeros(2)}, np.zeros(2))):
        with pytest.raises(DataError, match=r"Name it with view.group=<column>"):
            ask()
