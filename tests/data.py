"""Small made-up tables for tests: a shop in the shape of completejourney, and a table of visits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from shopkit.sources.base import Tables
from shopkit.sources.dataframe import DataFrameSource
from shopkit.sources.settings import DataFrameSettings

DEPARTMENTS = ("GROCERY", "PRODUCE", "MEAT-PCKGD", "FUEL")


def as_tables(frames: pd.DataFrame | Mapping[str, pd.DataFrame], **settings: object) -> Tables:
    return DataFrameSource(DataFrameSettings(**settings), frames).open()  # type: ignore[arg-type]


def shop(n_customers: int = 30, n_days: int = 60, seed: int = 0) -> dict[str, pd.DataFrame]:
    """Transactions, products and customers; some customers buy every few days, others hardly ever."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2024-01-01")
    rate = rng.uniform(0.05, 0.5, n_customers)
    customer, day = np.nonzero(rng.random((n_customers, n_days)) < rate[:, None])
    n_lines = rng.integers(1, 6, len(customer))
    row = np.repeat(np.arange(len(customer)), n_lines)
    minutes = rng.integers(7 * 60, 22 * 60, len(customer))
    n_products = 40
    amount = rng.gamma(2.0, 2.0, len(row)).round(2)
    transactions = pd.DataFrame(
        {
            "household_id": customer[row] + 1,
            "store_id": rng.integers(1, 5, len(customer))[row],
            "basket_id": row + 10_000,
            "product_id": rng.integers(1, n_products + 4, len(row)),  # a few products have no record
            "quantity": rng.integers(1, 4, len(row)),
            "sales_value": amount,
            "retail_disc": (amount * rng.choice([0, 0, 0.1, 0.25], len(row))).round(2),
            "coupon_disc": (amount * (rng.random(len(row)) < 0.05) * 0.5).round(2),
            "coupon_match_disc": np.zeros(len(row)),
            "transaction_timestamp": start + pd.to_timedelta(day[row], "D") + pd.to_timedelta(minutes[row], "min"),
        }
    )
    products = pd.DataFrame(
        {"product_id": np.arange(1, n_products + 1), "department": rng.choice(DEPARTMENTS, n_products, p=[0.5, 0.25, 0.2, 0.05])}
    )
    known = np.arange(1, n_customers + 1, 2)
    demographics = pd.DataFrame(
        {
            "household_id": known,
            "age": rng.choice(["19-24", "25-34", "65+"], len(known)),
            "income": rng.choice(["Under 15K", "35-49K", None], len(known)),
        }
    )
    descriptions = pd.DataFrame(
        {
            "campaign_id": [1, 2, 3],
            "campaign_type": ["Type A", "Type B", "Type A"],
            "start_date": start + pd.to_timedelta([5, 20, 40], "D"),
            "end_date": start + pd.to_timedelta([30, 45, 70], "D"),
        }
    )
    campaigns = pd.DataFrame(
        {"campaign_id": rng.integers(1, 4, n_customers), "household_id": rng.integers(1, n_customers + 1, n_customers)}
    )
    redemptions = pd.DataFrame(
        {
            "household_id": rng.integers(1, n_customers + 1, n_customers),
            "coupon_upc": 10_000_000_000 + rng.integers(0, 50, n_customers),
            "campaign_id": rng.integers(1, 4, n_customers),
            "redemption_date": start + pd.to_timedelta(rng.integers(0, n_days, n_customers), "D"),
        }
    )
    return {
        "transactions": transactions,
        "products": products,
        "demographics": demographics,
        "campaigns": campaigns.drop_duplicates(),
        "campaign_descriptions": descriptions,
        "coupon_redemptions": redemptions,
    }


def visits(n_rows: int = 500, seed: int = 0) -> pd.DataFrame:
    """One row per visit of a shop's site: numbers, text, codes, a time, missing values, and whether it was bought (`bought`)."""
    rng = np.random.default_rng(seed)
    pages = rng.poisson(6, n_rows)
    seconds = rng.gamma(2.0, 60.0, n_rows)
    channel = rng.choice(["search", "mail", "direct", "social"], n_rows)
    score = 0.4 * (pages - 6) + 0.004 * (seconds - 120) + np.where(channel == "mail", 1.0, 0.0) - 1.0
    return pd.DataFrame(
        {
            "visit_id": np.arange(n_rows) + 1,
            "at": pd.Timestamp("2024-03-01") + pd.to_timedelta(np.sort(rng.integers(0, 60 * 86_400, n_rows)), "s"),
            "pages": pages,
            "seconds": np.where(rng.random(n_rows) < 0.1, np.nan, seconds),
            "channel": np.where(rng.random(n_rows) < 0.05, None, channel),
            "browser": rng.integers(1, 6, n_rows),
            "is_weekend": rng.random(n_rows) < 0.3,
            "bought": (rng.random(n_rows) < 1 / (1 + np.exp(-score))).astype(int),
        }
    )
