"""The task: its metrics beside torchmetrics, its blocks, its errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shopkit.errors import ConfigError, DataError
from shopkit.schema import Column, Schema
from shopkit.split.base import Rows
from torchmetrics.functional.retrieval import (
    retrieval_average_precision,
    retrieval_hit_rate,
    retrieval_normalized_dcg,
    retrieval_recall,
    retrieval_reciprocal_rank,
)

from shopkit_recommend.tasks.metrics import Lists
from shopkit_recommend.tasks.next_item import NextItem
from shopkit_recommend.tasks.settings import NextItemSettings


def task(n_items: int = 30, **chosen: object) -> NextItem:
    made = NextItem(NextItemSettings(**{"k": 10, "cutoffs": [5, 10], **chosen}))
    made.state = {"classes": [f"item {at}" for at in range(n_items)], "counts": list(range(n_items, 0, -1))}
    return made


def decided(made: NextItem, scores: np.ndarray) -> dict[str, np.ndarray]:
    import ndonnx as ndx

    return {name: array.unwrap_numpy() for name, array in made.decide(ndx.asarray(scores)).items()}


@pytest.mark.parametrize("k", [5, 10])
def test_metrics_of_single_items_equal_torchmetrics(k: int) -> None:
    rng = np.random.default_rng(k)
    made, scores, target = task(), rng.normal(size=(40, 30)).astype(np.float32), rng.integers(0, 30, 40)
    found = made.metrics(decided(made, scores), target)
    rows = [(torch.from_numpy(score), torch.from_numpy(np.arange(30) == at)) for score, at in zip(scores, target, strict=True)]
    for name, reference in (
        ("recall", retrieval_hit_rate),
        ("ndcg", retrieval_normalized_dcg),
        ("mrr", retrieval_reciprocal_rank),
    ):
        expected = np.mean([float(reference(*row, top_k=k)) for row in rows])
        assert found[f"{name}_{k}"] == pytest.approx(expected, abs=1e-6)


def test_metrics_of_baskets_equal_torchmetrics() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(12, 30)).astype(np.float32)
    baskets = [rng.choice(30, rng.integers(1, 8), replace=False) for _ in scores]
    groups = np.repeat(np.arange(12), [len(basket) for basket in baskets])
    made = task(baskets=True).grouped_by(groups)
    found = made.metrics(decided(made, scores[groups]), np.concatenate(baskets))
    rows = [
        (torch.from_numpy(score), torch.from_numpy(np.isin(np.arange(30), b))) for score, b in zip(scores, baskets, strict=True)
    ]
    for name, reference in (
        ("recall_10", retrieval_recall),
        ("ndcg_10", retrieval_normalized_dcg),
        ("mrr_10", retrieval_reciprocal_rank),
    ):
        assert found[name] == pytest.approx(np.mean([float(reference(*row, top_k=10)) for row in rows]), abs=1e-6)
    # torchmetrics divides by the right items found; by those there could be, a list that finds few of many is no better for it.
    precisions = [float(retrieval_average_precision(*row, top_k=10)) for row in rows]
    hits = [int(truth[score.topk(10).indices].sum()) for score, truth in rows]
    expected = [p * hit / min(10, len(basket)) for p, hit, basket in zip(precisions, hits, baskets, strict=True)]
    assert found["map_10"] == pytest.approx(np.mean(expected), abs=1e-6)


def test_coverage_novelty_and_bias() -> None:
    counts = np.array([8, 4, 2, 2])
    found = Lists(np.array([[0, 1], [0, -2]]), np.array([0, 2]), counts, [2])(np.ones(2))
    assert found["coverage"] == 0.5
    assert found["novelty"] == pytest.approx((1 + 2 + 1) / 3)
    assert found["popularity_bias"] == pytest.approx((8 + 4 + 8) / 3 / 5)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_validation_ranks_as_the_file_does(seed: int) -> None:
    """Ties and all: what is watched in training is what the list is measured by."""
    rng = np.random.default_rng(seed)
    made, scores = task(), rng.integers(0, 6, (20, 30)).astype(np.float32)
    target = rng.integers(-1, 30, 20)
    whole = made.summary(torch.from_numpy(scores), torch.from_numpy(target))
    blocks = [
        made.summary(torch.from_numpy(scores[rows]), torch.from_numpy(target[rows])) for rows in (slice(0, 7), slice(7, 20))
    ]
    assert torch.equal(whole.nan_to_num(-1), torch.cat(blocks).nan_to_num(-1))
    of_file = made.metrics(decided(made, scores), target)
    watched = made.validation_metrics(whole, torch.from_numpy(target), None)
    assert watched == pytest.approx({name: of_file[name] for name in watched})


def test_validation_loss_is_the_loss_of_what_can_be_reached() -> None:
    rng = np.random.default_rng(1)
    made, scores = task(), torch.from_numpy(rng.normal(size=(6, 30)).astype(np.float32))
    target = torch.tensor([3, -1, 7, 0, 9, 29])
    scores[2, 7] = -1e30
    kept = [0, 3, 4, 5]
    expected = float(torch.nn.functional.cross_entropy(scores[kept], target[kept]))
    assert made.validation_loss(made.summary(scores, target), target, None) == pytest.approx(expected, rel=1e-5)


def test_sampled_metrics_are_labelled_and_easier() -> None:
    rng = np.random.default_rng(2)
    made, scores = task(sampled=3), torch.from_numpy(rng.normal(size=(200, 30)).astype(np.float32))
    target = torch.from_numpy(rng.integers(0, 30, 200))
    found = made.validation_metrics(made.summary(scores, target), target, None)
    assert found["sampled_3_recall_5"] == 1.0
    assert found["recall_5"] < 0.5


def test_the_ranges_of_the_metrics() -> None:
    described = task(baskets=True, sampled=3).described
    open_ended = {name for name, metric in described.items() if metric.most is None}
    assert open_ended == {"novelty", "popularity_bias"}
    assert all(metric.least == 0 for metric in described.values())


def test_sampled_items_that_score_alike_stand_in_order_of_popularity() -> None:
    """A model that knows nothing is not rewarded: the least popular item is behind all that are drawn, the first before."""
    made, target = task(sampled=20), torch.tensor([29, 0])
    found = made.summary(torch.zeros(2, 30), target)[:, 2]
    assert found.tolist() == [20, 0]


def test_an_item_outside_a_small_catalogue_is_never_found() -> None:
    made, target = task(n_items=6, sampled=3), torch.tensor([-1, -1])
    found = made.validation_metrics(made.summary(torch.randn(2, 6), target), target, None)
    assert set(found.values()) == {0.0}


def test_a_basket_has_one_list_whatever_it_holds() -> None:
    counts, lists = np.array([8, 4, 2, 2]), np.array([[0], [0], [0], [2]])
    found = Lists(lists, np.array([0, 1, 2, 3]), counts, [1], np.array([0, 0, 0, 1]))(np.ones(4))
    assert found["novelty"] == pytest.approx((1 + 3) / 2)
    assert found["popularity_bias"] == pytest.approx((8 + 2) / 2 / 4)


def rows_of(kind: str = "string", sequence: bool = True, name: str = "history") -> Rows:
    column = Column(name, kind, sequence=sequence)  # type: ignore[arg-type]
    values = np.empty(2, object)
    values[:] = [np.array(["a", "b"], object), np.array([], object)]
    return Rows(Schema((column,)), 2, lambda _: values)


def test_the_catalogue_is_all_items_by_popularity_then_name() -> None:
    made = NextItem(NextItemSettings())
    made.fit_examples(rows_of())
    made.fit_target(np.array(["c", "b", "d"], object))
    assert made.state == {"classes": ["b", "a", "c", "d"], "counts": [2, 1, 1, 1]}
    assert made.encode(np.array(["d", "new", "b"], object)).tolist() == [3, -1, 0]


def named_rows(names: list[list[str]]) -> Rows:
    def ragged(lists: list[list[str]]) -> np.ndarray:
        values = np.empty(2, object)
        values[:] = [np.array(steps, object) for steps in lists]
        return values

    values = {
        "history": ragged([["1", "2"], []]),
        "history_name": ragged(names),
        "next": np.array(["3", "1"], object),
        "next_name": np.array(["milk", ""], object),
    }
    sequences = [Column(name, "string", sequence=True) for name in ("history", "history_name")]
    plain = [Column("next", "string", "target"), Column("next_name", "string", "ignored")]
    return Rows(Schema((*sequences, *plain)), 2, values.__getitem__)


def test_readable_names_are_printed_beside_the_items() -> None:
    made, rows = NextItem(NextItemSettings(cutoffs=[2])), named_rows([["tea", ""], []])
    made.fit_examples(rows)
    made.fit_target(rows.read("next"))
    assert made.state["classes"] == ["1", "2", "3"]
    assert made.state["names"] == ["tea", "", "milk"]
    outputs = {"items": np.array([["1", "2", "3"]], object)}
    *_, examples = made.details({"history": rows.read("history")[:1]}, outputs, np.array([2]))
    assert examples.rows == (("tea (1), 2", "tea (1), 2, milk (3)", "milk (3)", "rank 3"),)


def test_every_step_has_a_name_or_none() -> None:
    with pytest.raises(DataError, match=r"have 2 steps in 'history' and 1 readable names in 'history_name'"):
        NextItem(NextItemSettings()).fit_examples(named_rows([["tea"], []]))


@pytest.mark.parametrize("rows", [rows_of("number"), rows_of(sequence=False), rows_of(name="past")])
def test_without_histories_of_items(rows: Rows) -> None:
    with pytest.raises(DataError, match=r"the examples have no sequence of items 'history'"):
        NextItem(NextItemSettings()).fit_examples(rows)


def test_a_numeric_target_is_refused() -> None:
    with pytest.raises(DataError, match=r"recommends items by their ids as text, but the target is a number \(row 0: 3\)"):
        NextItem(NextItemSettings()).fit_target(np.array([3.0, 4.0]))


def test_a_missing_target_is_refused() -> None:
    with pytest.raises(DataError, match="The target is missing in row 1"):
        NextItem(NextItemSettings()).fit_target(np.array(["a", "", "b"], object))


def test_baskets_need_customers() -> None:
    with pytest.raises(DataError, match=r"task\.baskets=true measures by basket"):
        task(baskets=True).grouped_by(None)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"history": ""}, r"task\.history is empty"),
        ({"k": 0}, r"task\.k is 0; it must be at least 1"),
        ({"cutoffs": [30]}, r"task\.cutoffs is \[30\]; give one or more, each from 1 to task\.k \(20\)"),
        ({"cutoffs": []}, r"task\.cutoffs is \[\]"),
        ({"sampled": -1}, r"task\.sampled is -1"),
    ],
)
def test_settings(chosen: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NextItemSettings(**chosen)


def test_details_are_plain_and_say_what_came_next() -> None:
    made = task(6, cutoffs=[2], k=3)
    outputs = {"items": np.array([["item 1", "item 4", ""], ["item 0", "item 2", "item 5"]], object)}
    columns = {"history": np.array([np.array(["item 3"] * 9, object), np.array([], object)], object)}
    buckets, coverage, examples = made.details(columns, outputs, np.array([4, -1]))
    assert [row[-2:] for row in buckets.rows] == [(1, 1.0), (1, 0.0)]
    assert coverage.rows == ((1, 2 / 6), (2, 4 / 6), (3, 5 / 6))
    assert examples.rows[0] == ("… " + ", ".join(["item 3"] * 8), "item 1, item 4", "item 4", "rank 2")
    assert examples.rows[1] == ("", "item 0, item 2, item 5", "an item outside the catalogue", "not among the first 3")


def test_the_protocol_says_whether_seen_items_are_given() -> None:
    made = task(6, baskets=True)
    columns = {"history": np.array([np.array(["item 3"], object), np.array([], object)], object)}
    lists = np.array([["item 1"], ["item 3"]], object)
    start = "full ranking of all 6 items of the training part, "
    assert made.protocol(columns, {"items": lists}) == start + "seen items left out, means over baskets"
    assert made.protocol(columns, {"items": lists[::-1]}) == start + "seen items are ranked as well, means over baskets"
