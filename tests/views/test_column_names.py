"""The names of a history's columns: those that settings give, and those that departments, campaigns and facts get."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkit.errors import DataError
from shopkit.views.customer_history import CustomerHistoryView
from shopkit.views.purchase_within import PurchaseWithinView
from shopkit.views.purchases import slugs
from shopkit.views.settings import CustomerHistorySettings
from tests.data import as_tables, shop
from tests.views.shops import SMALL, settings

FRAMES = shop(n_customers=8, n_days=45)


def rows(frames: dict[str, pd.DataFrame], **changes: object) -> pd.DataFrame:
    found = PurchaseWithinView(settings(**changes)).examples(as_tables(frames)).table.to_pyarrow().to_pandas()
    return found.sort_values(["household_id", "cutoff"], ignore_index=True)


TAKEN = ("a", "a_2", "other")
PARTS = st.text("aA2 !_", max_size=4)


@given(st.lists(PARTS, unique=True), st.booleans())
def test_every_name_has_a_part_of_its_own(names, reserved):
    found = slugs(names, TAKEN if reserved else ())
    assert list(found.values()) == names
    assert all(re.fullmatch("[0-9a-z]+(_[0-9a-z]+)*", part) for part in found)
    assert not (reserved and set(found) & set(TAKEN))


def test_departments_called_like_other_columns_change_none_of_them():
    named = {"GROCERY": "28D", "PRODUCE": "Redemption"}
    renamed = {"share_grocery": "share_28d", "days_since_grocery": "days_since_28d"}
    renamed |= {"share_produce": "share_redemption_1", "days_since_produce": "days_since_redemption_1"}
    products = FRAMES["products"].replace({"department": named})
    assert sum(products.department.isin(named.values())) > 10
    found = rows({**FRAMES, "products": products})
    pd.testing.assert_frame_equal(found, rows(FRAMES).rename(columns=renamed), check_like=True)


MADE = ["customer", "k", "cutoff", "buys", "basket_value", "spend_28d", "n_campaigns", "n_stores", "K", "Buys"]


@pytest.mark.parametrize("name", MADE)
def test_a_fact_called_like_a_column_of_the_view_is_refused(name):
    facts = FRAMES["demographics"].rename(columns={"income": name})
    message = (
        f"view.customers: table 'demographics' has a column '{name}', which is what the view calls a column of its own. Rename "
        "it in the source."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        rows({**FRAMES, "demographics": facts})


@pytest.mark.parametrize("name", ["past_spend", "Past_Lines"])
def test_a_fact_called_like_a_sequence_of_the_view_is_refused(name):
    facts = FRAMES["demographics"].rename(columns={"income": name})
    view = CustomerHistoryView(CustomerHistorySettings(**SMALL))
    with pytest.raises(DataError, match=f"table 'demographics' has a column '{name}', which is what the view calls a column"):
        view.examples(as_tables({**FRAMES, "demographics": facts}))


@pytest.mark.parametrize("name", ["n_campaigns_by_mail", "n_coupons", "past_income", "past_category"])
def test_a_fact_whose_name_begins_like_those_of_the_view_stays_as_it_is(name):
    """Nothing is counted in it, so that a missing value is no 0."""
    facts = FRAMES["demographics"].rename(columns={"income": name})
    found = rows({**FRAMES, "demographics": facts})
    pd.testing.assert_frame_equal(found, rows(FRAMES).rename(columns={"income": name}))
    assert found[name].isna().any()


@pytest.mark.parametrize(
    ("setting", "table"),
    [
        *((name, "transactions") for name in ("time", "customer", "basket", "product", "store", "amount", "quantity")),
        ("discounts", "transactions"),
        ("coupon_discounts", "transactions"),
        ("product_department", "products"),
        *((name, "campaign_descriptions") for name in ("campaign_type", "campaign_start", "campaign_end")),
        ("redemption_time", "coupon_redemptions"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_its_setting_and_table(setting, table):
    columns = ", ".join(FRAMES[table].columns)
    message = f"view.{setting} is 'zzzzzzzz', but table '{table}' has no such column. Columns: {columns}."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        rows(FRAMES, **{setting: ["zzzzzzzz"] if setting.endswith("discounts") else "zzzzzzzz"})


@pytest.mark.parametrize(
    ("table", "column", "setting"),
    [
        ("products", "product_id", "product"),
        ("demographics", "household_id", "customer"),
        ("campaigns", "household_id", "customer"),
        ("campaigns", "campaign_id", "campaign"),
        ("campaign_descriptions", "campaign_id", "campaign"),
        ("coupon_redemptions", "household_id", "customer"),
    ],
)
def test_a_column_that_another_table_lacks_is_named_with_that_table(table, column, setting):
    frames = {**FRAMES, table: FRAMES[table].rename(columns={column: "zzzzzzzz"})}
    with pytest.raises(DataError, match=f"^view.{setting} is '{column}', but table '{table}' has no such column."):
        rows(frames)


@pytest.mark.parametrize(
    ("setting", "table", "column"),
    [
        ("campaign_start", "campaign_descriptions", "start_date"),
        ("campaign_end", "campaign_descriptions", "end_date"),
        ("redemption_time", "coupon_redemptions", "redemption_date"),
    ],
)
def test_a_time_that_is_none_is_named_with_its_setting(setting, table, column):
    frames = {**FRAMES, table: FRAMES[table].assign(**{column: 3})}
    with pytest.raises(DataError, match=rf"^view.{setting}: column '{column}' is int64, expected a timestamp. First value: 3"):
        rows(frames)


def test_types_of_campaigns_have_columns_if_one_began_before_the_first_cutoff():
    first = rows(FRAMES).cutoff.min()
    starts = [first - pd.Timedelta(days, "D") for days in (1, 0, -1, 3)]
    described = pd.DataFrame(
        {
            "campaign_id": [1, 2, 3, 4],
            "campaign_type": ["the day before", "that day", "the day after", None],
            "start_date": starts,
            "end_date": [first + pd.Timedelta(9, "D")] * 4,
        }
    )
    sent = pd.DataFrame({"campaign_id": [1, 2, 3, 4] * 8, "household_id": sorted([*range(1, 9)] * 4)})
    found = rows({**FRAMES, "campaign_descriptions": described, "campaigns": sent})
    columns = [name for name in found if name.startswith("n_campaigns")]
    assert columns == ["n_campaigns", "n_campaigns_the_day_before"]
    by_cutoff = found.groupby("cutoff")[[*columns, "days_since_campaign_start"]].agg(["min", "max"])
    # 1 and 4 have begun before the first cut-off, all before the next, and none is left after nine days.
    assert by_cutoff.iloc[:, ::2].to_numpy()[:2].tolist() == [[2, 1, 1], [4, 1, 6]]
    assert by_cutoff.iloc[:, 1::2].to_numpy()[:2].tolist() == [[2, 1, 1], [4, 1, 6]]
