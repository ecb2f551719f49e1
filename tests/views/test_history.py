"""What is known of a customer at a cut-off, against the obvious way of computing it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from shopkit.errors import ConfigError, DataError
from shopkit.schema import Role
from shopkit.views import purchases
from shopkit.views.basket_value import BasketValueView
from shopkit.views.materialise import materialise
from shopkit.views.purchase_within import PurchaseWithinView
from shopkit.views.purchases import BYTES_A_LINE
from shopkit.views.settings import BasketValueSettings, PurchaseWithinSettings
from tests.data import as_tables, shop
from tests.views.shops import SMALL, settings

DAY = pd.Timedelta(1, "D")
PURCHASE = PurchaseWithinView(settings())
VALUE = BasketValueView(BasketValueSettings(**SMALL))


def rows(frames: dict[str, pd.DataFrame], view: PurchaseWithinView | BasketValueView) -> pd.DataFrame:
    """The examples, sorted by customer and cut-off."""
    found = view.examples(as_tables(frames)).table.to_pyarrow().to_pandas()
    return found.sort_values(["household_id", "cutoff"]).reset_index(drop=True)


def two_baskets_a_day(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The shop whose customers go twice a day, each time with part of their list."""
    orders = frames["transactions"]
    return {**frames, "transactions": orders.assign(basket_id=orders.basket_id + 100_000 * (orders.product_id % 2))}


def share(part: float, whole: float) -> float:
    return part / whole if whole else np.nan


