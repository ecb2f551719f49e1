"""What a report shows of recommendations beside the metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from shopkit.tasks.base import Detail

N_BUCKETS = 4
N_EXAMPLES, N_SHOWN = 12, 8


def by_popularity(found: np.ndarray, target: np.ndarray, counts: np.ndarray, k: int) -> Detail:
    """Recall by how often the next item was bought.

    Args:
        found: bool (N,): whether the list has it.
        target: int64 (N,): what came next, below 0 outside the catalogue.
        counts: int64 (n_items,): training interactions, falling.
    """
    share = np.cumsum(counts) / max(1, counts.sum())
    bucket = np.minimum((np.concatenate([[0.0], share[:-1]]) * N_BUCKETS).astype(int), N_BUCKETS - 1)
    rows: list[tuple[object, ...]] = []
    for number in range(N_BUCKETS):
        items = np.flatnonzero(bucket == number)
        chosen = np.isin(target, items)
        if len(items) and chosen.any():
            bought = f"{counts[items].min():,} to {counts[items].max():,}"
            rows.append((f"{number + 1} of {N_BUCKETS}", bought, len(items), int(chosen.sum()), float(found[chosen].mean())))
    outside = target < 0
    if outside.any():
        rows.append(("not in the catalogue", "0", 0, int(outside.sum()), 0.0))
    return Detail(
        f"Recall@{k} by popularity",
        "Items in order of popularity, cut where each bucket has a quarter of all training interactions; rows by what came next.",
        ("bucket", "training interactions of an item", "items", "rows", f"recall@{k}"),
        tuple(rows),
    )


def coverage(items: np.ndarray, n_items: int) -> Detail:
    """Share of the catalogue among anyone's first k, by k; `items` are codes (N, K), below 0 where nothing is given."""
    first = np.full(n_items, items.shape[1])
    for place in reversed(range(items.shape[1])):
        shown = items[:, place]
        first[shown[shown >= 0]] = place
    covered = np.cumsum(np.bincount(first, minlength=items.shape[1] + 1)[: items.shape[1]]) / n_items
    rows = tuple((place + 1, float(share)) for place, share in enumerate(covered))
    reading = "Share of the catalogue that is among anyone's first k, by k."
    return Detail("Coverage of the catalogue", reading, ("k", "coverage"), rows, curve=True)


def examples(histories: np.ndarray, items: np.ndarray, target: np.ndarray, catalogue: list[str], names: Sequence[str]) -> Detail:
    """Some rows: what was in the history, what was recommended, and what came next.

    Args:
        histories: object (N,) of arrays of items.
        items: (N, K), the best first.
        target: int64 (N,): what came next.
        catalogue: all items.
        names: readable ones of the catalogue, "" for an item without one; or empty.
    """
    named = {item: f"{name} ({item})" for item, name in zip(catalogue, names, strict=False) if name not in ("", item)}
    rows = []
    for row in np.linspace(0, len(target) - 1, min(N_EXAMPLES, len(target))).astype(int):
        history = [named.get(item, item) for item in map(str, histories[row][-N_SHOWN:])]
        more = "… " if len(histories[row]) > N_SHOWN else ""
        following = catalogue[target[row]] if target[row] >= 0 else "an item outside the catalogue"
        given = [named.get(item, item) for item in items[row, :N_SHOWN] if item]
        place = np.flatnonzero(items[row] == following)
        rank = f"rank {place[0] + 1}" if len(place) else f"not among the first {items.shape[1]}"
        rows.append((more + ", ".join(history), ", ".join(given), named.get(following, following), rank))
    return Detail(
        "Some histories",
        f"Rows spread evenly over the test part: the latest {N_SHOWN} steps, the first {N_SHOWN} items recommended, and what "
        "came next.",
        ("history", "recommended", "came next", "which was"),
        tuple(rows),
    )
