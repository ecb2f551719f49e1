"""Metrics of lists of items, prepared once and evaluated for any weights of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from shopkit.tasks.base import Metric

NOTHING = -2
"""Code of a place in a list where nothing is recommended: no item, and no target either (-1 is an item outside the catalogue)."""


def described(cutoffs: Sequence[int], baskets: bool, sampled: int = 0) -> dict[str, Metric]:
    """How each metric is printed and read."""
    found: dict[str, Metric] = {}
    for k in cutoffs:
        found[f"recall_{k}"] = Metric(
            f"Recall@{k}", "higher", f"share of what came next that is among the first {k} of all items", 0, 1
        )
        found[f"ndcg_{k}"] = Metric(
            f"nDCG@{k}",
            "higher",
            f"what came next among the first {k} of all items, counting less by the logarithm of the rank; 1 is the best order",
            0,
            1,
        )
        found[f"mrr_{k}"] = Metric(f"MRR@{k}", "higher", f"mean of 1/rank of the first right item, 0 beyond rank {k}", 0, 1)
        if baskets:
            found[f"map_{k}"] = Metric(
                f"MAP@{k}", "higher", f"mean over the right items of the precision at their rank, up to {k}", 0, 1
            )
    k = cutoffs[0]
    found["coverage"] = Metric(
        f"Coverage@{k}", "higher", f"share of the catalogue that is among anyone's first {k}", 0, 1, resampled=False
    )
    found["novelty"] = Metric(
        f"Novelty@{k}", "higher", "bits of surprise of a recommended item: -log2 of its share of all interactions", 0
    )
    found["popularity_bias"] = Metric(
        f"Popularity bias@{k}", "lower", "training interactions of a recommended item, over those of an item that came next", 0
    )
    among = f" (among {sampled} drawn at random)"
    of_ranks = {name: metric for name, metric in found.items() if name.startswith(("recall", "ndcg", "mrr", "map"))}
    beside = {
        f"sampled_{sampled}_{name}": replace(
            metric, title=metric.title + among, meaning=metric.meaning.replace("all items", "those")
        )
        for name, metric in of_ranks.items()
    }
    return {**found, **(beside if sampled else {})}


class Ranks:
    """Metrics of the rank of what came next, (N,) from 0, by group: the rows of a group are the right answers of one
    decision, which one list answers.

    A group's weight is the mean weight of its rows, so drawing a group twice equals having it twice.
    """

    def __init__(self, rank: np.ndarray, cutoffs: Sequence[int], groups: np.ndarray | None = None) -> None:
        codes = np.arange(len(rank)) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
        self.codes, self.sizes = codes, np.bincount(codes)
        order = np.lexsort((rank, codes))
        first = np.cumsum(self.sizes) - self.sizes
        before = np.empty(len(rank), np.int64)
        before[order] = np.arange(len(rank)) - first[codes[order]]  # right answers ahead of this one

        def total(values: np.ndarray) -> np.ndarray:
            return np.bincount(codes, values, minlength=len(self.sizes))

        found: dict[str, np.ndarray] = {}
        for k in cutoffs:
            hit = (rank < k).astype(np.float64)
            n_best = np.minimum(self.sizes, k)
            best = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(k) + 2.0))])[n_best]
            found[f"recall_{k}"] = total(hit) / self.sizes
            found[f"ndcg_{k}"] = total(hit / np.log2(rank + 2.0)) / best
            found[f"mrr_{k}"] = total(hit * (before == 0) / (rank + 1.0))
            if groups is not None:
                found[f"map_{k}"] = total(hit * (before + 1) / (rank + 1.0)) / n_best
        # One product for each resample: thousands of small ones wait for each other's threads on a busy machine.
        self.names, self.values = tuple(found), np.stack([*found.values()])

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        of_group = np.bincount(self.codes, weight, minlength=len(self.sizes)) / self.sizes
        total = float(of_group.sum())
        means = self.values @ of_group / total if total else np.full(len(self.names), np.nan)
        return dict(zip(self.names, means.tolist(), strict=True))


class Lists:
    """All metrics of lists of items (N, k), as class codes, against what came next (N,).

    Args:
        counts: int64 (n_items,): training interactions of each item.
    """

    def __init__(
        self, items: np.ndarray, target: np.ndarray, counts: np.ndarray, cutoffs: Sequence[int], groups: np.ndarray | None = None
    ) -> None:
        found = items == target[:, None]
        rank = np.where(found.any(axis=1), found.argmax(axis=1), np.iinfo(np.int32).max)
        self.ranks = Ranks(rank, cutoffs, groups)
        self.n_items = len(counts)
        self.shown = items[:, : cutoffs[0]]
        given = self.shown >= 0
        share = counts / max(1, counts.sum())
        surprise = np.append(-np.log2(np.maximum(share, 1 / max(1, 2 * counts.sum()))), 0.0)
        bought = np.append(counts, 0).astype(np.float64)
        places = np.where(given, self.shown, self.n_items)
        bought_next = bought[np.where(target >= 0, target, self.n_items)]
        of_list = np.stack([given.sum(axis=1), surprise[places].sum(axis=1), bought[places].sum(axis=1)])
        # The rows of a decision have one list between them.
        self.of_row = np.vstack([of_list / self.ranks.sizes[self.ranks.codes], bought_next])

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        drawn = self.shown[weight > 0]
        n_covered = np.count_nonzero(np.bincount(drawn[drawn >= 0], minlength=self.n_items))
        total = float(weight.sum())
        n_given, surprise, bought, bought_next = (self.of_row @ weight).tolist()
        bias = bought / n_given / (bought_next / total) if n_given and bought_next else float("nan")
        return {
            **self.ranks(weight),
            "coverage": n_covered / self.n_items,
            "novelty": surprise / n_given if n_given else float("nan"),
            "popularity_bias": bias,
        }
