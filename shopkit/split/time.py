"""Train on the past, test on the latest."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np

from shopkit.errors import DataError
from shopkit.schema import MISSING_TIME
from shopkit.split.base import GAP, TEST, TRAIN, VALIDATION, Rows, Split, whole
from shopkit.split.settings import TimeSplitSettings

DAY = 86_400


class TimeSplit(Split):
    """Parts in order of time; examples of one moment are never in two parts."""

    settings: TimeSplitSettings

    def parts(self, rows: Rows) -> np.ndarray:
        column = rows.the("time", "time", "Name it with view.time, or use split=random or split=stratified.")
        times = rows.read(column.name)
        n_missing = int((times == MISSING_TIME).sum())
        if n_missing:
            raise DataError(
                f"split time: {n_missing:,} of {len(times):,} rows have no time in column '{column.name}'. "
                "Remove them in the source."
            )
        validation_from, test_from = self._boundaries(times, column.unit)
        parts = whole(len(times), TRAIN)
        parts[times >= validation_from] = VALIDATION
        parts[times >= test_from] = TEST
        reach = times + round(self.settings.gap_days * DAY)
        parts[(parts == TRAIN) & (reach > validation_from)] = GAP
        parts[(parts == VALIDATION) & (reach > test_from)] = GAP
        return parts

    def _boundaries(self, times: np.ndarray, time_zone: str) -> tuple[int, int]:
        """Seconds UTC at which the validation and the test part begin."""
        settings = self.settings
        if settings.validation_from:
            return _seconds(settings.validation_from, time_zone), _seconds(settings.test_from, time_zone)
        moments, counts = np.unique(times, return_counts=True)
        if len(moments) < 3:
            raise DataError(f"split time: there are only {len(moments)} different times; three parts need at least 3.")
        before = np.concatenate([[0], np.cumsum(counts)])[:-1] / len(times)
        # The moments whose share of earlier rows is nearest to what was asked, leaving at least one moment to each part.
        test = 2 + int(np.abs(before[2:] - (1 - settings.test_fraction)).argmin())
        wanted = 1 - settings.test_fraction - settings.validation_fraction
        validation = 1 + int(np.abs(before[1:test] - wanted).argmin())
        return int(moments[validation]), int(moments[test])


def _seconds(date: str, time_zone: str) -> int:
    moment = dt.datetime.fromisoformat(str(date))
    return int((moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(time_zone or "UTC"))).timestamp())
