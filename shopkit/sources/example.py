"""A small made-up shop, the same on every machine: for trying things out, plugins above all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from shopkit.sources.base import Source, Tables
from shopkit.sources.dataframe import DataFrameSource
from shopkit.sources.settings import DataFrameSettings, ExampleSettings

START = pd.Timestamp("2024-01-01")
N_DAYS = 120


class ExampleSource(Source):
    """Two tables: `visits` of the shop's site, with whether they ended in a purchase, and `orders` of its customers."""

    settings: ExampleSettings

    def open(self) -> Tables:
        rng = np.random.default_rng(self.settings.seed)
        frames = {"visits": visits(self.settings.n_visits, rng), "orders": orders(self.settings.n_customers, rng)}
        tables = DataFrameSource(DataFrameSettings(units={"amount": "EUR", "basket_value": "EUR"}), frames).open()
        return replace(
            tables,
            origin=f"source example (seed {self.settings.seed})",
            notes=("Made up: nothing in it is about real customers.",),
        )

    @classmethod
    def example(cls, settings: ExampleSettings, folder: Path) -> Self:
        return cls(settings)


def visits(n_visits: int, rng: np.random.Generator) -> pd.DataFrame:
    """One row a visit. `bought` and `basket_value` follow from pages, channel and hour, with much chance."""
    pages = rng.poisson(6, n_visits)
    seconds = rng.gamma(2.0, 60.0, n_visits).round(1)
    channel = rng.choice(np.array(["search", "mail", "direct", "social"], object), n_visits, p=[0.4, 0.2, 0.3, 0.1])
    at = START + pd.to_timedelta(np.sort(rng.integers(0, N_DAYS * 86_400, n_visits)), "s")
    logit = 0.5 * (pages - 6) + 0.004 * (seconds - 120) + np.where(channel == "mail", 1.2, -0.4)
    basket = np.exp(2.5 + 0.08 * pages + np.where(channel == "mail", 0.4, 0.0) + rng.normal(0, 0.3, n_visits)).round(2)
    return pd.DataFrame(
        {
            "visit_id": np.arange(1, n_visits + 1),
            "at": at,
            "pages": pages,
            "seconds": np.where(rng.random(n_visits) < 0.1, np.nan, seconds),
            "channel": np.where(rng.random(n_visits) < 0.05, "", channel),
            "browser": rng.choice(np.array(["firefox", "chrome", "safari"], object), n_visits),
            "basket_value": basket,
            "bought": (rng.random(n_visits) < 1 / (1 + np.exp(-logit))).astype(int),
        }
    )


def orders(n_customers: int, rng: np.random.Generator) -> pd.DataFrame:
    """One row an order; some customers order every few days, others hardly ever."""
    customer, day = np.nonzero(rng.random((n_customers, N_DAYS)) < rng.uniform(0.01, 0.2, n_customers)[:, None])
    seconds = day * 86_400 + rng.integers(7 * 3600, 22 * 3600, len(day))
    return pd.DataFrame(
        {
            "order_id": np.arange(1, len(day) + 1),
            "customer_id": customer + 1,
            "ordered_at": START + pd.to_timedelta(seconds, "s"),
            "amount": rng.gamma(2.0, 20.0, len(day)).round(2),
        }
    )
