"""What the settings of splits refuse."""

from __future__ import annotations

import pytest

from shopkit.errors import ConfigError
from shopkit.split.settings import GivenSplitSettings, KfoldSplitSettings, RandomSplitSettings, TimeSplitSettings


@pytest.mark.parametrize(
    ("settings", "values", "message"),
    [
        (RandomSplitSettings, {"test_fraction": 0}, r"split\.test_fraction is 0; it must be between 0 and 1"),
        (RandomSplitSettings, {"test_fraction": 0.5, "validation_fraction": 0.5}, "nothing is left for train"),
        (TimeSplitSettings, {"gap_days": -1}, r"split\.gap_days is -1; it must be at least 0"),
        (TimeSplitSettings, {"test_from": "2024-01-01"}, "give both dates, or none"),
        (
            TimeSplitSettings,
            {"validation_from": "soon", "test_from": "2024-01-01"},
            r"split\.validation_from: 'soon' is not a date",
        ),
        (
            TimeSplitSettings,
            {"validation_from": "2024-02-01", "test_from": "2024-01-01"},
            r"which is not before split\.test_from",
        ),
        (
            TimeSplitSettings,
            {"validation_from": "2024-02-01T00:00+01:00", "test_from": "2024-03-01"},
            r"split\.test_from is '2024-03-01': give both with an offset such as \+01:00, or neither",
        ),
        (KfoldSplitSettings, {"n_folds": 1}, r"split\.n_folds is 1; it must be at least 2"),
        (KfoldSplitSettings, {"fold": 5}, r"split\.fold is 5; with split\.n_folds=5 it must be from 0 to 4"),
        (GivenSplitSettings, {"validation_fraction": 1.5}, r"split\.validation_fraction is 1\.5"),
    ],
)
def test_bad_settings(settings, values, message):
    with pytest.raises(ConfigError, match=message):
        settings(**values)
