"""Settings that are refused, each with its sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shopkit.errors import ConfigError
from shopkit.features import settings
from shopkit.features.settings import parse_spec


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: settings.FeaturePlan(numbers=3), r"features\.numbers is 3; write an extractor's name"),
        (lambda: settings.FeaturePlan(columns={"a": []}), r"features\.columns\.a is \[\]; write an extractor's name"),
        (lambda: settings.FeaturePlan(strings={"min_count": 2}), r"features\.strings is \{'min_count': 2\}, which has no name"),
        (lambda: settings.FeaturePlan(max_one_hot=-1), r"features\.max_one_hot is -1; it must be at least 0"),
        (lambda: settings.FeaturePlan(min_piecewise=1), r"features\.min_piecewise is 1; it must be at least 2"),
        (lambda: settings.QuantileSettings(n_quantiles=1), r"quantile\.n_quantiles is 1; it must be at least 2"),
        (lambda: settings.BucketizeSettings(n_bins=1), r"bucketize\.n_bins is 1; it must be at least 2"),
        (lambda: settings.BucketizeSettings(edges=[2.0, 1.0]), r"bucketize\.edges is \[2\.0, 1\.0\]; edges must ascend"),
        (lambda: settings.PiecewiseLinearSettings(n_bins=0), r"piecewise_linear\.n_bins is 0; it must be at least 1"),
        (lambda: settings.VocabularySettings(min_count=0), r"vocabulary\.min_count is 0; it must be at least 1"),
        (lambda: settings.VocabularySettings(max_size=0), r"vocabulary\.max_size is 0; it must be at least 1"),
        (lambda: settings.OneHotSettings(max_size=0), r"one_hot\.max_size is 0; it must be at least 1"),
        (lambda: settings.TargetRateSettings(smoothing=-1.0), r"target_rate\.smoothing is -1\.0; it must be at least 0"),
        (lambda: settings.TargetRateSettings(n_folds=1), r"target_rate\.n_folds is 1; it must be at least 2"),
        (lambda: settings.TimePartsSettings(parts=[]), r"time_parts\.parts is empty; name at least one of hour, weekday"),
        (
            lambda: settings.TimePartsSettings(parts=["hour", "hour"]),
            r"time_parts\.parts is \['hour', 'hour'\]; name each part once",
        ),
    ],
)
def test_refused(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()


def test_specs() -> None:
    assert parse_spec("log1p", "here") == [("log1p", {})]
    assert parse_spec({"name": "bucketize", "n_bins": 4}, "here") == [("bucketize", {"n_bins": 4})]
    assert parse_spec(["log1p", {"name": "impute"}], "here") == [("log1p", {}), ("impute", {})]
