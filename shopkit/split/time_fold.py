"""One fold of a cross-validation forward in time."""

from __future__ import annotations

import numpy as np

from shopkit.errors import DataError
from shopkit.schema import MISSING_TIME
from shopkit.split.base import GAP, TEST, TRAIN, VALIDATION, Rows, Split, whole
from shopkit.split.settings import TimeFoldSplitSettings

DAY = 86_400


class TimeFoldSplit(Split):
    """An expanding window: of `n_folds + 1` blocks of about as many rows, fold i tests on block i + 1
    and learns from what is before it.

    The latest of those earlier rows are the validation part. Rows after the test part are in no part. Examples of one moment are
    never in two parts. (Tashman, "Out-of-sample tests of forecasting accuracy", International Journal of Forecasting 16, 2000.)
    """

    settings: TimeFoldSplitSettings

    def parts(self, rows: Rows) -> np.ndarray:
        settings = self.settings
        column = rows.the("time", "time_fold", "Name it with view.time, or use split=kfold.")
        times = rows.read(column.name)
        n_missing = int((times == MISSING_TIME).sum())
        if n_missing:
            raise DataError(
                f"split time_fold: {n_missing:,} of {len(times):,} rows have no time in column '{column.name}'. "
                "Remove them in the source."
            )
        moments, counts = np.unique(times, return_counts=True)
        if len(moments) < settings.n_folds + 2:
            raise DataError(
                f"split time_fold: there are only {len(moments)} different times; {settings.n_folds} folds need at least "
                f"{settings.n_folds + 2}."
            )
        before = np.concatenate([[0], np.cumsum(counts)]) / len(times)
        blocks = settings.n_folds + 1
        start = _nearest(before, (settings.fold + 1) / blocks, 2)
        stop = _nearest(before, (settings.fold + 2) / blocks, start + 1)
        validation = min(_nearest(before, before[start] * (1 - settings.validation_fraction), 1), start - 1)
        validation_from, test_from = int(moments[validation]), int(moments[start])
        parts = whole(len(times), TRAIN)
        parts[times >= validation_from] = VALIDATION
        parts[times >= test_from] = TEST
        if stop < len(moments):
            parts[times >= moments[stop]] = GAP
        reach = times + round(settings.gap_days * DAY)
        parts[(parts == TRAIN) & (reach > validation_from)] = GAP
        parts[(parts == VALIDATION) & (reach > test_from)] = GAP
        return parts


def _nearest(before: np.ndarray, share: float, least: int) -> int:
    """Index, at least `least`, of the moment whose share of earlier rows is nearest to `share`."""
    return least + int(np.abs(before[least:] - share).argmin())
