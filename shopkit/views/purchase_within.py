"""Will this customer buy within the next days, as of weekly cut-offs?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import ibis.expr.types as ir

from shopkit.contract.settings import ColumnRules, ContractSettings
from shopkit.errors import DataError, nearest
from shopkit.sources.base import Tables
from shopkit.views.base import Examples, View
from shopkit.views.history import as_examples, history
from shopkit.views.purchases import EXAMPLE, Purchases, left_join
from shopkit.views.settings import PurchaseWithinSettings

if TYPE_CHECKING:
    import pandas as pd


class PurchaseWithinView(View):
    """One example per active customer and cut-off; the target `buys` is 1 if a purchase falls into the horizon."""

    settings: PurchaseWithinSettings

    def examples(self, tables: Tables) -> Examples:
        settings = self.settings
        purchases = Purchases(settings, tables, of_interest=[settings.department] if settings.department else [])
        return self._examples(purchases)

    def known(self, purchases: Purchases) -> ir.Table:
        """What is known of each customer at each cut-off."""
        return history(purchases)

    def _examples(self, purchases: Purchases) -> Examples:
        settings, department = self.settings, self.settings.department
        if department:
            self._check_department(purchases)
        where = f" in {department}" if department else ""
        return as_examples(
            purchases,
            self._labelled,
            target="buys",
            left_out={},
            summary=f"One row is a customer who bought in the {settings.active_days} days before a cut-off (a midnight, every "
            f"{settings.every_days} days). The target is whether they buy{where} in the {settings.horizon_days} days after it.",
        )

    def _labelled(self, purchases: Purchases) -> ir.Table:
        department, days = self.settings.department, purchases.days
        if department:
            days = purchases.lines.filter(purchases.lines.department == department)
        bought = purchases.within_horizon(days.select("customer", "day").distinct()).select(*EXAMPLE).distinct().mutate(buys=1)
        labelled = left_join(self.known(purchases), bought)
        return labelled.mutate(buys=labelled.buys.fill_null(0))

    def contract(self) -> ContractSettings:
        return ContractSettings(target=ColumnRules(allowed=[0, 1]))

    @classmethod
    def example(cls, settings: PurchaseWithinSettings) -> tuple[Self, Mapping[str, pd.DataFrame]]:
        from shopkit.views.example import shop, small

        return cls(small(settings)), shop()

    def _check_department(self, purchases: Purchases) -> None:
        wanted = self.settings.department
        known = purchases.lines.select("department").distinct().to_pyarrow()["department"].to_pylist()
        if wanted not in known:
            names = sorted(filter(None, known))
            listed = f" Departments: {', '.join(names)}." if names else ""
            raise DataError(f"view.department: nothing was bought in '{wanted}'.{nearest(wanted, names)}{listed}")
