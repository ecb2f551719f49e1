"""Settings for the small shop of `tests.data`, and a history computed the slow way."""

from __future__ import annotations

from shopkit.views.settings import PurchaseWithinSettings

SMALL = {"windows_days": [7, 14, 28], "active_days": 21, "n_departments": 2}


def settings(**changes: object) -> PurchaseWithinSettings:
    return PurchaseWithinSettings(**{**SMALL, **changes})  # type: ignore[arg-type]
