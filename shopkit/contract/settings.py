"""Settings of the data contract: what a view states of its examples, and what an experiment adds to that."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from shopkit.errors import ConfigError

LIMIT = 0.01
NOW = "now"


@dataclass
class ColumnRules:
    """What one column must hold. Of a sequence, what each of its steps must hold. Missing values break no rule but `missing`."""

    type: Literal["number", "whole", "string", "time"] | None = None
    """What its values are; text is tried value by value, so that the rows which are not are found."""
    min: int | float | str | None = None
    """Least value; of a time, a date such as `2017-01-01`."""
    max: int | float | str | None = None
    """Largest value."""
    allowed: list[Any] | None = None
    """All values there may be."""
    pattern: str | None = None
    """Regular expression that the whole text must match."""
    unique: bool | None = None
    """No value occurs twice."""
    missing: float | None = None
    """Share of the rows that may lack a value; more stops the run."""

    def __post_init__(self) -> None:
        if self.missing is not None and not 0 <= self.missing <= 1:
            raise ConfigError(f"missing is {self.missing:g}; it is a share, from 0 to 1.")
        if self.allowed is not None and not self.allowed:
            raise ConfigError("allowed is empty; list the values there may be.")
        if self.min is not None and self.max is not None:
            if isinstance(self.min, str) != isinstance(self.max, str):
                raise ConfigError(f"min is {self.min!r} and max is {self.max!r}; both must be numbers, or both dates.")
            if self.min > self.max:  # type: ignore[operator]
                raise ConfigError(f"min is {self.min}, which is above max, {self.max}.")
        for name in ("min", "max"):
            if isinstance(getattr(self, name), str):
                _require_date(name, getattr(self, name))
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ConfigError(f"pattern {self.pattern!r} is no regular expression: {error}.") from None


@dataclass
class ContractSettings:
    """What the examples must hold. Rows that break a rule go to `quarantine.parquet`; too many of them stop the run."""

    columns: dict[str, ColumnRules] = field(default_factory=dict)
    """Column → its rules, over those that the view states. `null` is as not given: `min: -.inf`, `max: .inf` and
    `pattern: "(?s).*"` take back what a view states; `allowed` is replaced by another list."""
    target: ColumnRules | None = None
    """Rules of the target, whatever it is called."""
    keys: Literal["unique", "any"] | None = None
    """`unique`: no two examples have the same keys and time; rows that have are all put aside, as none is known to be right.
    Not given, the view says; else `unique`."""
    latest: str | None = None
    """No example is later than this: a date, `now` (when the run was begun), or empty for no limit. Not given, the view says;
    else `now`."""
    order: list[list[str]] = field(default_factory=list)
    """Time columns in the order their times must have, e.g. `[[first_seen, last_seen]]`; equal times are in order."""
    limit: float | None = None
    """Share of the rows that may break a rule; more stops the run. Not given, the view says; else 0.01."""

    def __post_init__(self) -> None:
        if self.limit is not None and not 0 <= self.limit <= 1:
            raise ConfigError(f"contract.limit is {self.limit:g}; it is a share, from 0 to 1.")
        if self.latest not in (None, "", NOW):
            _require_date("contract.latest", str(self.latest))
        for columns in self.order:
            if len(columns) < 2:
                raise ConfigError(f"contract.order: {columns} names fewer than two columns; write [[earlier, later]].")

    def extended(self, other: ContractSettings) -> ContractSettings:
        """This contract with another's statements over it."""
        columns = dict(self.columns)
        for name, rules in other.columns.items():
            columns[name] = _over(columns.get(name), rules)
        return ContractSettings(
            columns=columns,
            target=_over(self.target, other.target) if other.target else self.target,
            keys=other.keys or self.keys,
            latest=self.latest if other.latest is None else other.latest,
            order=[*self.order, *(columns for columns in other.order if columns not in self.order)],
            limit=self.limit if other.limit is None else other.limit,
        )


def _over(base: ColumnRules | None, rules: ColumnRules) -> ColumnRules:
    given: Mapping[str, Any] = {f.name: getattr(rules, f.name) for f in fields(rules) if getattr(rules, f.name) is not None}
    return replace(base, **given) if base is not None else rules


def _require_date(name: str, text: str) -> None:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{name} is {text!r}, which is not a date; write it as 2017-10-01.") from None
