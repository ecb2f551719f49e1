"""What will a customer's next basket be worth, as of weekly cut-offs?"""

from __future__ import annotations

import ibis

from shopkit.sources.base import Tables
from shopkit.views.base import Examples, View
from shopkit.views.history import EXAMPLE, MONEY_SCALE, History, as_examples
from shopkit.views.settings import BasketValueSettings


class BasketValueView(View):
    """One example per active customer and cut-off with a basket in the horizon; the target is the first one's value.

    As the history ends at the cut-off, it knows nothing of the basket, not even its time. Customers without a basket in the
    horizon have no target: they are left out and counted (`purchase_within` predicts who they are).
    """

    settings: BasketValueSettings

    def examples(self, tables: Tables) -> Examples:
        settings = self.settings
        history = History(settings, tables)
        spread = history.within_horizon(history.baskets)
        sequence = ibis.window(group_by=EXAMPLE, order_by=[spread.day, spread["at"], spread.basket])
        numbered = spread.mutate(place=ibis.row_number().over(sequence))
        firsts = numbered.filter(numbered.place == 0)
        values = firsts.select(*EXAMPLE, basket_value=firsts.amount / MONEY_SCALE)
        return as_examples(
            history,
            labels=values,
            target=lambda joined: joined.basket_value,
            name="basket_value",
            summary=(
                f"One row is a customer with a purchase in the {settings.active_days} days before a cut-off, a midnight every "
                f"{settings.every_days} days, and another in the {settings.horizon_days} days from it on; the target is the value of "
                "the first basket after the cut-off."
            ),
        )
