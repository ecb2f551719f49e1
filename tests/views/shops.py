"""Settings for the small shop of `tests.data`, and what equal examples are."""

from __future__ import annotations

import math

from shopkit.views.settings import PurchaseWithinSettings

SMALL = {"windows_days": [7, 14, 28], "active_days": 21, "n_departments": 2}


def settings(**changes: object) -> PurchaseWithinSettings:
    return PurchaseWithinSettings(**{**SMALL, **changes})  # type: ignore[arg-type]


def assert_same(expected: list[dict], found: list[dict]) -> None:
    """Examples of two engines: floats alike but for the order of adding, all else equal."""
    assert len(found) == len(expected) > 0
    for row, (left, right) in enumerate(zip(expected, found, strict=True)):
        for name, value in left.items():
            assert _same(value, right[name]), (row, name, value, right[name])


def _same(left: object, right: object) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-6) or (left != left and right != right)
    return left == right
