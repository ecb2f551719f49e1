"""Will this customer buy within the next days, from the sequence of what they bought before?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import ibis
import ibis.expr.types as ir

from shopkit.sources.base import Tables
from shopkit.views.base import Examples
from shopkit.views.history import history
from shopkit.views.purchase_within import PurchaseWithinView
from shopkit.views.purchases import EXAMPLE, MONEY_SCALE, Purchases, left_join
from shopkit.views.settings import CustomerHistorySettings

if TYPE_CHECKING:
    import pandas as pd

LINE = ("day", "at", "basket", "category", "amount")
"""What orders the lines of a customer in time, and beyond it so that equal tables give equal sequences."""


class CustomerHistoryView(PurchaseWithinView):
    """The rows and the target of `purchase_within`, with the latest steps before the cut-off as sequences, the oldest first.

    `past_category` text, `past_spend` in the currency of the amounts, `past_days_since` days from the step to the cut-off, and
    of baskets `past_lines`, the number of lines. As all features, they look back `history_days` from the cut-off at most.
    """

    settings: CustomerHistorySettings

    def examples(self, tables: Tables) -> Examples:
        settings = self.settings
        purchases = Purchases(
            settings, tables, of_interest=[settings.department] if settings.department else [], category=settings.category
        )
        examples = self._examples(purchases)
        currency = tables.units.get(settings.amount, "")
        units = {"past_days_since": "days", **({"past_spend": currency} if currency else {})}
        return replace(
            examples,
            units={**examples.units, **units},
            summary=f"{examples.summary} The sequences are the latest {settings.max_steps} {settings.step}s before it.",
        )

    def known(self, purchases: Purchases) -> ir.Table:
        settings = self.settings
        steps = _sequences(purchases, settings)
        candidates = purchases.candidates(0, purchases.calendar.n_closed)
        return left_join(history(purchases, beside=steps.columns) if settings.aggregates else candidates, steps)

    @classmethod
    def example(cls, settings: CustomerHistorySettings) -> tuple[Self, Mapping[str, pd.DataFrame]]:  # type: ignore[override]
        from shopkit.views.example import shop, small

        return cls(replace(small(settings), max_steps=5)), shop()


def _sequences(purchases: Purchases, settings: CustomerHistorySettings) -> ir.Table:
    """One row per customer and cut-off with the lists; named by `customer` and `k`."""
    steps = _baskets(purchases) if settings.step == "basket" else purchases.lines.select("customer", *LINE)
    spread = purchases.before(steps)
    ordered = [name for name in LINE if name in steps.columns]
    latest = ibis.window(group_by=EXAMPLE, order_by=[spread[name].desc() for name in ordered])
    placed = spread.mutate(place=ibis.row_number().over(latest))
    placed = placed.filter(placed.place < settings.max_steps)
    fields: dict[str, ir.Value] = {
        "at": -placed.place.cast("int64"),
        "category": placed.category,
        "spend": placed.amount / MONEY_SCALE,
        "days_since": placed.age.cast("float64"),
    }
    if settings.step == "basket":
        fields["lines"] = placed.n_lines.cast("float64")
    # Structs sorted by their first field: an ordered `collect` does not compile for Spark.
    gathered = placed.mutate(step=ibis.struct(fields)).group_by(*EXAMPLE).aggregate(steps=lambda t: t.step.collect())
    in_order = gathered.mutate(steps=gathered.steps.sort())
    names = [name for name in fields if name != "at"]
    return in_order.select(*EXAMPLE, **{f"past_{name}": _field(in_order.steps, name) for name in names})


def _field(steps: ir.ArrayColumn, name: str) -> ir.ArrayColumn:
    return steps.map(lambda step: step[name])


def _baskets(purchases: Purchases) -> ir.Table:
    """One row per customer, basket and day, with the category of its largest amount; of equals the first by name."""
    lines = purchases.lines
    place = ("customer", "basket", "day")
    spent = lines.group_by(*place, "category").aggregate(
        amount=lines.amount.sum().cast("int64"), n_lines=lines.count(), at=lines["at"].min()
    )
    whole = ibis.window(group_by=place)
    largest = ibis.window(group_by=place, order_by=[spent.amount.desc(), spent.category.asc()])
    ranked = spent.select(
        *place,
        "category",
        rank=ibis.row_number().over(largest),
        amount=spent.amount.sum().over(whole).cast("int64"),
        n_lines=spent.n_lines.sum().over(whole).cast("int64"),
        at=spent["at"].min().over(whole),
    )
    return ranked.filter(ranked.rank == 0).drop("rank")
