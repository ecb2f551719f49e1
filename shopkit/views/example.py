"""A small made-up shop in the shape of completejourney, for the examples of views."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import pandas as pd

from shopkit.views.settings import HistorySettings

S = TypeVar("S", bound=HistorySettings)
N_CUSTOMERS, N_DAYS, N_PRODUCTS = 30, 90, 20
START = pd.Timestamp("2024-01-01")


def small(settings: S) -> S:
    """The settings with a history as short as the shop's."""
    return replace(settings, windows_days=[7, 28], active_days=28, n_departments=2)


def shop() -> dict[str, pd.DataFrame]:
    """Purchases, products, customers, campaigns and redeemed coupons; some customers buy every few days, others hardly ever."""
    rng = np.random.default_rng(0)
    customer, day = np.nonzero(rng.random((N_CUSTOMERS, N_DAYS)) < rng.uniform(0.05, 0.5, N_CUSTOMERS)[:, None])
    n_lines = rng.integers(1, 5, len(customer))
    basket = np.repeat(np.arange(len(customer)), n_lines)
    amount = rng.gamma(2.0, 3.0, len(basket)).round(2)
    minutes = rng.integers(7 * 60, 22 * 60, len(customer))
    transactions = pd.DataFrame(
        {
            "household_id": customer[basket] + 1,
            "store_id": rng.integers(1, 5, len(customer))[basket],
            "basket_id": basket + 1000,
            "product_id": rng.integers(1, N_PRODUCTS + 1, len(basket)),
            "quantity": rng.integers(1, 4, len(basket)),
            "sales_value": amount,
            "retail_disc": (amount * rng.choice([0, 0, 0.1], len(basket))).round(2),
            "coupon_disc": (amount * (rng.random(len(basket)) < 0.1) * 0.5).round(2),
            "coupon_match_disc": np.zeros(len(basket)),
            "transaction_timestamp": _days_after(day[basket]) + pd.to_timedelta(minutes[basket], "min"),
        }
    )
    customers = np.arange(1, N_CUSTOMERS + 1)
    return {
        "transactions": transactions,
        "products": pd.DataFrame(
            {"product_id": np.arange(1, N_PRODUCTS + 1), "department": rng.choice(["GROCERY", "PRODUCE", "FUEL"], N_PRODUCTS)}
        ),
        "demographics": pd.DataFrame({"household_id": customers, "age": rng.choice(["19-24", "25-34", "65+"], N_CUSTOMERS)}),
        "campaigns": pd.DataFrame({"campaign_id": rng.integers(1, 4, N_CUSTOMERS), "household_id": customers}),
        "campaign_descriptions": pd.DataFrame(
            {
                "campaign_id": [1, 2, 3],
                "campaign_type": ["Type A", "Type B", "Type A"],
                "start_date": _days_after(np.array([5, 30, 70])),
                "end_date": _days_after(np.array([40, 75, 100])),
            }
        ),
        "coupon_redemptions": pd.DataFrame(
            {"household_id": customers, "redemption_date": _days_after(rng.integers(0, N_DAYS, N_CUSTOMERS))}
        ),
    }


def _days_after(days: np.ndarray) -> pd.DatetimeIndex:
    return START + pd.to_timedelta(days, "D")


def visits() -> pd.DataFrame:
    """One row a visit: numbers, text, a time and whether it was bought (`target`)."""
    rng, n_rows = np.random.default_rng(0), 200
    pages = rng.poisson(6, n_rows)
    return pd.DataFrame(
        {
            "at": _days_after(np.sort(rng.integers(0, N_DAYS, n_rows))),
            "pages": pages,
            "channel": rng.choice(np.array(["search", "mail", None], object), n_rows),
            "target": (pages + rng.normal(0, 3, n_rows) > 6).astype(int),
        }
    )
