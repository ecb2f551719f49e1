"""Whatever happens at or past a cut-off, features as of it and of earlier ones stay the same: for any shop, any cut-off."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shopkit.errors import DataError
from shopkit.views.base import View
from shopkit.views.basket_value import BasketValueView
from shopkit.views.customer_history import CustomerHistoryView
from shopkit.views.materialise import materialise
from shopkit.views.purchase_within import PurchaseWithinView
from shopkit.views.settings import BasketValueSettings, CustomerHistorySettings, PurchaseWithinSettings
from tests.data import as_tables, shop

SMALL = {"windows_days": [7, 28], "active_days": 28, "n_departments": 2}
VIEWS = [
    PurchaseWithinView(PurchaseWithinSettings(**SMALL)),
    BasketValueView(BasketValueSettings(**SMALL)),
    CustomerHistoryView(CustomerHistorySettings(**SMALL)),
]


def features(view: View, frames: dict[str, pd.DataFrame]) -> tuple[pd.DataFrame, list[str], str]:
    examples = view.examples(as_tables(frames))
    with tempfile.TemporaryDirectory() as folder:
        made = materialise(examples, {}, Path(folder) / "examples.parquet", contract=view.contract())
        rows = pd.read_parquet(Path(folder) / "examples.parquet")
    place = [column.name for role in ("key", "time") for column in made.schema.of_role(role)]
    names = [column.name for column in made.schema.of_role("feature")]
    assert examples.cutoff is not None
    return rows.set_index(place, drop=False)[[*names, examples.cutoff]], names, examples.cutoff


FUTURES = given(
    seed=st.integers(0, 10_000), share=st.floats(0.1, 0.9), what=st.sampled_from(["other amounts", "other customers", "gone"])
)
EACH_VIEW = pytest.mark.parametrize("view", VIEWS, ids=["purchase_within", "basket_value", "customer_history"])


@EACH_VIEW
@settings(max_examples=2, deadline=None)
@FUTURES
def test_the_future_changes_no_feature(view: View, seed: int, share: float, what: str) -> None:
    _holds(view, seed, share, what)


@pytest.mark.slow
@EACH_VIEW
@settings(max_examples=15, deadline=None)
@FUTURES
def test_the_future_changes_no_feature_of_many_shops(view: View, seed: int, share: float, what: str) -> None:
    _holds(view, seed, share, what)


def _holds(view: View, seed: int, share: float, what: str) -> None:
    frames = shop(n_customers=25, n_days=70, seed=seed)
    before, names, cutoff = features(view, frames)
    moment = int(np.quantile(before[cutoff].unique(), share, method="lower"))
    orders = frames["transactions"].copy()
    future = orders["transaction_timestamp"] >= pd.Timestamp(moment, unit="s")
    rng = np.random.default_rng(seed)
    if what == "other amounts":
        orders.loc[future, "sales_value"] = orders.loc[future, "sales_value"] * 1000
    elif what == "other customers":
        orders.loc[future, "household_id"] = rng.permutation(orders.loc[future, "household_id"].to_numpy())
    else:  # but the last line, which says how far the data reach
        orders = orders[~future | (orders["transaction_timestamp"] == orders["transaction_timestamp"].max())]
    try:
        after, also, _ = features(view, {**frames, "transactions": orders})
    except DataError as error:  # with what is gone went every example
        assume(what != "gone" or "gives no examples" not in str(error))
        raise
    known = [rows[rows[cutoff] <= moment] for rows in (before, after)]
    common = known[0].index.intersection(known[1].index)
    assert len(common) > 0
    assert set(names) & set(also)
    for name in set(names) & set(also):
        first, second = (
            rows.loc[common, name].map(lambda value: str(list(value)) if isinstance(value, np.ndarray) else value)
            for rows in known
        )
        pd.testing.assert_series_equal(first, second, check_names=False)
