"""Parts of times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.v21 as op

from shopkit.features import traced
from shopkit.features.aggregates import mean_and_scale, n_missing, present
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FitContext, State
from shopkit.features.number import indicator_block, indicators, wants_indicator
from shopkit.schema import MISSING_TIME, Kind

DAY = 86_400
YEAR = 31_556_952
"""Seconds of the mean Gregorian year: the place in the year is within a day of the calendar's, without its leap rules."""
WEEK, WEEK_START = 7 * DAY, 4 * DAY
"""1970-01-01 was a Thursday; counting from Monday, 1970-01-05."""


class TimeParts(Extractor):
    """Hour, weekday, day of month and of year (UTC) as sine and cosine, and elapsed time, standardised; 0 where missing."""

    accepts: ClassVar[tuple[Kind, ...]] = ("time",)

    def fit(self, column: str, context: FitContext) -> State:
        mean, scale = mean_and_scale(present(context.table[column]).cast("float64"), context)
        return {
            "mean": np.array(round(mean), np.int64),
            "scale": np.array(scale),
            "n_missing": np.array(n_missing(context, column)),
        }

    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        waves = [
            FeatureBlock(column, "time_parts", "dense", 0, 2, (f"{column} {part} sine", f"{column} {part} cosine"))
            for part in self._cyclic
        ]
        elapsed = FeatureBlock(column, "time_parts", "dense", 0, 1, (f"{column} elapsed",))
        return (
            *waves,
            *((elapsed,) if "elapsed" in self.settings.parts else ()),
            *((indicator_block(column, "time_parts"),) if wants_indicator(self.settings, state) else ()),
        )

    @property
    def _cyclic(self) -> list[str]:
        return [part for part in self.settings.parts if part != "elapsed"]

    def transform(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> Encoded:
        stacked = traced.stack(columns)  # (N, C)
        missing = traced.missing(stacked)
        zero = traced.float32_constant(0.0)
        # A missing time is the lowest int64: arithmetic on it would overflow.
        x = ndx.where(missing, ndx.asarray(np.array(0, np.int64)), stacked)
        parts = []
        if self._cyclic:
            turns = traced.side_by_side([PHASES[part](x) for part in self._cyclic])  # (N, P · C), in turns
            twice = ndx.asarray(np.repeat(np.arange(len(self._cyclic) * len(columns)), 2))
            quarter = traced.float32_constant(np.tile([0.0, 0.25], len(self._cyclic) * len(columns)))
            angle = (ndx.take(turns, twice, axis=1) + quarter) * traced.float32_constant(2 * np.pi)
            absent = ndx.take(missing, ndx.asarray(np.tile(np.repeat(np.arange(len(columns)), 2), len(self._cyclic))), axis=1)
            parts.append(ndx.where(absent, zero, ndx.sin(angle)))
        if "elapsed" in self.settings.parts:
            mean = ndx.asarray(np.array([int(state["mean"]) for state in states], np.int64))
            inverse = traced.float32_constant([1.0 / float(state["scale"]) for state in states])
            parts.append(ndx.where(missing, zero, ndx.astype(x - mean, ndx.float32) * inverse))
        return Encoded(dense=traced.side_by_side([*parts, *indicators(missing, self.settings, states)]))

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        missing = values == MISSING_TIME
        times = np.where(missing, 0, values).astype("datetime64[s]")
        rows = []
        for part in self._cyclic:
            turn = CALENDAR[part](times)
            rows += [np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)]
        if "elapsed" in self.settings.parts:
            rows.append((times.astype(np.int64) - int(state["mean"])) / float(state["scale"]))
        rows = [np.where(missing, 0, row) for row in rows]
        if wants_indicator(self.settings, state):
            rows.append(missing.astype(np.float64))
        return np.column_stack(rows).astype(np.float32)


def fraction(x: ndx.Array, period: int) -> ndx.Array:
    """Place in a period, 0 to 1, as float32: the remainder is taken in int64, where it is exact."""
    return ndx.astype(x % period, ndx.float32) * traced.float32_constant(1.0 / period)


def day_of_month(x: ndx.Array) -> ndx.Array:
    """(Day of month − 1) / 31.

    Source: Hinnant, chrono-compatible low-level date algorithms, `civil_from_days` (years start in March).
    """
    day = whole(x - x % DAY, DAY) + 719_468  # since 0000-03-01
    of_era = day % 146_097  # 400 years
    year = whole(of_era - whole(of_era, 1_460) + whole(of_era, 36_524) - whole(of_era, 146_096), 365)
    of_year = of_era - (year * 365 + whole(year, 4) - whole(year, 100))
    month = whole(of_year * 5 + 2, 153)
    return ndx.astype(of_year - whole(month * 153 + 2, 5), ndx.float32) * traced.float32_constant(1.0 / 31)


def whole(x: ndx.Array, divisor: int) -> ndx.Array:
    """Quotient of what divides without remainder or is not negative: one node, where the array API's floor makes ten."""
    return ndx.asarray(op.div(x.unwrap_spox(), ndx.asarray(np.array(divisor, np.int64)).unwrap_spox()))


PHASES: dict[str, Callable[[ndx.Array], ndx.Array]] = {
    "hour": lambda x: fraction(x, DAY),
    "weekday": lambda x: fraction(x - WEEK_START, WEEK),
    "day_of_month": day_of_month,
    "day_of_year": lambda x: fraction(x, YEAR),
}
"""Part → (N, C) int64 seconds to float32 turns. `weekday` moves on within the day, so that Sunday night is close to Monday."""

CALENDAR: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "hour": lambda t: (t - t.astype("datetime64[D]")).astype(np.int64) / DAY,
    "weekday": lambda t: (t - np.datetime64("1970-01-05")).astype("timedelta64[s]").astype(np.int64) % WEEK / WEEK,
    "day_of_month": lambda t: (t.astype("datetime64[D]") - t.astype("datetime64[M]")).astype(np.int64) / 31,
    "day_of_year": lambda t: t.astype(np.int64) % YEAR / YEAR,
}
"""The same by numpy's calendar, for the reference."""
