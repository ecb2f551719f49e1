"""What the trainer refuses."""

from __future__ import annotations

import pytest

from shopkit.errors import ConfigError
from shopkit.training.settings import TrainerSettings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_epochs": 0}, r"trainer\.max_epochs is 0; it must be at least 1"),
        ({"patience": -1}, r"trainer\.patience is -1; it must be at least 0"),
        ({"batch_size": 0}, r"trainer\.batch_size is 0; it must be at least 1"),
        ({"accumulate": 0}, r"trainer\.accumulate is 0; it must be at least 1"),
        ({"lr": 0.0}, r"trainer\.lr is 0; it must be above 0"),
        ({"lr": float("nan")}, r"trainer\.lr is nan; it must be above 0"),
        ({"weight_decay": -0.1}, r"trainer\.weight_decay is -0\.1; it must be at least 0"),
        ({"gradient_clip": -1.0}, r"trainer\.gradient_clip is -1; it must be at least 0"),
        ({"warmup": 1.0}, r"trainer\.warmup is 1; it must be from 0 to below 1"),
        ({"ema_decay": 1.0}, r"trainer\.ema_decay is 1; it must be from 0 to below 1"),
        ({"devices": 0}, r"trainer\.devices is 0; it must be a number of devices, or -1 for all"),
        ({"threads": -1}, r"trainer\.threads is -1; it must be at least 0"),
        ({"max_steps": -1}, r"trainer\.max_steps is -1; it must be at least 0"),
        ({"checkpoint_seconds": -1.0}, r"trainer\.checkpoint_seconds is -1; it must be at least 0"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        TrainerSettings(**wrong)
