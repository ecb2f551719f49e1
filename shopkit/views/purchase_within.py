"""Will this customer buy within the next days, as of weekly cut-offs?"""

from __future__ import annotations

from shopkit.errors import DataError, nearest
from shopkit.sources.base import Tables
from shopkit.views.base import Examples, View
from shopkit.views.history import EXAMPLE, History, as_examples
from shopkit.views.settings import PurchaseWithinSettings


class PurchaseWithinView(View):
    """One example per active customer and cut-off; the target is 1 if a purchase falls into the horizon."""

    settings: PurchaseWithinSettings

    def examples(self, tables: Tables) -> Examples:
        settings = self.settings
        history = History(settings, tables)
        lines = history.lines
        if settings.department:
            self._check_department(history)
            lines = lines.filter(lines.department == settings.department)
        bought = history.within_horizon(lines.select("customer", "day").distinct()).select(*EXAMPLE).distinct().mutate(bought=1)
        where = f"in {settings.department} " if settings.department else ""
        return as_examples(
            history,
            labels=bought,
            target=lambda joined: joined.bought.fill_null(0),
            name="buys",
            summary=(
                f"One row is a customer with a purchase in the {settings.active_days} days before a cut-off, a midnight every "
                f"{settings.every_days} days; the target is whether they buy {where}in the {settings.horizon_days} days from it on."
            ),
        )

    def _check_department(self, history: History) -> None:
        wanted = self.settings.department
        known = history.lines.select("department").distinct().to_pyarrow()["department"].to_pylist()
        if wanted not in known:
            names = sorted(name for name in known if name)
            raise DataError(
                f"view.department: nothing was bought in '{wanted}'.{nearest(wanted, names)} Departments: {', '.join(names)}."
            )
