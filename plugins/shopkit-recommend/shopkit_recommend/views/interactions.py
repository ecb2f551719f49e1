"""A table of orders, views or clicks, one row an interaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import ibis
import ibis.expr.types as ir
from shopkit.errors import DataError
from shopkit.schema import Kind, Role
from shopkit.sources.base import Tables
from shopkit.views.base import Examples, View

from shopkit_recommend.views.lists import HISTORY, HISTORY_NAME, PLACE, TARGET, TARGET_NAME, column, of_names
from shopkit_recommend.views.settings import InteractionsSettings

if TYPE_CHECKING:
    import pandas as pd

NAME = "interactions"
DAY = 86_400


class InteractionsView(View):
    """A decision is an interaction, or with `basket` a whole basket, whose items are a row each.

    Held out are everyone's last two decisions, or by time all decisions from `validation_from` on. What came before is one row of
    training for each customer: its last item, with all that came before that. Lines of one basket (or moment) with the same item
    are one interaction.
    """

    settings: InteractionsSettings

    def examples(self, tables: Tables) -> Examples:
        settings = self.settings
        lines = self._lines(tables)
        known = lines.filter(lines.customer.notnull() & lines["item"].notnull() & lines["at"].notnull())
        merged = known.group_by("customer", "basket", "item").aggregate(
            at=known["at"].min(),
            moment=known.moment.min(),
            amount=known.amount.sum(),
            name=known["name"].max(),
            n_lines=known.count(),
        )
        core = _core(merged, settings)
        decisions = self._decisions(_numbered(core))
        table = self._with_histories(decisions, _numbered(core))
        if settings.customers:
            profile = tables[settings.customers]
            column(tables, NAME, "customer", settings.customers, settings.customer)
            profile = profile.rename(customer=settings.customer)
            table = table.left_join(profile, "customer").drop("customer_right")
        of_roles, of_kinds = of_names(settings.named)
        roles: dict[str, Role] = {"customer": "key", "step": "key", PLACE: "decision", TARGET: "target", **of_roles}
        kinds: dict[str, Kind] = {HISTORY: "string", TARGET: "string", **of_kinds}
        if settings.time:
            roles["time"] = "time"
        else:
            table = table.drop("time")
        by = "basket" if settings.basket else "interaction"
        return Examples(
            table=table,
            roles=roles,
            kinds=kinds,
            units={"days_before": "days"} if settings.days else {},
            left_out={
                "line without customer, item or time": lines.filter(
                    lines.customer.isnull() | lines["item"].isnull() | lines["at"].isnull()
                ).count(),
                "line that repeats an item of its basket or moment": (merged.n_lines - 1).sum().fill_null(0),
                "interaction outside the k-core": merged.anti_join(core, ["customer", "basket", "item"]).count(),
            },
            summary=f"Each row is an item ({settings.item}) of a customer's {by} in {tables.origin}; the target is that item, "
            f"the history what the customer took before that {by}.",
        )

    def _lines(self, tables: Tables) -> ir.Table:
        """customer, item, name (of the item), basket, at (what orders), moment (seconds), amount."""
        settings = self.settings
        table = tables[settings.table]
        for setting in ("customer", "time", "basket", "amount"):
            if name := getattr(settings, setting):
                column(tables, NAME, setting, settings.table, name)
        if settings.items:
            column(tables, NAME, "items_key", settings.table, settings.items_key)
            column(tables, NAME, "items_key", settings.items, settings.items_key)
            of_items = tables[settings.items].select(settings.items_key, **self._item_and_name(tables, settings.items))
            table = table.left_join(of_items, settings.items_key)
        else:
            table = table.mutate(**self._item_and_name(tables, settings.table))
        moment = self._moment(table)
        at = table[settings.time] if settings.time else ibis.row_number()
        amount = table[settings.amount].cast("float64") if settings.amount else ibis.literal(0).cast("float64")
        basket = {"basket": table[settings.basket]} if settings.basket else {}
        lines = table.select(
            customer=table[settings.customer],
            item=table.shopkit_item,
            name=table.shopkit_name,
            at=at,
            moment=moment,
            amount=amount,
            **basket,
        )
        return lines if basket else lines.mutate(basket=lines["at"])

    def _item_and_name(self, tables: Tables, table: str) -> dict[str, ir.Value]:
        settings = self.settings
        item = column(tables, NAME, "item", table, settings.item)
        name = column(tables, NAME, "item_name", table, settings.item_name).cast("string") if settings.named else ibis.literal("")
        return {"shopkit_item": item, "shopkit_name": name}

    def _moment(self, table: ir.Table) -> ir.Value:
        if not self.settings.time:
            return ibis.literal(0).cast("int64")
        time = table[self.settings.time]
        if time.type().is_timestamp():
            return time.epoch_seconds().cast("int64")
        if time.type().is_date():
            return time.cast("timestamp").epoch_seconds().cast("int64")
        if time.type().is_integer():
            return time.cast("int64")
        raise DataError(
            f"view {NAME}: view.time column '{self.settings.time}' is {time.type()}, expected a timestamp, a date or whole "
            "seconds. Declare it in source.types, or cast it in the source."
        )

    def _decisions(self, events: ir.Table) -> ir.Table:
        """The rows: customer, step, place, target, time, and `end`, the step at which the history ends."""
        settings = self.settings
        if settings.validation_from:
            start = ibis.literal(settings.validation_from).cast("timestamp").epoch_seconds().cast("int64")
            trains = events.moment < start
            of_customer = ibis.window(group_by="customer")
            latest = events.step.max(where=trains).over(of_customer)
            events = events.mutate(train=events.step == latest, held=~trains)
        else:
            whole = events.n_decisions >= 3
            last_of_training = ibis.ifelse(whole, events.n_decisions - 3, events.n_decisions - 1)
            is_last = events.step == events.step.max().over(ibis.window(group_by=["customer", PLACE]))
            held = whole & (events[PLACE] >= events.n_decisions - 2)
            events = events.mutate(train=(events[PLACE] == last_of_training) & is_last, held=held)
        first = events.step.min().over(ibis.window(group_by=["customer", PLACE]))
        events = events.mutate(end=ibis.ifelse(events.held, first, events.step))
        rows = events.filter(events.train | events.held)
        of_target = {TARGET: rows["item"], TARGET_NAME: rows["name"]}
        return rows.select("customer", "step", PLACE, "end", time=rows["at"], moment=rows.moment, **of_target)

    def _with_histories(self, decisions: ir.Table, events: ir.Table) -> ir.Table:
        settings = self.settings
        steps = events.select(of="customer", at_step="step", item="item", of_item="name", then="moment", amount="amount")
        within = [
            decisions.customer == steps.of,
            steps.at_step < decisions.end,
            steps.at_step >= decisions.end - settings.max_steps,
        ]
        pairs = decisions.join(steps, within)
        fields: dict[str, ir.Value] = {"at": pairs.at_step, HISTORY: pairs["item"]}
        if settings.named:
            fields[HISTORY_NAME] = pairs.of_item
        if settings.days:
            fields["days_before"] = (pairs.moment - pairs.then).cast("float64") / DAY
        if settings.amount:
            fields["amount"] = pairs.amount
        # Structs sorted by their first field: an ordered `collect` does not compile for Spark.
        gathered = pairs.mutate(shopkit_step=ibis.struct(fields)).group_by("customer", "step")
        lists = gathered.aggregate(steps=lambda t: t.shopkit_step.collect())
        lists = lists.mutate(steps=lists.steps.sort())
        names = [name for name in fields if name != "at"]
        lists = lists.select("customer", "step", **{name: lists.steps.map(lambda step, name=name: step[name]) for name in names})
        joined = decisions.left_join(lists, ["customer", "step"])
        return joined.select("customer", "step", PLACE, "time", *names, TARGET, *([TARGET_NAME] if settings.named else []))

    @classmethod
    def example(cls, settings: InteractionsSettings) -> tuple[Self, Mapping[str, pd.DataFrame]]:
        from shopkit.views.example import shop

        return cls(replace(settings, days=True, basket="basket_id")), shop()


def _core(merged: ir.Table, settings: InteractionsSettings) -> ir.Table:
    """The interactions of customers and items with enough of the other, by leaving out in turn."""
    if settings.min_of_customer <= 1 and settings.min_of_item <= 1:
        return merged
    for _ in range(settings.core_rounds):
        for side, least in (("customer", settings.min_of_customer), ("item", settings.min_of_item)):
            counted = merged.mutate(n_of_side=ibis._.count().over(ibis.window(group_by=side)))
            merged = counted.filter(counted.n_of_side >= least).drop("n_of_side")
    return merged


def _numbered(core: ir.Table) -> ir.Table:
    """With `step` and `place`, the number of interactions and of decisions of the customer before, and `n_decisions`."""
    order = [core["at"], core.basket]
    in_order = ibis.window(group_by="customer", order_by=order)
    numbered = core.mutate(
        step=ibis.row_number().over(ibis.window(group_by="customer", order_by=[*order, core["item"]])).cast("int64"),
        place=ibis.dense_rank().over(in_order).cast("int64"),
    )
    return numbered.mutate(n_decisions=numbered.place.max().over(ibis.window(group_by="customer")) + 1)
