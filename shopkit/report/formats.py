"""Numbers as a person reads them: as many digits as mean something, units, thousands separators."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeGuard

DASH = "–"
"""What stands where there is no number."""


def is_number(value: Any) -> TypeGuard[float]:
    """A finite int or float; booleans are not numbers here."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def decimal(value: Any, digits: int = 3) -> str:
    """A score such as an AUROC, with fixed digits.

    >>> decimal(0.93421), decimal(None), decimal(-0.0001)
    ('0.934', '–', '0.000')
    """
    if not is_number(value):
        return DASH
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def amount(value: Any) -> str:
    """Any quantity, with about four significant digits.

    >>> amount(1234567), amount(12.3456), amount(0.000123456), amount(7.0)
    ('1,234,567', '12.35', '0.0001235', '7')
    """
    if not is_number(value):
        return DASH
    if value == 0:
        return "0"
    if abs(value) >= 1e12 or abs(value) < 1e-5:
        return f"{value:.3e}".replace("-", "−")
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")


def quantity(value: Any) -> str:
    """An error or a sum in its unit, with as many decimals as its neighbours in a table.

    >>> quantity(12.4), quantity(0.5236), quantity(0.00048352), quantity(1234.5)
    ('12.40', '0.524', '0.00048', '1,234')
    """
    if not is_number(value) or value == 0:
        return amount(value)
    if abs(value) < 0.001:
        return f"{value:.2g}".replace("-", "−")
    return decimal(value, 0 if abs(value) >= 1000 else 2 if abs(value) >= 1 else 3 if abs(value) >= 0.01 else 4)


def count(value: Any) -> str:
    """A number of things.

    >>> count(12330), count(None)
    ('12,330', '–')
    """
    return f"{value:,.0f}" if is_number(value) else DASH


def percent(value: Any, digits: int | None = None) -> str:
    """A share between 0 and 1; small ones keep a digit more.

    >>> percent(0.1547), percent(0.62), percent(0.0042), percent(1)
    ('15.5\\xa0%', '62.0\\xa0%', '0.42\\xa0%', '100\\xa0%')
    """
    if not is_number(value):
        return DASH
    share = 100 * value
    if digits is None:
        digits = 0 if share == 0 or share == 100 else 2 if abs(share) < 1 else 1
    return f"{share:.{digits}f}\u00a0%".replace("-", "−")


def size(n_bytes: Any) -> str:
    """A file's size.

    >>> size(512), size(345_678), size(12_345_678)
    ('512\\xa0B', '346\\xa0kB', '12.3\\xa0MB')
    """
    if not is_number(n_bytes):
        return DASH
    for limit, unit, digits in ((1e3, "B", 0), (1e6, "kB", 0), (1e9, "MB", 1)):
        if n_bytes < limit:
            return f"{n_bytes * 1e3 / limit:.{digits}f}\u00a0{unit}"
    return f"{n_bytes / 1e9:.2f}\u00a0GB"


def duration(seconds: Any) -> str:
    """A span of time, from nanoseconds to hours.

    >>> duration(0.000051), duration(0.0123), duration(8.4), duration(95)
    ('51.0\\xa0µs', '12.3\\xa0ms', '8.4\\xa0s', '1\\xa0min 35\\xa0s')
    """
    if not is_number(seconds):
        return DASH
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f}\u00a0µs"
    if seconds < 1:
        return f"{seconds * 1e3:.1f}\u00a0ms"
    if seconds < 60:
        return f"{seconds:.1f}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}\u00a0h {minutes}\u00a0min" if hours else f"{minutes}\u00a0min {rest}\u00a0s"


def date(value: Any) -> str:
    """A moment given as seconds since 1970 UTC, or as text, as its day.

    >>> date(1483228800), date("2017-03-05T00:00:00")
    ('2017-01-01', '2017-03-05')
    """
    if is_number(value):
        return datetime.fromtimestamp(value, UTC).date().isoformat()
    return str(value)[:10] if value else DASH


def scalar(value: Any) -> str:
    """A setting's value as it stands in YAML, short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {scalar(item)}" for key, item in value.items()) or "{}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(scalar(item) for item in value) or "[]"
    return str(value)
