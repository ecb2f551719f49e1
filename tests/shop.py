"""A small shop, the same on every call, for tests of the whole way."""

from __future__ import annotations

import numpy as np
import pandas as pd

QUICK = [
    "trainer.max_epochs=4",
    "evaluation.baselines=[]",
    "evaluation.n_bootstrap=20",
    "evaluation.permutation_repeats=1",
    "evaluation.latency_seconds=0.02",
]
"""Overrides that keep a run to a few seconds."""

TABLE = ["view=table", "view.target=bought", "view.keys=[customer]", "split=stratified", *QUICK]
"""Overrides for a run on `visits`."""


def visits(n_rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """One row a visit; whether it ends in a purchase depends on pages, price and channel."""
    rng = np.random.default_rng(seed)
    pages = rng.poisson(5, n_rows).astype(float)
    price = np.round(rng.lognormal(3, 0.6, n_rows), 2)
    channel = rng.choice(np.array(["mail", "search", "social", None], object), n_rows, p=[0.3, 0.4, 0.2, 0.1])
    logit = 0.5 * (pages - 5) - 0.03 * (price - 20) + np.where(channel == "mail", 1.0, -0.5)
    bought = rng.random(n_rows) < 1 / (1 + np.exp(-logit))
    pages[rng.random(n_rows) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "customer": np.arange(n_rows) + 1000,
            "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n_rows), "h"),
            "pages": pages,
            "price": price,
            "channel": channel,
            "browser": rng.integers(1, 6, n_rows),
            "amount": np.round(price * (1 + rng.random(n_rows)), 2),
            "bought": np.where(bought, "yes", "no"),
        }
    )


RANKING = ["view=table", "view.target=relevance", "view.group=query", "task=ranking", "split=group", *QUICK]
"""Overrides for a run on `searches`."""


def searches(n_groups: int = 20, n_rows: int = 15, seed: int = 0) -> pd.DataFrame:
    """One row for each product that a query found; what is cheap and fits the query's words is relevant."""
    rng = np.random.default_rng(seed)
    n = n_groups * n_rows
    match, price = rng.random(n), rng.lognormal(3, 0.6, n).round(2)
    utility = 3 * match - 0.03 * price + rng.normal(size=n) * 0.2
    grade = np.digitize(utility, np.quantile(utility, [0.6, 0.85, 0.95]))
    brand = rng.choice(np.array(["a", "b", "c"], object), n)
    query = rng.permutation(np.repeat([f"query {i}" for i in range(n_groups)], n_rows))
    return pd.DataFrame({"query": query, "match": match, "price": price, "brand": brand, "relevance": grade})
