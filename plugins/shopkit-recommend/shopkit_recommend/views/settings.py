"""Settings of the views. Imports nothing heavy."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from shopkit.errors import ConfigError

MAX_STEPS = 256
"""As of `features.max_length`, so that a file reads as many steps as training saw."""


def _at_least(setting: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"view.{setting} is {value}; it must be at least {least}.")


@dataclass
class InteractionsSettings:
    """Histories from a table of orders, views or clicks, one row an interaction. Defaults fit completejourney, by product."""

    table: str = "transactions"
    """The table of interactions."""
    customer: str = "household_id"
    """Who: its column in that table."""
    item: str = "product_id"
    """What: a column of that table, or of `items` (a product type, a category)."""
    time: str = "transaction_timestamp"
    """When: a time or a number of seconds. Empty takes the order in which the rows of a file stand."""
    basket: str = ""
    """What is bought together: a decision is then a whole basket, each of its items a row of its own with the history up to the
    basket. Empty makes each interaction a decision."""
    items: str = ""
    """A table with a row for each item, for `item` columns that are there, e.g. `products`."""
    items_key: str = ""
    """The column on which both tables join."""
    item_name: str = ""
    """A column with a readable name of the item, of `items` or else of that table, which reports print beside it. Several items
    may have one name."""
    customers: str = ""
    """A table with a row for each customer, whose columns join as plain features, e.g. `demographics`."""
    amount: str = ""
    """A column of amounts that becomes the sequence `amount`, step by step beside `history`."""
    days: bool = False
    """Adds the sequence `days_before`: days from a step to the decision."""
    beside: list[str] = field(default_factory=list)
    """Columns that run beside `history`, step by step: of the table `items`, where it has them (department, brand), else of the
    interactions. Of several lines that are one interaction, the largest value stands. Networks read them, and `two_tower` knows
    items by them."""
    max_steps: int = MAX_STEPS
    """The latest steps of a history that are kept; `features.max_length` of them, at most, are read."""
    whole_past: bool = False
    """Trains on all that a customer did: beside the row of the latest steps, on one for each `max_steps` further back. Otherwise
    what is further back is left out of training, and the report counts it."""
    min_of_customer: int = 1
    """Customers with fewer interactions are left out …"""
    min_of_item: int = 1
    """… and items with fewer, in turn until none is left that has (the k-core)."""
    validation_from: str = ""
    """For a split by time, the date from which decisions validate, as `split.validation_from`: training ends there for everyone.
    Empty holds out everyone's last two decisions, for `split=leave_last_out`."""
    test_from: str = ""
    """Date from which decisions are tested, as `split.test_from`."""

    @property
    def named(self) -> bool:
        """Whether items have a name beside them that says more than they do."""
        return self.item_name not in ("", self.item)

    def __post_init__(self) -> None:
        for name in ("table", "customer", "item"):
            if not getattr(self, name):
                raise ConfigError(f"view.{name} is empty; name it.")
        if bool(self.items) != bool(self.items_key):
            raise ConfigError("view.items and view.items_key: give both, or none.")
        for name in ("max_steps", "min_of_customer", "min_of_item"):
            _at_least(name, getattr(self, name), 1)
        if (self.days or self.validation_from) and not self.time:
            raise ConfigError("view.time is empty, and view.days and view.validation_from go by time; name its column.")
        if bool(self.validation_from) != bool(self.test_from):
            raise ConfigError("view.validation_from and view.test_from: give both dates, or none.")
        days = []
        for name in ("validation_from", "test_from"):
            try:
                days += [dt.datetime.fromisoformat(str(getattr(self, name)))] if getattr(self, name) else []
            except ValueError:
                raise ConfigError(f"view.{name}: {getattr(self, name)!r} is not a date; write it as 2017-10-01.") from None
        if days and days[0] >= days[1]:
            raise ConfigError(
                f"view.validation_from is {self.validation_from}, which is not before view.test_from, {self.test_from}."
            )


@dataclass
class ItemSequencesSettings:
    """Histories from a table with a list of items in each row, the oldest first; for `split=leave_last_out`."""

    table: str = "data"
    """The table of sequences."""
    items: str = "items"
    """Its column of lists."""
    customer: str = ""
    """Its column that names a sequence; empty numbers them."""
    item_names: str = ""
    """A column of lists with a readable name of each item: reports print it beside the item."""
    beside: list[str] = field(default_factory=list)
    """Columns of lists that run beside `items`, step by step (department, brand, amount). Networks read them, and `two_tower`
    knows items by them."""
    profile: list[str] = field(default_factory=list)
    """Plain columns that become features."""
    train_on_validation: bool = False
    """Trains on the decision that validates as well: for the last run, when all settings and the number of epochs stand.
    Validation figures then mean nothing."""
    max_steps: int = MAX_STEPS
    """The latest steps of a history that are kept; `features.max_length` of them, at most, are read."""
    whole_past: bool = False
    """Trains on whole sequences: beside the row of the latest steps, on one for each `max_steps` further back. Otherwise what is
    further back is left out of training, and the report counts it."""

    def __post_init__(self) -> None:
        _at_least("max_steps", self.max_steps, 1)
        if not self.items:
            raise ConfigError("view.items is empty; name the column of lists.")


@dataclass
class SessionPrefixesSettings:
    """Whole sessions to train on, and given beginnings of other sessions to be tested on, each with what came next."""

    train: str = "train_sessions"
    """The table of training sessions."""
    session: str = "session"
    """Its column that numbers the sessions in order of time."""
    items: str = "items"
    """Its column of lists of items, the oldest first."""
    test: str = "test_prefixes"
    """The table of tests."""
    prefix: str = "prefix"
    """Its column of lists: the beginning of a session."""
    target: str = "target"
    """Its column with the item that came next."""
    beside: list[str] = field(default_factory=list)
    """Columns of lists, of both tables, that run beside `items` and `prefix`, step by step (category, price). Networks read them,
    and `two_tower` knows items by them."""
    validation_fraction: float = 0.1
    """Share of the training sessions, the latest, whose every beginning validates."""
    train_on_validation: bool = False
    """Trains on the validation sessions as well, as published figures do: for the last run, when all settings and the number of
    epochs stand. Validation figures then mean nothing."""
    max_steps: int = MAX_STEPS
    """The latest steps of a history that are kept; `features.max_length` of them, at most, are read."""
    whole_past: bool = False
    """Trains on whole sessions: beside the row of the latest steps, on one for each `max_steps` further back. Otherwise what is
    further back is left out of training, and the report counts it."""

    def __post_init__(self) -> None:
        _at_least("max_steps", self.max_steps, 1)
        if not 0 < self.validation_fraction < 1:
            raise ConfigError(f"view.validation_fraction is {self.validation_fraction:g}; it must be between 0 and 1.")
