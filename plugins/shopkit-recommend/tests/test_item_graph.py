"""Items and those that stand beside them, against a slow reference."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from shopkit_recommend.models.histories import Histories
from shopkit_recommend.models.inputs import FIRST_ITEM
from shopkit_recommend.models.item_graph import STEPS, ItemGraph

N_ITEMS, NEIGHBOURS, WEIGHT = 12, 3, 0.5


def sequences(seed: int = 0) -> list[list[int]]:
    """The last item of the catalogue stands in none of them."""
    rng = np.random.default_rng(seed)
    return [rng.integers(0, N_ITEMS - 1, length).tolist() for length in rng.integers(0, 7, 40)]


def graph(rows: list[list[int]], unit_length: bool = False) -> ItemGraph:
    made = ItemGraph(N_ITEMS + FIRST_ITEM, NEIGHBOURS, WEIGHT, unit_length)
    offsets = np.cumsum([0, *map(len, rows)])
    made.look_at(Histories(np.array([item for row in rows for item in row], np.int64), offsets, N_ITEMS))
    return made


def test_to_an_item_the_mean_of_those_most_often_beside_it_is_added() -> None:
    rows = sequences()
    beside: dict[int, Counter[int]] = {item: Counter() for item in range(N_ITEMS)}
    for row in rows:
        for at, item in enumerate(row):
            for steps in range(1, STEPS + 1):
                for place in (at - steps, at + steps):
                    if 0 <= place < len(row) and row[place] != item:
                        beside[item][row[place]] += 1 / steps
    table = torch.randn(N_ITEMS + FIRST_ITEM, 4)
    expected = table.clone()
    for item, counts in beside.items():
        most = sorted(counts, key=lambda other: (-round(counts[other], 9), other))[:NEIGHBOURS]
        whole = sum(counts[other] for other in most)
        for other in most:
            expected[item + FIRST_ITEM] += WEIGHT * counts[other] / whole * table[other + FIRST_ITEM]
    torch.testing.assert_close(graph(rows)(table), expected)


def test_vectors_of_unit_length_count_alike() -> None:
    made, table = graph(sequences(), unit_length=True), torch.randn(N_ITEMS + FIRST_ITEM, 4)
    torch.testing.assert_close(made(5 * table), made(table))
    alone = [0, 1, N_ITEMS + FIRST_ITEM - 1]  # no item, an unknown one, and one that stands beside none
    torch.testing.assert_close(made(table)[alone], F.normalize(table[alone], dim=-1))


def test_without_sequences_all_stay_as_they_are() -> None:
    table = torch.randn(N_ITEMS + FIRST_ITEM, 4)
    torch.testing.assert_close(graph([])(table), table)
