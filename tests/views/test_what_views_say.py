"""What a view says of its examples: roles, units, contract, what one row is; and the example that it brings along."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from shopkit.contract.settings import ColumnRules, ContractSettings
from shopkit.views.base import OnlySplit, View
from shopkit.views.basket_value import BasketValueView
from shopkit.views.customer_history import CustomerHistoryView
from shopkit.views.purchase_within import PurchaseWithinView
from shopkit.views.settings import BasketValueSettings, CustomerHistorySettings, PurchaseWithinSettings, TableSettings
from shopkit.views.table import TableView
from tests.data import as_tables, shop
from tests.views.shops import SMALL

CHANGES = {**SMALL, "horizon_days": 5, "every_days": 3}
WITHIN = (
    "One row is a customer who bought in the 21 days before a cut-off (a midnight, every 3 days). The target is whether they buy "
    "in the 5 days after it."
)
MONEY = dict.fromkeys(["largest_basket", "basket_mean", "spend_7d", "spend_14d", "spend_28d"], "EUR")
NOBODY, OPEN, NO_BASKET = "line without customer or time", "the horizon is not over yet", "no basket within the horizon"


@pytest.mark.parametrize(
    ("view", "target", "rules", "summary", "units", "reasons"),
    [
        (
            PurchaseWithinView(PurchaseWithinSettings(**CHANGES)),
            "buys",
            ColumnRules(allowed=[0, 1]),
            WITHIN,
            MONEY,
            [NOBODY, OPEN],
        ),
        (
            PurchaseWithinView(PurchaseWithinSettings(**CHANGES, department="FUEL")),
            "buys",
            ColumnRules(allowed=[0, 1]),
            WITHIN.replace("they buy in the", "they buy in FUEL in the"),
            MONEY,
            [NOBODY, OPEN],
        ),
        (
            BasketValueView(BasketValueSettings(**CHANGES)),
            "basket_value",
            ColumnRules(min=0),
            "One row is a customer who bought in the 21 days before a cut-off (a midnight, every 3 days) and again in the 5 days "
            "after it. The target is the value of the first basket after it.",
            {**MONEY, "basket_value": "EUR"},
            [NOBODY, OPEN, NO_BASKET],
        ),
        (
            CustomerHistoryView(CustomerHistorySettings(**CHANGES, max_steps=4)),
            "buys",
            ColumnRules(allowed=[0, 1]),
            f"{WITHIN} The sequences are the latest 4 baskets before it.",
            {**MONEY, "past_days_since": "days", "past_spend": "EUR"},
            [NOBODY, OPEN],
        ),
        (
            CustomerHistoryView(CustomerHistorySettings(**CHANGES, step="line", aggregates=False)),
            "buys",
            ColumnRules(allowed=[0, 1]),
            f"{WITHIN} The sequences are the latest 40 lines before it.",
            {"past_days_since": "days", "past_spend": "EUR"},
            [NOBODY, OPEN],
        ),
    ],
    ids=["purchase_within", "department", "basket_value", "customer_history", "lines"],
)
def test_of_the_history(view, target, rules, summary, units, reasons):
    made = view.examples(as_tables(shop(), units={"sales_value": "EUR"}))
    assert (dict(made.roles), made.cutoff) == ({"household_id": "key", "cutoff": "time", target: "target"}, "cutoff")
    assert (made.summary, dict(made.units), sorted(made.left_out)) == (summary, units, sorted(reasons))
    assert list(made.table.columns[:3]) == ["household_id", "cutoff", target]
    assert view.contract() == ContractSettings(target=rules)
    without = view.examples(as_tables(shop()))
    assert dict(without.units) == ({"past_days_since": "days"} if "past_spend" in units else {})


@pytest.mark.parametrize(
    ("view", "settings", "most"),
    [
        (PurchaseWithinView, PurchaseWithinSettings(department="PRODUCE"), 500),
        (BasketValueView, BasketValueSettings(horizon_days=9), 500),
        (CustomerHistoryView, CustomerHistorySettings(step="line"), 500),
        (TableView, TableSettings(table="visits"), 200),
    ],
)
def test_every_view_brings_an_example_with_the_settings_it_is_given(view: type[View], settings, most):
    example, frames = view.example(settings)
    assert type(example) is view
    changed = {"windows_days", "active_days", "n_departments", "max_steps", "time"}
    assert {k: v for k, v in vars(example.settings).items() if k not in changed} == {
        k: v for k, v in vars(settings).items() if k not in changed
    }
    made = example.examples(as_tables(dict(frames)))
    rows = made.table.to_pyarrow().to_pandas()
    (target,) = [name for name, role in made.roles.items() if role == "target"]
    assert 100 <= len(rows) <= most
    assert rows[target].nunique() >= 2
    assert "time" in made.roles.values()
    if view is CustomerHistoryView:
        assert rows.past_spend.map(len).max() == 5
    if "spend_7d" in rows:
        assert "share_grocery" in rows


def test_the_first_basket_after_a_cutoff_is_the_first_by_its_time_then_by_its_name():
    at = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(60) // 2, "D")
    hours = pd.to_timedelta(np.tile([20, 9], 30), "h")  # the later line of a day comes first in the table
    orders = pd.DataFrame(
        {"household_id": 1, "transaction_timestamp": at + hours, "sales_value": np.arange(60) + 0.5, "basket_id": np.arange(60)}
    )
    same = orders.assign(transaction_timestamp=at)
    bare = dict.fromkeys(("product", "quantity", "store", "products", "customers", "campaigns", "redemptions"), "")
    view = BasketValueView(
        BasketValueSettings(windows_days=[7], active_days=7, horizon_days=3, **bare, discounts=[], coupon_discounts=[])
    )
    for frame, expected in ((orders, [15.5, 29.5, 43.5]), (same, [14.5, 28.5, 42.5])):
        found = view.examples(as_tables({"transactions": frame})).table.to_pyarrow().to_pandas().sort_values("cutoff")
        assert found.basket_value.tolist() == expected


@dataclass
class ByTime:
    column: str = "at"
    share: float = 0.2


def test_a_split_that_does_not_fit_is_told_with_the_one_that_does():
    wanted = "its rows hold what other rows hold as well, and only split=time split.column=at split.share=0.2 keeps parts apart; "
    only = OnlySplit("time", {"column": "at", "share": "0.2"}, otherwise="Or leave the prefixes out.")
    set_it = "Set the former. Or leave the prefixes out."
    assert only.refused("time", ByTime()) == ""
    assert only.refused("random", ByTime()) == f"{wanted}the configuration has split=random. {set_it}"
    other = only.refused("time", ByTime(share=0.3))
    assert other == f"{wanted}the configuration has split=time split.column=at split.share=0.3. {set_it}"
    without = OnlySplit("time", {"column": "at", "gap": "1"}).refused("time", ByTime())
    assert without.endswith("; the configuration has split=time split.column=at split.gap=. Set the former.")
