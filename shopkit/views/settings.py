"""The settings of the built-in views."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Literal

from shopkit.errors import ConfigError


@dataclass
class TableSettings:
    """Each row of one table is an example."""

    table: str = "data"
    """The table whose rows are the examples."""
    target: str = "target"
    """The column to predict."""
    keys: list[str] = field(default_factory=list)
    """Columns that name a row, carried through to the predictions. Without any, rows get a number, `row`."""
    time: str = ""
    """When the row happened: orders the examples, and a split by time goes by it."""
    weight: str = ""
    """Column of sample weights."""
    group: str = ""
    """Column whose equal values stay in one part of the split, e.g. the customer. It is a feature only if `columns` names it."""
    columns: list[str] = field(default_factory=list)
    """The columns to use as features; empty uses all that have no other role."""
    exclude: list[str] = field(default_factory=list)
    """Columns to leave out."""
    cutoff: str = ""
    """Time column at or past which no feature may look; the leakage audit compares other times with it."""
    required: list[str] = field(default_factory=list)
    """Columns that must say something: rows where one of them is missing or blank are left out, and counted."""
    unique: list[str] = field(default_factory=list)
    """Columns whose values together may occur once: of rows that repeat them one is kept, and the others are counted."""
    min_class_rows: int = 0
    """Rows whose value of the target fewer rows than so many have are left out, and counted; for targets of classes."""

    def __post_init__(self) -> None:
        if not self.target:
            raise ConfigError("view.target is empty; name the column to predict.")
        taken: dict[str, str] = {}
        for role in ("target", "time", "weight"):
            name = getattr(self, role)
            if name in taken:
                raise ConfigError(f"view.{role}: column '{name}' is already view.{taken[name]}.")
            if name:
                taken[name] = role
        if self.target in self.keys:
            raise ConfigError(f"view.keys: column '{self.target}' is the target.")
        if self.min_class_rows < 0:
            raise ConfigError(f"view.min_class_rows is {self.min_class_rows}; it must be at least 0.")


@dataclass
class HistorySettings:
    """Which columns hold the purchases, and what of a customer's history becomes features. Defaults fit completejourney."""

    orders: str = "transactions"
    """Table with one row per purchased line."""
    customer: str = "household_id"
    """Column of `orders` (and of the customer tables) that names the customer."""
    time: str = "transaction_timestamp"
    """Column of `orders`: when it was bought."""
    amount: str = "sales_value"
    """Column of `orders`: what was paid for the line."""
    basket: str = "basket_id"
    """Column of `orders`: the purchase the line belongs to."""
    product: str = "product_id"
    """Column of `orders` and `products`: the product; empty if there is none."""
    quantity: str = "quantity"
    """Column of `orders`: pieces bought; empty if there is none."""
    store: str = "store_id"
    """Column of `orders`: where it was bought; empty if there is none."""
    discounts: list[str] = field(default_factory=lambda: ["retail_disc"])
    """Columns of `orders`: money taken off the shelf price."""
    coupon_discounts: list[str] = field(default_factory=lambda: ["coupon_disc", "coupon_match_disc"])
    """Columns of `orders`: money taken off by coupons."""
    products: str = "products"
    """Table of products with their department; empty if there is none."""
    product_department: str = "department"
    """Column of `products` with the product's department."""
    n_departments: int = 8
    """The departments with most lines before the first cut-off get columns of their own; the rest are summed up."""
    customers: str = "demographics"
    """Table of facts about customers, all used as text; empty if there is none."""
    campaigns: str = "campaigns"
    """Table of campaign × customer; empty if there is none."""
    campaign_descriptions: str = "campaign_descriptions"
    """Table of campaigns with type, start and end date."""
    campaign: str = "campaign_id"
    """Column of both campaign tables that names the campaign."""
    campaign_type: str = "campaign_type"
    """Column of `campaign_descriptions`."""
    campaign_start: str = "start_date"
    """Column of `campaign_descriptions`: first day."""
    campaign_end: str = "end_date"
    """Column of `campaign_descriptions`: last day."""
    redemptions: str = "coupon_redemptions"
    """Table of redeemed coupons; empty if there is none."""
    redemption_time: str = "redemption_date"
    """Column of `redemptions`: when."""
    windows_days: list[int] = field(default_factory=lambda: [7, 28, 56, 112])
    """Lengths of the windows before the cut-off over which the history is summed up, shortest first."""
    active_days: int = 56
    """Customers who bought within this many days before the cut-off are examples."""
    every_days: int = 7
    """Days from one cut-off to the next."""
    first_cutoff: str = ""
    """First cut-off, `2017-05-01`; features look before it only. Empty takes the first with a full longest window behind it."""
    last_cutoff: str = ""
    """Last cut-off at most; empty takes all whose horizon is over."""
    horizon_days: int = 7
    """How many days from the cut-off on the target looks ahead."""

    def __post_init__(self) -> None:
        for name in ("horizon_days", "active_days", "every_days"):
            if getattr(self, name) < 1:
                raise ConfigError(f"view.{name} is {getattr(self, name)}; it must be at least 1 day.")
        if (
            not self.windows_days
            or any(days < 1 for days in self.windows_days)
            or sorted(set(self.windows_days)) != list(self.windows_days)
        ):
            raise ConfigError(
                f"view.windows_days is {list(self.windows_days)}; give lengths of at least 1 day, shortest first, each once."
            )
        if self.n_departments < 0:
            raise ConfigError(f"view.n_departments is {self.n_departments}; it must be at least 0.")
        for name in ("first_cutoff", "last_cutoff"):
            _check_date(name, getattr(self, name))

    @property
    def history_days(self) -> int:
        """How far back any feature looks, but for how long the customer is known."""
        return max(*self.windows_days, self.active_days)


@dataclass
class PurchaseWithinSettings(HistorySettings):
    """Will this customer buy within the next `horizon_days`?"""

    department: str = ""
    """Only purchases in this department count for the target; empty counts all."""


@dataclass
class CustomerHistorySettings(PurchaseWithinSettings):
    """Will this customer buy within the next `horizon_days`? From the sequence of what they bought."""

    step: Literal["basket", "line"] = "basket"
    """What a step of the sequence is: a `basket`, or a purchased `line`."""
    max_steps: int = 40
    """Steps before the cut-off, the latest ones, that an example has at most."""
    category: str = ""
    """Column of `products` whose value is the step's category, e.g. `product_category`; empty takes `product_department`. A
    basket has that of its largest amount."""
    aggregates: bool = True
    """Add the columns of `purchase_within`: windows, trends, departments, campaigns, facts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_steps < 1:
            raise ConfigError(f"view.max_steps is {self.max_steps}; it must be at least 1.")


@dataclass
class BasketValueSettings(HistorySettings):
    """What will be the value of this customer's next basket?"""


def _check_date(name: str, value: Any) -> None:
    if value:
        try:
            dt.date.fromisoformat(str(value))
        except ValueError:
            raise ConfigError(f"view.{name}: {value!r} is not a date; write it as 2017-05-01.") from None
