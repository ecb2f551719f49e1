"""The sequence of what a customer bought, against the obvious way of gathering it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from shopkit.errors import ConfigError, DataError
from shopkit.views.customer_history import CustomerHistoryView
from shopkit.views.materialise import materialise
from shopkit.views.purchase_within import PurchaseWithinView
from shopkit.views.settings import CustomerHistorySettings
from tests.data import as_tables, shop, visits
from tests.views.shops import SMALL, settings

DAY = pd.Timedelta(1, "D")
PLACE = ["household_id", "cutoff"]


def view(**changes: object) -> CustomerHistoryView:
    return CustomerHistoryView(CustomerHistorySettings(**{**SMALL, "max_steps": 4, **changes}))  # type: ignore[arg-type]


def rows(found: PurchaseWithinView, frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return found.examples(as_tables(frames)).table.to_pyarrow().to_pandas().sort_values(PLACE).reset_index(drop=True)


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    return shop()


def lines_before(frames: dict[str, pd.DataFrame], customer: int, cutoff: pd.Timestamp) -> pd.DataFrame:
    lines = frames["transactions"].merge(frames["products"], on="product_id", how="left")
    lines["department"] = lines.department.fillna("")
    time = lines.transaction_timestamp
    return lines[(lines.household_id == customer) & (time < cutoff) & (time.dt.normalize() >= cutoff - 28 * DAY)]


def test_the_latest_baskets_before_the_cutoff_oldest_first(frames):
    found = rows(view(), frames)
    assert found.past_spend.map(len).max() == 4
    for _, row in found.iloc[::7].iterrows():
        lines = lines_before(frames, row.household_id, row.cutoff)
        baskets = lines.groupby("basket_id").agg(
            at=("transaction_timestamp", "min"), spend=("sales_value", "sum"), n=("product_id", "size")
        )
        baskets = baskets.sort_values("at").tail(4)
        np.testing.assert_allclose(row.past_spend, baskets.spend, atol=1e-6)
        np.testing.assert_array_equal(row.past_lines, baskets.n)
        np.testing.assert_array_equal(row.past_days_since, (row.cutoff - baskets["at"].dt.normalize()) / DAY)
        for category, basket in zip(row.past_category, baskets.index, strict=True):
            amounts = lines[lines.basket_id == basket].groupby("department").sales_value.sum().round(4)
            assert category == amounts[amounts == amounts.max()].index.min()


def test_the_latest_lines(frames):
    found = rows(view(step="line", aggregates=False), frames)
    assert "past_lines" not in found
    for _, row in found.iloc[::11].iterrows():
        lines = lines_before(frames, row.household_id, row.cutoff)
        order = ["transaction_timestamp", "basket_id", "department", "sales_value"]
        latest = lines.sort_values(order).tail(4)
        assert list(row.past_category) == latest.department.tolist()
        np.testing.assert_allclose(row.past_spend, latest.sales_value, atol=1e-6)


def test_baskets_of_a_day_stand_in_the_order_of_their_first_lines(frames):
    orders, cutoff, buyer = frames["transactions"], pd.Timestamp("2024-02-05"), 7
    of_day = orders.head(6).assign(
        household_id=buyer,
        basket_id=[900_003, 900_002, 900_001, 900_003, 900_002, 900_001],
        sales_value=[1.0, 20.0, 300.0, 4_000.0, 50_000.0, 600_000.0],
        transaction_timestamp=cutoff - DAY + pd.to_timedelta([9, 11, 13, 18, 17, 16], "h"),
    )
    others = orders[(orders.household_id != buyer) | (orders.transaction_timestamp < cutoff - DAY)]
    found = rows(view(max_steps=3, aggregates=False), {**frames, "transactions": pd.concat([others, of_day])})
    row = found[(found.household_id == buyer) & (found.cutoff == cutoff)].iloc[0]
    assert list(row.past_spend) == [4_001.0, 50_020.0, 600_300.0]
    assert list(row.past_lines) == [2.0, 2.0, 2.0]


def test_rows_targets_and_aggregates_are_those_of_purchase_within(frames):
    plain, joined, alone = (rows(found, frames) for found in (PurchaseWithinView(settings()), view(), view(aggregates=False)))
    pd.testing.assert_frame_equal(joined[plain.columns], plain)
    assert [name for name in joined if name not in plain] == ["past_category", "past_spend", "past_days_since", "past_lines"]
    pd.testing.assert_frame_equal(alone[[*PLACE, "buys"]], plain[[*PLACE, "buys"]])
    assert [name for name in alone if not name.startswith("past_")] == [*PLACE, "buys"]


def test_a_department_of_interest_has_columns_whatever_is_bought_in_it(frames):
    found = view(department="FUEL", n_departments=1).examples(as_tables(frames)).table.columns
    assert [
        name for name in found if name.startswith("days_since_") and "_campaign" not in name and "_redemption" not in name
    ] == [
        "days_since_fuel",
        "days_since_grocery",
    ]


def test_another_category_of_the_products(frames):
    products = frames["products"].assign(category=lambda p: "c" + (p.product_id % 3).astype(str))
    found = rows(view(category="category"), {**frames, "products": products})
    assert set(np.concatenate(found.past_category)) <= {"c0", "c1", "c2", ""}
    plain = rows(PurchaseWithinView(settings()), frames)
    pd.testing.assert_frame_equal(found[plain.columns], plain)
    with pytest.raises(DataError, match=r"view.category is 'colour', but table 'products' has no such column"):
        rows(view(category="colour"), frames)


def test_a_shop_without_products_has_no_categories(frames):
    found = rows(view(products="", n_departments=0, aggregates=False), frames)
    assert set(np.concatenate(found.past_category)) == {""}


def test_at_least_one_step():
    with pytest.raises(ConfigError, match=r"view.max_steps is 0; it must be at least 1"):
        CustomerHistorySettings(max_steps=0)


def test_sequences_are_materialised_as_lists(frames, tmp_path):
    made = materialise(view().examples(as_tables(frames)), {}, tmp_path / "examples.parquet")
    kinds = {column.name: (column.kind, column.unit) for column in made.schema if column.sequence}
    assert kinds == {
        "past_category": ("string", ""),
        "past_spend": ("number", ""),
        "past_days_since": ("number", "days"),
        "past_lines": ("number", ""),
    }
    stored = pd.read_parquet(tmp_path / "examples.parquet")
    assert stored.past_spend[0].dtype == np.float32


def table_of(**columns: list[object]) -> pd.DataFrame:
    frame = visits(4)[["visit_id", "bought"]].assign(bought=[0, 1, 0, 1])
    return frame.assign(**{name: pd.Series(values, dtype=object) for name, values in columns.items()})


def materialised(frame: pd.DataFrame, path, types=None):
    from shopkit.views.settings import TableSettings
    from shopkit.views.table import TableView

    found = TableView(TableSettings(target="bought", keys=["visit_id"])).examples(as_tables(frame))
    return materialise(found, types or {}, path / "examples.parquet")


def test_any_table_may_hold_lists(tmp_path):
    frame = table_of(
        items=[["a", None], [], None, ["b"]],
        codes=[[3, None], [], [], [7]],
        prices=[[1.5, float("nan")], [], [], [2.0]],
    )
    made = materialised(frame, tmp_path, {"codes": "string"})
    assert [(c.name, c.kind, c.integer) for c in made.schema if c.sequence] == [
        ("items", "string", False),
        ("codes", "string", True),
        ("prices", "number", False),
    ]
    stored = pd.read_parquet(tmp_path / "examples.parquet")
    assert [list(row) for row in stored["items"]] == [["a", ""], [], [], ["b"]]
    assert [list(row) for row in stored["codes"]] == [["3", ""], [], [], ["7"]]


def test_ragged_sequences_of_a_row_are_refused(tmp_path):
    frame = table_of(items=[["a"], ["b"], [], ["c"]], prices=[[1.0], [1.0, 2.0], [], [3.0]])
    with pytest.raises(DataError, match=r"Row 1 \(visit_id=2\): 'items' has 1 steps and 'prices' has 2"):
        materialised(frame, tmp_path)


def test_a_list_is_no_target(tmp_path):
    with pytest.raises(DataError, match=r"Column 'bought' is of type VARCHAR\[\], which cannot be the target"):
        materialised(table_of(x=[1, 2, 3, 4]).assign(bought=[["a"], ["b"], ["c"], ["d"]]), tmp_path)


def test_an_infinite_step_is_named(tmp_path):
    frame = table_of(prices=[[1.0], [], [float("inf"), 2.0], [3.0]])
    with pytest.raises(DataError, match=r"Column 'prices', row 2, step 0: inf is not a finite number"):
        materialised(frame, tmp_path)
