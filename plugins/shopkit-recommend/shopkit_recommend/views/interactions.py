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
from shopkit.views.base import Examples, OnlySplit, View

from shopkit_recommend.views.core import outside_core
from shopkit_recommend.views.joins import joined
from shopkit_recommend.views.lists import (
    HISTORY,
    HISTORY_NAME,
    LAST_OUT,
    OWN,
    PLACE,
    TARGET,
    TARGET_NAME,
    column,
    cut,
    free,
    of_names,
    present,
)
from shopkit_recommend.views.settings import InteractionsSettings

if TYPE_CHECKING:
    import pandas as pd

NAME = "interactions"
DAY = 86_400
TIMES = ("at", "moment")
OF_STEPS = ("days_before", "amount")
"""Sequences that the view makes itself."""
BESIDE = "shopkit_beside_"
"""What the columns beside the items are called, with their number, until they are lists."""


@ibis.udf.scalar.builtin  # type: ignore[untyped-decorator]
def md5(text: str) -> str:  # type: ignore[empty-body]
    """The digest in hexadecimal digits, by the function that DuckDB, Spark and PostgreSQL have under this name."""


class InteractionsView(View):
    """A decision is an interaction, or with `basket` a whole basket, whose items are a row each.

    Held out are everyone's last two decisions, or by time all decisions from `validation_from` on. What came before is one row of
    training for each customer: its last item, with all that came before that; with `whole_past`, a row for each stretch of
    `max_steps`. Lines of one basket (or moment) with the same item are one interaction; its items stand in an order of chance.
    """

    settings: InteractionsSettings

    def examples(self, tables: Tables) -> Examples:
        settings = self.settings
        free(NAME, "beside", settings.beside, (*OWN, "time", *OF_STEPS))
        lines = self._lines(tables)
        is_known = lines.customer.notnull() & lines["item"].notnull() & lines["at"].notnull()
        known = lines.filter(is_known)
        if settings.basket:
            # A basket is one decision, however its lines are timed; a line without one stands alone.
            of_basket = ibis.window(group_by=["customer", "basket"])
            first = {name: ibis.ifelse(known.basket.notnull(), known[name].min().over(of_basket), known[name]) for name in TIMES}
            known = known.mutate(**first)
        merged = known.group_by("customer", "basket", "item", *TIMES).aggregate(
            amount=known.amount.sum(),
            name=known["name"].max(),
            n_lines=known.count(),
            **{name: known[name].max() for name in self._beside},
        )
        outside = outside_core(merged, {"customer": settings.min_of_customer, "item": settings.min_of_item})
        core = merged if outside is None else merged.filter(~outside)
        decisions = self._decisions(self._numbered(core))
        table = self._with_histories(decisions, self._numbered(core))
        if settings.customers:
            profile = tables[settings.customers]
            column(tables, NAME, "customer", settings.customers, settings.customer)
            facts = [name for name in profile.columns if name != settings.customer]
            free(NAME, "customers", facts, (*OWN, "time", *OF_STEPS, *settings.beside), settings.customers)
            profile = profile.select(customer=profile[settings.customer], **{name: profile[name] for name in facts})
            table = joined(NAME, f"view.customer '{settings.customer}'", table, profile, "customer", settings.customers)
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
                "line without customer, item or time": lines.filter(~is_known).count(),
                "line that repeats an item of its basket or moment": (merged.n_lines - 1).sum().fill_null(0),
                **cut(decisions.filter(decisions.train).end, settings.max_steps, settings.whole_past),
                **({} if outside is None else {"interaction outside the k-core": merged.filter(outside).count()}),
            },
            split=self._split(),
            summary=f"Each row is an item ({settings.item}) of a customer's {by} in {tables.origin}; the target is that item, "
            f"the history what the customer took before that {by}.",
        )

    @property
    def _beside(self) -> dict[str, str]:
        """What the columns beside the items are called on the way → their names."""
        return {f"{BESIDE}{number}": name for number, name in enumerate(self.settings.beside)}

    def _split(self) -> OnlySplit:
        settings = self.settings
        if settings.validation_from:
            dates = {"validation_from": settings.validation_from, "test_from": settings.test_from}
            return OnlySplit("time", dates, "For everyone's last decisions, leave both dates of the view empty.")
        return OnlySplit("leave_last_out", LAST_OUT, "For a split by time, give view.validation_from and view.test_from.")

    def _lines(self, tables: Tables) -> ir.Table:
        """customer, item, name (of the item), basket, at (what orders), moment (seconds), amount, and what is beside the item."""
        settings = self.settings
        table = tables[settings.table]
        if not settings.time:
            table = table.mutate(shopkit_at=ibis.row_number())
        for setting in ("customer", "time", "basket", "amount"):
            if name := getattr(settings, setting):
                column(tables, NAME, setting, settings.table, name)
        for name in settings.beside:
            in_lines = name in table.columns
            column(tables, NAME, "beside", settings.table if in_lines else settings.items or settings.table, name)
        if settings.items:
            column(tables, NAME, "items_key", settings.table, settings.items_key)
            column(tables, NAME, "items_key", settings.items, settings.items_key)
            of_items = tables[settings.items].select(settings.items_key, **self._of_item(tables, settings.items))
            table = joined(NAME, f"view.items_key '{settings.items_key}'", table, of_items, settings.items_key, settings.items)
        else:
            table = table.mutate(**self._of_item(tables, settings.table))
        moment = self._moment(table)
        at = table[settings.time or "shopkit_at"]
        amount = table[settings.amount].cast("float64") if settings.amount else ibis.literal(0).cast("float64")
        basket = {"basket": table[settings.basket]} if settings.basket else {}
        beside = {own: table[own if own in table.columns else name] for own, name in self._beside.items()}
        lines = table.select(
            customer=present(table[settings.customer]),
            item=present(table.shopkit_item),
            name=table.shopkit_name,
            at=at,
            moment=moment,
            amount=amount,
            **basket,
            **beside,
        )
        return lines if basket else lines.mutate(basket=lines["at"])

    def _of_item(self, tables: Tables, table: str) -> dict[str, ir.Value]:
        """What a table says of an item: itself, its name, and those of the columns beside it that it has."""
        settings = self.settings
        item = column(tables, NAME, "item", table, settings.item)
        name = column(tables, NAME, "item_name", table, settings.item_name).cast("string") if settings.named else ibis.literal("")
        beside = {own: tables[table][name] for own, name in self._beside.items() if name in tables[table].columns}
        return {"shopkit_item": item, "shopkit_name": name, **beside}

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
            "seconds. Cast it in the source, or say what it is with source.types where the source has that setting."
        )

    def _numbered(self, core: ir.Table) -> ir.Table:
        """With `step` and `place`, the number of interactions and of decisions of the customer before, and `n_decisions`.

        What is of one basket or moment came in no order. In one that is the same each time, as by the items' ids, models would
        learn that order, and of what comes next nothing else; so it is one of chance, by digests, which all engines make alike.
        """
        moment = core.moment if self.settings.time else core["at"]
        chance = md5(moment.cast("string") + " " + core["item"].cast("string"))
        order = [core["at"], core.basket]
        numbered = core.mutate(
            step=ibis.row_number().over(ibis.window(group_by="customer", order_by=[*order, chance, core["item"]])).cast("int64"),
            place=ibis.dense_rank().over(ibis.window(group_by="customer", order_by=order)).cast("int64"),
        )
        return numbered.mutate(n_decisions=numbered.place.max().over(ibis.window(group_by="customer")) + 1)

    def _decisions(self, events: ir.Table) -> ir.Table:
        """The rows: customer, step, place, target, time, `train`, and `end`, the step at which the history ends."""
        settings = self.settings
        if settings.validation_from:
            start = ibis.literal(settings.validation_from).cast("timestamp").epoch_seconds().cast("int64")
            trains = events.moment < start
        else:
            trains = events[PLACE] < ibis.ifelse(events.n_decisions >= 3, events.n_decisions - 2, events.n_decisions)
        latest = events.step.max(where=trains).over(ibis.window(group_by="customer"))
        # A row of training holds the steps before its target and that itself: one for each so many steps leaves none out.
        behind = (latest - events.step) % (settings.max_steps + 1) if settings.whole_past else latest - events.step
        events = events.mutate(train=trains & (behind == 0), held=~trains)
        first = events.step.min().over(ibis.window(group_by=["customer", PLACE]))
        events = events.mutate(end=ibis.ifelse(events.held, first, events.step))
        rows = events.filter(events.train | events.held)
        of_target = {TARGET: rows["item"], TARGET_NAME: rows["name"]}
        return rows.select("customer", "step", PLACE, "end", "train", time=rows["at"], moment=rows.moment, **of_target)

    def _with_histories(self, decisions: ir.Table, events: ir.Table) -> ir.Table:
        settings = self.settings
        steps = events.select(
            *self._beside, of="customer", at_step="step", item="item", of_item="name", then="moment", amount="amount"
        )
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
        fields |= {name: pairs[own] for own, name in self._beside.items()}
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
