"""Settings of views that are refused, each with its sentence, and the least ones that are not."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from shopkit.errors import ConfigError
from shopkit.views.settings import (
    BasketValueSettings,
    CustomerHistorySettings,
    HistorySettings,
    PurchaseWithinSettings,
    TableSettings,
)


@pytest.mark.parametrize("kind", [HistorySettings, PurchaseWithinSettings, CustomerHistorySettings, BasketValueSettings])
@pytest.mark.parametrize("name", ["horizon_days", "active_days", "every_days"])
def test_at_least_a_day(kind, name):
    assert getattr(kind(**{name: 1}), name) == 1
    with pytest.raises(ConfigError, match=rf"^view\.{name} is 0; it must be at least 1 day\.$"):
        kind(**{name: 0})


@pytest.mark.parametrize("windows", [[], [0, 7], [28, 7], [7, 7]])
def test_windows_are_days_that_ascend(windows):
    message = f"view.windows_days is {windows}; give lengths of at least 1 day, shortest first, each once."
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        HistorySettings(windows_days=windows)
    assert HistorySettings(windows_days=(1, 2)).windows_days == (1, 2)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: HistorySettings(n_departments=-1), "view.n_departments is -1; it must be at least 0."),
        (lambda: HistorySettings(last_cutoff="May"), "view.last_cutoff: 'May' is not a date; write it as 2017-05-01."),
        (lambda: HistorySettings(first_cutoff=2017), "view.first_cutoff: 2017 is not a date; write it as 2017-05-01."),
        (lambda: CustomerHistorySettings(max_steps=0), "view.max_steps is 0; it must be at least 1."),
        (lambda: TableSettings(target=""), "view.target is empty; name the column to predict."),
        (lambda: TableSettings(time="target"), "view.time: column 'target' is already view.target."),
        (lambda: TableSettings(weight="target"), "view.weight: column 'target' is already view.target."),
        (lambda: TableSettings(time="at", weight="at"), "view.weight: column 'at' is already view.time."),
        (lambda: TableSettings(keys=["a", "target"]), "view.keys: column 'target' is the target."),
        (lambda: TableSettings(min_class_rows=-1), "view.min_class_rows is -1; it must be at least 0."),
    ],
)
def test_refused(build, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        build()


def test_the_least_values_are_taken():
    assert HistorySettings(n_departments=0).n_departments == 0
    assert CustomerHistorySettings(max_steps=1).max_steps == 1
    assert TableSettings(min_class_rows=0).min_class_rows == 0
    assert HistorySettings(first_cutoff=dt.date(2017, 5, 1)).first_cutoff == dt.date(2017, 5, 1)


def test_history_reaches_as_far_as_the_longest_window_or_activity():
    assert HistorySettings(windows_days=[7, 30], active_days=20).history_days == 30
    assert HistorySettings(windows_days=[7, 10], active_days=20).history_days == 20