def described(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The lines with their day and department."""
    lines = frames["transactions"].merge(frames["products"], on="product_id", how="left")
    return lines.assign(day=lines.transaction_timestamp.dt.normalize(), department=lines.department.fillna(""))


def slow_features(
    lines: pd.DataFrame, frames: dict[str, pd.DataFrame], customer: int, cutoff: pd.Timestamp, windows: list[int]
) -> dict[str, object]:
    """All of them by hand, for one customer and cut-off, where the windows or the activity look back 28 days."""
    lines = lines[(lines.household_id == customer) & (lines.transaction_timestamp < cutoff)]
    recent, in_longest = (lines[lines.day >= cutoff - n * DAY] for n in (28, windows[-1]))
    days = np.sort(lines.day.unique())
    gaps = pd.Series(np.diff(days), index=days[1:]) / DAY
    gaps = gaps[gaps.index >= cutoff - 28 * DAY]
    stores = recent.drop_duplicates("basket_id").groupby("store_id").agg(n=("day", "size"), last=("day", "max")).reset_index()
    stores["text"] = stores.store_id.astype(str)
    best = stores.sort_values(["n", "last", "text"], ascending=[False, False, True]).iloc[0]
    recency = (cutoff - days[-1]) / DAY
    features: dict[str, object] = {
        "recency_days": recency,
        "tenure_days": (cutoff - days[0]) / DAY,
        "gap_mean_days": gaps.mean(),
        "gap_std_days": gaps.std(ddof=0),
        "recency_in_gaps": recency / gaps.mean(),
        "weekend_share": (recent.drop_duplicates("day").day.dt.day_of_week >= 5).mean(),
        "largest_basket": recent.groupby("basket_id").sales_value.sum().max(),
        "basket_mean": share(in_longest.sales_value.sum(), in_longest.basket_id.nunique()),
        "lines_per_basket": share(len(in_longest), in_longest.basket_id.nunique()),
        "department_breadth": recent.groupby("basket_id").department.nunique().max(),
        "favourite_store": best.text,
        "favourite_store_share": best.n / stores.n.sum(),
        "n_stores": len(stores),
    }
    for department in ("GROCERY", "PRODUCE"):
        bought = recent[recent.department == department]
        spent = in_longest[in_longest.department == department].sales_value.sum()
        features[f"share_{department.lower()}"] = share(spent, in_longest.sales_value.sum())
        features[f"days_since_{department.lower()}"] = (cutoff - bought.day.max()) / DAY
    spend, baskets = {}, {}
    for window in windows:
        seen = lines[lines.day >= cutoff - window * DAY]
        coupons = seen.coupon_disc.sum() + seen.coupon_match_disc.sum()
        shelf = seen.sales_value.sum() + seen.retail_disc.sum() + coupons
        spend[window], baskets[window] = seen.sales_value.sum(), seen.basket_id.nunique()
        features |= {
            f"n_baskets_{window}d": baskets[window],
            f"n_lines_{window}d": len(seen),
            f"n_items_{window}d": seen.quantity.sum(),
            f"spend_{window}d": spend[window],
            f"discount_share_{window}d": share(seen.retail_disc.sum(), shelf),
            f"coupon_share_{window}d": share(coupons, shelf),
        }
        if window > 7:
            features[f"n_weeks_{window}d"] = (((cutoff - seen.day) / DAY - 1) // 7).nunique()
    for short, long in pairwise(windows):
        features[f"spend_trend_{short}d_{long}d"] = share(spend[short] / short, spend[long] / long)
        features[f"basket_trend_{short}d_{long}d"] = share(baskets[short] / short, baskets[long] / long)
    about = frames["campaigns"].merge(frames["campaign_descriptions"], on="campaign_id")
    about = about[(about.household_id == customer) & (about.start_date < cutoff) & (about.end_date >= cutoff)]
    features["n_campaigns"] = len(about)
    features["n_campaigns_type_a"] = (about.campaign_type == "Type A").sum()
    features["n_campaigns_type_b"] = (about.campaign_type == "Type B").sum()
    features["days_since_campaign_start"] = ((cutoff - about.start_date) / DAY).min()
    redeemed = frames["coupon_redemptions"].query("household_id == @customer and redemption_date < @cutoff")
    redeemed = redeemed[redeemed.redemption_date >= cutoff - 28 * DAY]
    features["n_coupons_redeemed"] = len(redeemed)
    features["days_since_redemption"] = ((cutoff - redeemed.redemption_date) / DAY).min()
    facts = frames["demographics"].set_index("household_id").reindex([customer]).iloc[0]
    return {**features, "age": facts.age, "income": facts.income}


@pytest.mark.parametrize(("windows", "active"), [([7, 14, 28], 21), ([5, 14], 28)])
def test_features_are_those_computed_by_hand(windows, active):
    frames = two_baskets_a_day(shop())
    view = PurchaseWithinView(settings(windows_days=windows, active_days=active))
    lines, found = described(frames), rows(frames, view)
    assert len(found) > 60
    for _, row in found.sample(20, random_state=0).iterrows():
        expected = slow_features(lines, frames, row.household_id, row.cutoff, windows)
        assert sorted(row.index.drop(["household_id", "cutoff", "buys"])) == sorted(expected)
        for name, value in expected.items():
            if isinstance(value, str) or pd.isna(value):
                assert row[name] == value or (pd.isna(row[name]) and pd.isna(value)), name
            else:
                assert row[name] == pytest.approx(value, rel=1e-9), (name, row.household_id, row.cutoff)


def test_examples_are_the_active_customers_of_each_cutoff_and_the_label_is_what_comes_next():
    frames = shop()
    found = rows(frames, PurchaseWithinView(settings(horizon_days=5)))
    orders = frames["transactions"].assign(day=frames["transactions"].transaction_timestamp.dt.normalize())
    end = orders.day.max()
    expected = []
    for cutoff in pd.date_range(orders.day.min() + 28 * DAY, end - 5 * DAY, freq="7D"):
        before = orders[(orders.day < cutoff) & (orders.day >= cutoff - 21 * DAY)]
        after = orders[(orders.day >= cutoff) & (orders.day < cutoff + 5 * DAY)]
        expected += [(int(c), cutoff, int(c in set(after.household_id))) for c in sorted(before.household_id.unique())]
    assert list(found[["household_id", "cutoff", "buys"]].itertuples(index=False, name=None)) == sorted(expected)


def test_purchases_in_one_department():
    frames = shop()
    anywhere = rows(frames, PURCHASE)
    fuel = rows(frames, PurchaseWithinView(settings(department="FUEL")))
    assert {"share_fuel", "days_since_fuel"} <= set(fuel.columns)
    assert (fuel.buys <= anywhere.buys).all()
    assert 0 < fuel.buys.sum() < anywhere.buys.sum()


def test_the_value_of_the_next_basket():
    frames = shop()
    examples = VALUE.examples(as_tables(frames))
    found = examples.table.to_pyarrow().to_pandas()
    orders = frames["transactions"]
    for _, row in found.sample(20, random_state=0).iterrows():
        after = orders[(orders.household_id == row.household_id) & (orders.transaction_timestamp >= row.cutoff)]
        first = after.sort_values(["transaction_timestamp", "basket_id"]).basket_id.iloc[0]
        assert row.basket_value == pytest.approx(after[after.basket_id == first].sales_value.sum())
    everyone = rows(frames, PURCHASE)
    left_out = {reason: count.to_pyarrow().as_py() for reason, count in examples.left_out.items()}
    assert left_out["no basket within the horizon"] == len(everyone) - len(found) == (everyone.buys == 0).sum()


# -- point in time ------------------------------------------------------------------------------------------------


def planted(frames: dict[str, pd.DataFrame], moment: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """The shop with a large purchase by every customer, a campaign and redemptions at that moment."""
    orders = frames["transactions"]
    customers = orders.household_id.unique()
    extra = pd.DataFrame(
        {
            "household_id": customers,
            "store_id": 99,
            "basket_id": 900_000 + np.arange(len(customers)),
            "product_id": 777,
            "quantity": 50,
            "sales_value": 9_999.0,
            "retail_disc": 500.0,
            "coupon_disc": 300.0,
            "coupon_match_disc": 0.0,
            "transaction_timestamp": moment,
        }
    )
    product = pd.DataFrame({"product_id": [777], "department": ["PLANTED"]})
    campaign = pd.DataFrame(
        {"campaign_id": [88], "campaign_type": ["Type Z"], "start_date": [moment], "end_date": [moment + 20 * DAY]}
    )
    sent = pd.DataFrame({"campaign_id": 88, "household_id": customers})
    redeemed = pd.DataFrame({"household_id": customers, "coupon_upc": 1, "campaign_id": 88, "redemption_date": moment})
    return {
        **frames,
        "transactions": pd.concat([orders, extra]),
        "products": pd.concat([frames["products"], product]),
        "campaigns": pd.concat([frames["campaigns"], sent]),
        "campaign_descriptions": pd.concat([frames["campaign_descriptions"], campaign]),
        "coupon_redemptions": pd.concat([frames["coupon_redemptions"], redeemed]),
    }


@pytest.mark.parametrize(
    ("view", "place", "late"),
    [(PURCHASE, 0, 0 * DAY), (PURCHASE, 0, 6.9 * DAY), (PURCHASE, -2, 0 * DAY), (VALUE, 1, pd.Timedelta(1, "s"))],
    ids=["at the first cut-off", "a week after it", "at a later one", "basket value"],
)
def test_what_is_planted_at_or_after_a_cutoff_changes_nothing_but_the_label(view, place, late):
    before = rows(shop(), view)
    cutoff = before.cutoff.unique()[place]
    after = rows(planted(shop(), cutoff + late), view)
    label = "buys" if view is PURCHASE else "basket_value"
    joined = before[before.cutoff <= cutoff].merge(
        after, on=["household_id", "cutoff"], suffixes=("", " planted"), how="left", indicator=True
    )
    assert (joined["_merge"] == "both").all()
    for name in before.columns.drop(["household_id", "cutoff", label]):
        pd.testing.assert_series_equal(joined[name], joined[f"{name} planted"], check_names=False, check_dtype=False)
    # The planted rows are there: in the label, and in what the next cut-off knows.
    if view is PURCHASE:
        assert (joined["buys planted"][joined.cutoff == cutoff] == 1).all()
    assert (after.largest_basket[after.cutoff == cutoff + 7 * DAY] == 9_999.0).all()


# -- generality ---------------------------------------------------------------------------------------------------


def test_a_plain_table_of_orders_is_enough():
    orders = shop()["transactions"].rename(
        columns={"household_id": "customer", "transaction_timestamp": "at", "sales_value": "paid", "basket_id": "order_id"}
    )[["customer", "at", "paid", "order_id"]]
    plain = PurchaseWithinSettings(
        **SMALL,
        orders="data",
        customer="customer",
        time="at",
        amount="paid",
        basket="order_id",
        **dict.fromkeys(("product", "quantity", "store", "products", "customers", "campaigns", "redemptions"), ""),
        discounts=[],
        coupon_discounts=[],
    )
    examples = PurchaseWithinView(plain).examples(as_tables(orders, units={"paid": "EUR"}))
    found = examples.table.to_pyarrow().to_pandas()
    rich = rows(shop(), PURCHASE)
    assert len(found) == len(rich)
    assert not [name for name in found if "share_" in name and name != "weekend_share"]
    assert examples.units["spend_7d"] == "EUR"
    roles: dict[str, Role] = {"customer": "key", "cutoff": "time", "buys": "target"}
    assert (examples.roles, examples.cutoff) == (roles, "cutoff")


def test_a_customer_who_is_described_twice_makes_no_more_examples():
    frames = shop()
    twice = {**frames, "demographics": pd.concat([frames["demographics"]] * 2)}
    pd.testing.assert_frame_equal(rows(twice, PURCHASE), rows(frames, PURCHASE))


def test_examples_whose_horizon_is_not_over_are_counted():
    frames = shop()
    short, long = (PurchaseWithinView(settings(horizon_days=days)).examples(as_tables(frames)) for days in (1, 15))
    n_short, n_long = (examples.table.count().to_pyarrow().as_py() for examples in (short, long))
    left_out = [examples.left_out["the horizon is not over yet"].to_pyarrow().as_py() for examples in (short, long)]
    assert n_short - n_long == left_out[1] - left_out[0] > 0


# -- what cannot be used ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon_days": -7}, r"view\.horizon_days is -7; it must be at least 1 day"),
        ({"active_days": 0}, r"view\.active_days is 0"),
        ({"every_days": 0}, r"view\.every_days is 0"),
        ({"windows_days": [28, 7]}, r"view\.windows_days is \[28, 7\]; give lengths"),
        ({"windows_days": []}, r"view\.windows_days is \[\]"),
        ({"n_departments": -1}, r"view\.n_departments is -1"),
        ({"first_cutoff": "May 2024"}, r"view\.first_cutoff: 'May 2024' is not a date"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(ConfigError, match=message):
        settings(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"first_cutoff": "2030-01-01"},
            r"view\.first_cutoff: 2030-01-01 is outside the data; the purchases run from 2024-01-01 to",
        ),
        ({"last_cutoff": "2020-01-01"}, r"view\.last_cutoff: 2020-01-01 is outside the data"),
        ({"first_cutoff": "2024-02-20", "last_cutoff": "2024-02-10"}, r"no cut-off from 2024-02-20 to 2024-02-10"),
        ({"windows_days": [7, 400]}, r"the history looks back 400 days\. Shorten view\.windows_days"),
        ({"horizon_days": 55}, r"view\.horizon_days: 55 days from the first cut-off .* are not over"),
        ({"customer": "household"}, r"view\.customer is 'household', but table 'transactions' has no such column\. Did you mean"),
        ({"discounts": ["retail_disk"]}, r"view\.discounts is 'retail_disk'.*Did you mean 'retail_disc'\?"),
        ({"orders": "transaction"}, r"has no table 'transaction'\. Did you mean 'transactions'\?"),
        ({"time": "quantity"}, r"view\.time: column 'quantity' is int64, expected a timestamp\. First value: \d"),
        ({"department": "FUL"}, r"view\.department: nothing was bought in 'FUL'\. Did you mean 'FUEL'\?"),
    ],
)
def test_settings_that_do_not_fit_the_data(changes, message):
    with pytest.raises(DataError, match=message):
        PurchaseWithinView(settings(**changes)).examples(as_tables(shop()))


def test_no_purchases():
    frames = shop()
    frames["transactions"] = frames["transactions"].assign(transaction_timestamp=pd.NaT)
    with pytest.raises(DataError, match="has no purchases with a time"):
        PurchaseWithinView(settings()).examples(as_tables(frames))


@pytest.mark.parametrize("view", [PurchaseWithinView(settings()), BasketValueView(BasketValueSettings(**SMALL))])
def test_parts_of_the_customers_are_together_the_whole(view):
    examples = view.examples(as_tables(shop()))
    whole = examples.table.to_pandas()
    enough = len(shop()["transactions"]) * BYTES_A_LINE
    assert [len(examples.tables(memory)) for memory in (1 << 30, enough, enough - 1)] == [1, 1, 2]
    parts = [part.to_pandas() for part in examples.tables(enough // 3)]
    customers = [set(part.household_id) for part in parts]
    assert len(parts) >= 3
    assert min(map(len, customers)) > 0
    assert sum(map(len, customers)) == whole.household_id.nunique()
    keys = ["household_id", "cutoff"]
    together = pd.concat(parts).sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(together, whole.sort_values(keys, ignore_index=True), check_exact=True)


def test_parts_are_computed_one_by_one_and_counted(tmp_path, monkeypatch, said):
    examples = PurchaseWithinView(settings()).examples(as_tables(shop()))
    materialise(examples, {}, tmp_path / "whole.parquet")
    assert ("what", "computing the view in parts") not in said
    monkeypatch.setattr(purchases, "BYTES_A_LINE", (4 << 30) // len(shop()["transactions"]))
    materialise(examples, {}, tmp_path / "parts.parquet")
    at = said.index(("what", "computing the view in parts"))
    assert said[at : at + 6] == [
        ("what", "computing the view in parts"), ("done", 0), ("total", 2), ("done", 1), ("done", 1), ("what", "")
    ]  # fmt: skip
    assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_view_that_adds_to_another_is_computed_whole():
    examples = PurchaseWithinView(settings()).examples(as_tables(shop()))
    more = replace(examples, table=examples.table.mutate(one=1))
    assert [part.columns[-1] for part in more.tables(1000)] == ["one"]
