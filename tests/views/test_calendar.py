"""The cut-offs, by counting days; and what a line counts for where something of it is missing."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopkit.errors import DataError
from shopkit.sources.files import FilesSource
from shopkit.sources.settings import FilesSettings
from shopkit.views.purchase_within import PurchaseWithinView
from shopkit.views.purchases import slugs
from shopkit.views.settings import PurchaseWithinSettings
from tests.data import as_tables, shop
from tests.views.shops import SMALL, settings

START, END = dt.date(2024, 1, 1), dt.date(2024, 2, 29)
BARE = {
    "windows_days": [7],
    "active_days": 10,
    **dict.fromkeys(("product", "quantity", "store", "products", "customers", "campaigns", "redemptions"), ""),
    "discounts": [],
    "coupon_discounts": [],
}


def daily(dtype: str = "datetime64[ns]") -> pd.DataFrame:
    """One customer who buys once on every day, late in the evening."""
    days = pd.date_range(START, END) + pd.Timedelta(23, "h")
    times = days if dtype != "date" else days.date
    return pd.DataFrame(
        {"household_id": 1, "transaction_timestamp": times, "sales_value": 2.5, "basket_id": np.arange(len(days))}
    )


def cutoffs(orders: pd.DataFrame, **changes: object) -> tuple[list[dt.date], int]:
    """Those of the examples, and how many are left out as their horizon is not over."""
    view = PurchaseWithinView(PurchaseWithinSettings(**{**BARE, **changes}))
    examples = view.examples(as_tables({"transactions": orders}))
    found = examples.table.to_pyarrow().to_pandas().sort_values("cutoff")
    assert (found.buys == 1).all()
    return list(found.cutoff.dt.date), examples.left_out["the horizon is not over yet"].to_pyarrow().as_py()


@pytest.mark.parametrize("dtype", ["timestamp", "date"])
@pytest.mark.parametrize(
    ("every", "horizon", "first", "last", "history"),
    [
        (7, 7, "", "", {}),
        (1, 1, "", "", {"windows_days": [3, 12]}),
        (5, 3, "2024-01-02", "", {}),
        (7, 7, "2024-01-11", "2024-02-22", {}),
        (7, 7, "2024-01-11", "2024-02-21", {}),
        (7, 8, "2024-01-11", "2024-02-29", {}),
        (1, 10, "2024-02-19", "", {}),
        (30, 1, "2024-01-30", "2024-01-30", {}),
    ],
)
def test_cutoffs_are_counted_from_the_first_as_long_as_there_are_purchases(every, horizon, first, last, history, dtype):
    found, n_open = cutoffs(daily(dtype), every_days=every, horizon_days=horizon, first_cutoff=first, last_cutoff=last, **history)
    day = dt.date.fromisoformat(first) if first else START + dt.timedelta(days=max(*history.get("windows_days", [7]), 10))
    expected = []
    while day <= (dt.date.fromisoformat(last) if last else END):
        expected.append(day)
        day += dt.timedelta(days=every)
    closed = [cutoff for cutoff in expected if cutoff + dt.timedelta(days=horizon) <= END]
    assert (found, n_open) == (closed, len(expected) - len(closed))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first_cutoff": "2024-01-01"},
         r"^view\.first_cutoff: 2024-01-01 is outside the data; the purchases run from 2024-01-01 to "
                                         r"2024-02-29\.$"),
        ({"last_cutoff": "2024-03-01"},
         r"^view\.last_cutoff: 2024-03-01 is outside the data; the purchases run from 2024-01-01 to "
                                        r"2024-02-29\.$"),
        (
            {"first_cutoff": "2024-02-20", "last_cutoff": "2024-02-19"},
            r"^view: no cut-off from 2024-02-20 to 2024-02-19: the purchases run from 2024-01-01 to 2024-02-29\. "
            r"Shorten view\.windows_days, or set view\.first_cutoff\.$",
        ),
        (
            {"windows_days": [60]},
            r"^view: no cut-off from 2024-03-01 to 2024-02-29: the purchases run from 2024-01-01 to 2024-02-29 and the history "
            r"looks back 60 days\. Shorten view\.windows_days, or set view\.first_cutoff\.$",
        ),
        (
            {"first_cutoff": "2024-02-20", "horizon_days": 10},
            r"^view\.horizon_days: 10 days from the first cut-off 2024-02-20 are not over; the purchases run from 2024-01-01 to "
            r"2024-02-29\.$",
        ),
        (
            {"time": "sales_value"},
            r"^view\.time: column 'sales_value' is float64, expected a timestamp\. First value: 2\.5\. Declare it in "
            r"source\.types, set source\.timestamp_format, or cast it in the source\.$",
        ),
        *(
            (
                {setting: ["till"] if setting.endswith("s") else "till"},
                rf"^view\.{setting}: column 'till' is string, expected a number\. First value: '1,132\.80'\. Write numbers "
                r"without marks, or cast it in the source\.$",
            )
            for setting in ("amount", "quantity", "discounts", "coupon_discounts")
        ),
        (
            {"amount": "sales_valeu"},
            r"^view\.amount is 'sales_valeu', but table 'transactions' has no such column\. Did you mean 'sales_value'\? "
            r"Columns: household_id, transaction_timestamp, sales_value, basket_id\.$",
        ),
        ({"department": "FUEL"}, r"^view\.department: nothing was bought in 'FUEL'\.$"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_said_with_the_dates(changes, message):
    with pytest.raises(DataError, match=message):
        cutoffs(daily().assign(till="1,132.80") if "till" in str(changes) else daily(), **changes)


def test_lines_of_nobody_or_of_no_day_are_counted():
    orders = daily()
    orders["household_id"] = orders.household_id.astype("Int64")
    orders.loc[[3, 5, 9], "household_id"] = pd.NA
    orders.loc[[5, 7], "transaction_timestamp"] = pd.NaT
    examples = PurchaseWithinView(PurchaseWithinSettings(**BARE)).examples(as_tables({"transactions": orders}))
    assert examples.left_out["line without customer or time"].to_pyarrow().as_py() == 4


def test_a_department_in_which_nothing_was_bought_lists_those_there_are():
    with pytest.raises(
        DataError,
        match=r"^view\.department: nothing was bought in 'FUL'\. Did you mean 'FUEL'\? Departments: FUEL, GROCERY, MEAT-PCKGD, "
        r"PRODUCE\.$",
    ):
        PurchaseWithinView(settings(department="FUL")).examples(as_tables(shop()))


def test_departments_with_most_lines_before_the_first_cutoff_have_columns():
    departments = ["b", "b", "a", "a", "C c", "-", "-", "-"]
    orders = pd.concat([daily().head(9)] * 2, ignore_index=True).head(8).assign(product_id=range(8))
    later = daily().tail(50).assign(product_id=4)
    frames = {
        "transactions": pd.concat([orders, later]),
        "products": pd.DataFrame({"product_id": range(8), "department": departments}),
    }
    with_products = {**BARE, "product": "product_id", "products": "products"}
    for n, named in ((0, set()), (1, {"other"}), (2, {"other", "a"}), (4, {"other", "a", "b", "c_c"})):
        view = PurchaseWithinView(PurchaseWithinSettings(**{**with_products, "n_departments": n}))
        columns = view.examples(as_tables(frames)).table.columns
        assert {name.removeprefix("share_") for name in columns if name.startswith("share_")} == named
        assert ("department_breadth" in columns) == bool(named)


def test_parts_of_column_names_are_plain_and_each_is_there_once():
    assert slugs(["Fresh Fruit", "fresh-fruit", "FRESH  FRUIT!", "日本", "x9", "_"]) == {
        "fresh_fruit": "Fresh Fruit",
        "fresh_fruit_1": "fresh-fruit",
        "fresh_fruit_2": "FRESH  FRUIT!",
        "other": "日本",
        "x9": "x9",
        "other_5": "_",
    }


def test_a_line_without_a_customer_or_time_counts_nowhere_and_without_an_amount_is_worth_nothing():
    frames = shop()
    extra = frames["transactions"].head(40)
    nobody, never = extra.assign(household_id=None), extra.assign(transaction_timestamp=pd.NaT)
    unpaid, free = (
        extra.assign(sales_value=value, quantity=value, retail_disc=value, coupon_disc=value) for value in (None, 0.0)
    )
    found, expected = (
        PurchaseWithinView(settings(**SMALL))
        .examples(as_tables({**frames, "transactions": pd.concat([frames["transactions"], *lines]).astype({"quantity": float})}))
        .table.to_pyarrow()
        .to_pandas()
        .sort_values(["household_id", "cutoff"], ignore_index=True)
        for lines in ((nobody, never, unpaid), (free,))
    )
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_what_is_not_a_number_in_a_parquet_file_is_missing(tmp_path):
    orders = daily().assign(quantity=1.0, discount=0.5).head(40)
    values = {name: orders[name].to_numpy(copy=True) for name in ("sales_value", "quantity", "discount")}
    for array in values.values():
        array[5:] = np.nan
    columns = pa.Table.from_pandas(orders.drop(columns=[*values])).to_pydict()
    pq.write_table(pa.table({**columns, **values}), tmp_path / "orders.parquet")
    tables = FilesSource(FilesSettings(tables={"transactions": str(tmp_path / "orders.parquet")})).open()
    changes = {"windows_days": [12], "quantity": "quantity", "discounts": ["discount"], "last_cutoff": "2024-01-13"}
    view = PurchaseWithinView(PurchaseWithinSettings(**{**BARE, **changes}))
    (row,) = view.examples(tables).table.to_pyarrow().to_pylist()
    assert (row["n_lines_12d"], row["n_items_12d"], row["spend_12d"]) == (12, 5, 12.5)
    assert row["discount_share_12d"] == pytest.approx(2.5 / 15)


def test_cents_are_added_without_rounding_errors():
    orders = pd.concat([daily()] * 30, ignore_index=True).assign(sales_value=0.1, basket_id=0)
    view = PurchaseWithinView(PurchaseWithinSettings(**{**BARE, "basket": "basket_id"}))
    found = view.examples(as_tables({"transactions": orders})).table.to_pyarrow().to_pandas()
    assert set(found.spend_7d) == {21.0}
    assert set(found.largest_basket) == {3.0}


def lines(customer: int, days: list[int], amount: float) -> pd.DataFrame:
    """One line a day, so many days after the start."""
    times = [pd.Timestamp(START) + pd.Timedelta(day, "D") for day in days]
    basket = [1_000 * customer + day for day in days]
    return pd.DataFrame({"household_id": customer, "transaction_timestamp": times, "sales_value": amount, "basket_id": basket})


def test_a_customer_of_one_day_one_who_spends_nothing_and_one_of_every_day():
    orders = [
        lines(1, [8], 0.0),
        lines(2, [6], 2.5),
        lines(3, list(range(3, 11)), 0.0001),
        lines(4, [0, 40], 1.0),
        lines(6, [1], 1.0),
    ]
    orders = [pd.concat(orders).assign(product_id=7)]
    orders += [lines(5, [9], amount).assign(product_id=product) for amount, product in ((5.0, 7), (-5.0, 8))]
    frames = {
        "transactions": pd.concat(orders),
        "products": pd.DataFrame({"product_id": [7, 8], "department": ["Tea", "Refunds"]}),
    }
    with_products = {"product": "product_id", "products": "products", "first_cutoff": "2024-01-12", "last_cutoff": "2024-01-12"}
    view = PurchaseWithinView(PurchaseWithinSettings(**{**BARE, **with_products, "windows_days": [3, 7]}))
    found = (
        view.examples(as_tables(frames)).table.to_pyarrow().to_pandas().set_index("household_id").drop(columns=["cutoff", "buys"])
    )
    nan = np.nan
    expected = {
        # 2024-01-09 was a Tuesday; the cut-off is 11 days after the start.
        1: {"recency_days": 3, "tenure_days": 3, "weekend_share": 0, "largest_basket": 0, "basket_mean": 0, "share_tea": nan,
            "days_since_tea": nan, "spend_trend_3d_7d": nan, "basket_trend_3d_7d": 7 / 3},
        2: {"recency_days": 5, "tenure_days": 5, "weekend_share": 1, "largest_basket": 2.5, "basket_mean": 2.5, "share_tea": 1,
            "days_since_tea": 5, "spend_trend_3d_7d": 0, "basket_trend_3d_7d": 0},
        3: {"recency_days": 1, "tenure_days": 8, "weekend_share": 0.25, "largest_basket": 0.0001, "basket_mean": 0.0001,
            "share_tea": 1, "days_since_tea": 1, "spend_trend_3d_7d": 1, "basket_trend_3d_7d": 1},
    }  # fmt: skip
    # What is bought and given back is no share of nothing.
    expected[5] = {"largest_basket": 0, "share_tea": nan, "share_refunds": nan, "days_since_tea": 2, "days_since_refunds": nan}
    for customer in (1, 2):
        expected[customer] |= {"gap_mean_days": nan, "gap_std_days": nan, "recency_in_gaps": nan, "lines_per_basket": 1}
    expected[3] |= {"gap_mean_days": 1, "gap_std_days": 0, "recency_in_gaps": 1, "lines_per_basket": 1}
    assert sorted(found.index) == [1, 2, 3, 5, 6]  # the last ten days before the cut-off, whole
    for customer, values in expected.items():
        np.testing.assert_allclose(found.loc[customer, [*values]].astype(float), [*values.values()], err_msg=str(customer))


def test_what_lies_further_back_than_the_longest_window_is_forgotten_at_every_cutoff():
    orders = daily()
    orders.loc[20, "sales_value"] = 99.0
    view = PurchaseWithinView(PurchaseWithinSettings(**{**BARE, "first_cutoff": "2024-01-12", "every_days": 2}))
    found = view.examples(as_tables({"transactions": orders})).table.to_pyarrow().to_pandas().set_index("cutoff")
    assert len(found) == 21
    for cutoff, row in found.iterrows():
        seen = orders[(orders.transaction_timestamp < cutoff) & (orders.transaction_timestamp >= cutoff - pd.Timedelta(10, "D"))]
        assert row.largest_basket == seen.sales_value.max()
        assert row.weekend_share == (seen.transaction_timestamp.dt.day_of_week >= 5).mean()


def test_who_bought_by_the_day_before_an_open_cutoff_is_counted_there():
    orders = pd.concat([daily(), lines(2, [58], 1.0), lines(3, [59], 1.0)])
    view = PurchaseWithinView(PurchaseWithinSettings(**{**BARE, "first_cutoff": "2024-02-08"}))
    # The open one is the last day, 59 days after the start.
    left_out = view.examples(as_tables({"transactions": orders})).left_out
    assert left_out["the horizon is not over yet"].to_pyarrow().as_py() == 2


def test_a_discount_that_is_missing_leaves_the_others_as_they_are():
    orders = daily().assign(first=np.where(np.arange(60) % 2, np.nan, 1.0), second=0.5)
    view = PurchaseWithinView(PurchaseWithinSettings(**{**BARE, "windows_days": [8], "coupon_discounts": ["first", "second"]}))
    found = view.examples(as_tables({"transactions": orders})).table.to_pyarrow().to_pandas()
    np.testing.assert_allclose(found.coupon_share_8d, (4 * 1.5 + 4 * 0.5) / (8 * 2.5 + 4 * 1.5 + 4 * 0.5))
