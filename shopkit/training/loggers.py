"""Experiment trackers, by name, when they are installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from shopkit.errors import ConfigError
from shopkit.training.settings import LoggerSettings

PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
"""Setting → the package it needs."""


def build_loggers(settings: LoggerSettings, folder: Path, name: str) -> list[Logger]:
    """The trackers that were asked for.

    Args:
        folder: where those that write files write them.
        name: of the run, as the tracker shows it.

    Raises:
        ConfigError: a tracker whose package is not installed; says how to install it.
    """
    for setting, package in PACKAGES.items():
        if getattr(settings, setting) and importlib.util.find_spec(package) is None:
            raise ConfigError(f"logger.{setting} is true, but the package {package} is not installed: pip install {package}")
    loggers: list[Logger] = []
    if settings.tensorboard:
        loggers.append(TensorBoardLogger(save_dir=folder, name="", version="tensorboard"))
    if settings.wandb:
        loggers.append(WandbLogger(project=settings.project, name=name, save_dir=folder))
    if settings.mlflow:
        uri = settings.tracking_uri or None
        loggers.append(MLFlowLogger(experiment_name=settings.project, run_name=name, tracking_uri=uri))
    return loggers
