"""Experiment trackers."""

from __future__ import annotations

import importlib.util

import pytest

from shopkit.errors import ConfigError
from shopkit.models.mlp import MLP
from shopkit.models.settings import MLPSettings
from shopkit.training.fit import fit
from shopkit.training.loggers import build_loggers
from shopkit.training.settings import LoggerSettings, TrainerSettings
from tests.training.conftest import table


def test_none_unless_asked_for(tmp_path):
    assert build_loggers(LoggerSettings(), tmp_path, "run") == []


def test_tensorboard_gets_every_epoch(features, task, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loggers = build_loggers(LoggerSettings(tensorboard=True), tmp_path, "run")
    model = MLP(MLPSettings(hidden=[4], members=1), features, 1)
    settings = TrainerSettings(max_epochs=3, accelerator="cpu")
    result = fit(model, task, table(300, 0), table(100, 1), settings, loggers, folder=tmp_path, seed=0)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    curve = [(event.step, event.value) for event in events.Scalars("validation_auroc")]
    assert curve == [(row["epoch"], pytest.approx(row["validation_auroc"])) for row in result.history]


@pytest.mark.parametrize(("setting", "package"), [("wandb", "wandb"), ("mlflow", "mlflow"), ("tensorboard", "tensorboard")])
def test_a_tracker_that_is_not_installed_is_named_with_its_remedy(setting, package, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=rf"logger\.{setting} is true, but the package {package} is not installed: pip install {package}"
    ):
        build_loggers(LoggerSettings(**{setting: True}), tmp_path, "run")
