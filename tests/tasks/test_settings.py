from __future__ import annotations

from typing import Any

import pytest

from shopkit.errors import ConfigError
from shopkit.settings import build
from shopkit.tasks.settings import BinarySettings, MulticlassSettings, RankingSettings, RegressionSettings


@pytest.mark.parametrize(
    ("cls", "settings", "message"),
    [
        (RankingSettings, {"k": 0}, r"task.k is 0; it must be from 1\."),
        (BinarySettings, {"label_smoothing": 1.0}, r"task.label_smoothing is 1; it must be from 0 and below 1\."),
        (BinarySettings, {"focal_gamma": -1.0}, r"task.focal_gamma is -1; it must be from 0\."),
        (BinarySettings, {"positive_weight": 0.0}, r"task.positive_weight is 0; it must be above 0\."),
        (BinarySettings, {"target_rate": 1.0}, r"task.target_rate is 1; it must be above 0 and below 1\."),
        (BinarySettings, {"fixed_threshold": 2.0}, r"task.fixed_threshold is 2; it must be from 0 to 1\."),
        (
            BinarySettings,
            {"threshold": "cost", "cost_false_positive": -1.0},
            "a wrong decision costs no more than the right one: false positive -1 against true negative 0",
        ),
        (BinarySettings, {"threshold": "f2"}, "task.threshold: must be one of 'f1', 'cost', 'rate', 'fixed', got 'f2'"),
        (MulticlassSettings, {"label_smoothing": -0.1}, "task.label_smoothing is -0.1"),
        (MulticlassSettings, {"class_weights": "balance"}, "Did you mean 'balanced'"),
        (RegressionSettings, {"tweedie_power": 2.0}, r"task.tweedie_power is 2; it must be above 1 and below 2\."),
        (RegressionSettings, {"huber_delta": 0.0}, r"task.huber_delta is 0; it must be above 0\."),
    ],
)
def test_settings_that_cannot_be_are_refused(cls: type, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(cls, settings, "task")
