"""What will a customer's next basket be worth, as of weekly cut-offs?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import ibis
import ibis.expr.types as ir

from shopkit.contract.settings import ColumnRules, ContractSettings
from shopkit.sources.base import Tables
from shopkit.views.base import Examples, View
from shopkit.views.history import as_examples, history
from shopkit.views.purchases import EXAMPLE, MONEY_SCALE, Purchases, left_join
from shopkit.views.settings import BasketValueSettings

if TYPE_CHECKING:
    import pandas as pd


class BasketValueView(View):
    """One example per active customer and cut-off with a basket in the horizon; the target is the first one's value.

    The history ends at the cut-off and knows nothing of the basket, not even its day. Customers without a basket in the horizon
    have no target: they are left out and counted (`purchase_within` predicts who they are).
    """

    settings: BasketValueSettings

    def examples(self, tables: Tables) -> Examples:
        settings = self.settings
        purchases = Purchases(settings, tables)
        candidates = purchases.candidates(0, purchases.calendar.n_closed)
        return as_examples(
            purchases,
            _labelled,
            target="basket_value",
            left_out={"no basket within the horizon": candidates.anti_join(_values(purchases), EXAMPLE).count()},
            summary=f"One row is a customer who bought in the {settings.active_days} days before a cut-off (a midnight, every "
            f"{settings.every_days} days) and again in the {settings.horizon_days} days after it. The target is the value of the "
            "first basket after it.",
        )

    def contract(self) -> ContractSettings:
        return ContractSettings(target=ColumnRules(min=0))

    @classmethod
    def example(cls, settings: BasketValueSettings) -> tuple[Self, Mapping[str, pd.DataFrame]]:
        from shopkit.views.example import shop, small

        return cls(small(settings)), shop()


def _labelled(purchases: Purchases) -> ir.Table:
    labelled = left_join(history(purchases), _values(purchases))
    return labelled.filter(labelled.basket_value.notnull())


def _values(purchases: Purchases) -> ir.Table:
    """The value of the first basket within each horizon."""
    spread = purchases.within_horizon(purchases.baskets)
    in_order = ibis.window(group_by=EXAMPLE, order_by=[spread.day, spread["at"], spread.basket])
    numbered = spread.mutate(place=ibis.row_number().over(in_order))
    firsts = numbered.filter(numbered.place == 0)
    return firsts.select(*EXAMPLE, basket_value=firsts.amount / MONEY_SCALE)
