"""Metrics of an order, group by group, prepared once and evaluated for any weights.

Equal scores have no order: every metric is its expected value when they are put in random order (for nDCG: McSherry and Najork
2008, "Computing information retrieval performance measures efficiently in the presence of tied scores"), so neither a constant
nor a coarse model gains by the order of the file.
"""

from __future__ import annotations

import numpy as np

from shopkit.tasks.metrics import summed


class RankingStatistics:
    """Metrics of scores (N,), relevance (N,) and gains (N,) of rows in groups (N,), at k.

    A group without a relevant row (relevance above 0) has no order to get right: it is left out. A group's weight is the mean
    weight of its rows, so drawing a group twice equals having it twice.
    """

    def __init__(self, score: np.ndarray, relevance: np.ndarray, gain: np.ndarray, groups: np.ndarray, k: int) -> None:
        self.codes = np.unique(groups, return_inverse=True)[1].reshape(-1)
        self.sizes = np.bincount(self.codes)
        order = np.lexsort((-score.astype(np.float64), self.codes))
        codes, score = self.codes[order], score[order]
        relevant, gain = (relevance[order] > 0).astype(np.float64), gain[order].astype(np.float64)
        first = np.cumsum(self.sizes) - self.sizes
        rank = np.arange(len(order)) - first[codes]
        discount = np.where(rank < k, 1 / np.log2(rank + 2.0), 0.0)

        starts = np.ones(len(order), bool)
        starts[1:] = (np.diff(score) != 0) | (np.diff(codes) != 0)
        tie = np.cumsum(starts) - 1
        length = np.bincount(tie)
        expected_gain, expected_hit = (np.bincount(tie, values)[tie] / length[tie] for values in (gain, relevant))
        best = gain[np.lexsort((-gain, codes))]

        def total(values: np.ndarray) -> np.ndarray:
            return np.bincount(codes, values, minlength=len(self.sizes))

        n_relevant = total(relevant)
        self.counted = n_relevant > 0
        within = rank < k
        values: dict[str, tuple[np.ndarray, np.ndarray | float]] = {
            "ndcg": (total(expected_gain * discount), total(best * discount)),
            "mrr": (total(_chance_of_first(tie, starts, relevant, codes, first) * within / (rank + 1.0)), 1.0),
            "precision": (total(expected_hit * within), float(k)),
            "recall": (total(expected_hit * within), n_relevant),
        }
        self.values = {
            name: (over / np.where(self.counted, np.asarray(by), 1.0))[self.counted] for name, (over, by) in values.items()
        }

    def __call__(self, weight: np.ndarray) -> dict[str, float]:
        of_group = (np.bincount(self.codes, weight, minlength=len(self.sizes)) / self.sizes)[self.counted]
        total = float(of_group.sum())
        return {name: summed(of_group, values) / total if total > 0 else float("nan") for name, values in self.values.items()}


def _chance_of_first(
    tie: np.ndarray, starts: np.ndarray, relevant: np.ndarray, codes: np.ndarray, first: np.ndarray
) -> np.ndarray:
    """Chance that a place is the first with a relevant row, if ties are in random order: (N,), places sorted by group and score.

    Only the first tie with a relevant row counts. Of its m rows r are relevant: none is among the first j with a chance of
    C(m − j, r) / C(m, r).
    """
    n = len(tie)
    if n == 0:
        return np.zeros(0)
    begin = np.flatnonzero(starts)
    m, r = np.bincount(tie)[tie], np.bincount(tie, relevant)[tie].astype(np.int64)
    before = np.concatenate(([0.0], np.cumsum(relevant)))
    is_first_tie = (r > 0) & (before[begin][tie] == before[first[codes]])
    log_factorial = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1)))))

    def none_before(j: np.ndarray) -> np.ndarray:
        left = np.maximum(m - j - r, 0)
        log_chance = log_factorial[m - j] - log_factorial[left] - log_factorial[m] + log_factorial[m - r]
        return np.where(m - j - r >= 0, np.exp(log_chance), 0.0)

    place = np.arange(n) - begin[tie]
    return np.where(is_first_tie, none_before(place) - none_before(place + 1), 0.0)
