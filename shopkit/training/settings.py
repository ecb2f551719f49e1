"""Settings of training and of its loggers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shopkit.errors import ConfigError


@dataclass
class TrainerSettings:
    """How a model is trained by gradients."""

    max_epochs: int = 60
    """Passes over the training part at most."""
    patience: int = 12
    """Epochs without a better validation metric before training stops; 0 never stops early. The best epoch is kept either way."""
    batch_size: int = 256
    """Rows for each optimiser step, over all devices together."""
    accumulate: int = 1
    """Parts that each batch goes through the model in, their gradients summed: less memory, and the same result but for what is
    drawn at random or normalised within a part."""
    lr: float = 4e-3
    """Learning rate of AdamW; the peak, where a schedule varies it."""
    weight_decay: float = 0.01
    """Decoupled weight decay of AdamW (Loshchilov & Hutter 2019)."""
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    """`constant`; `cosine` falls to 0 over `max_epochs`; `one_cycle` rises from 1/25 of the peak, then falls to 0."""
    warmup: float = 0.0
    """Share of all steps over which the rate rises linearly from 0; for `one_cycle`, the share it rises (0 is taken as 0.3)."""
    ema_decay: float = 0.995
    """Validate and keep a moving average of the weights, with this decay for each step; 0 takes the weights as they are."""
    gradient_clip: float = 0.0
    """Largest norm of the gradient; 0 is off."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """`bf16-mixed` computes in bfloat16 where that is safe, for hardware that is faster at it."""
    accelerator: str = "auto"
    """`auto` takes a GPU where there is one; or `cpu`, `gpu`, `mps`, …"""
    devices: int = 1
    """Number of devices of each machine; -1 is all GPUs. On the CPU, a number of processes."""
    nodes: int = 1
    """Machines that train together. Each starts the same command in one shared run folder, with its number in `NODE_RANK` and the
    first one's address in `MASTER_ADDR` and `MASTER_PORT`; see docs/engines.md."""
    strategy: str = "auto"
    """How several devices work together, as Lightning names it, e.g. `ddp_spawn`."""
    threads: int = 0
    """CPU threads; 0 leaves the choice to torch. Another number of threads may change results in the last bits."""
    deterministic: bool = True
    """Only kernels that give the same bits each time, where torch has them; some of a GPU's faster ones do not."""
    max_steps: int = 0
    """Optimiser steps in an epoch at most, for a quick try; 0 is all."""
    checkpoint_seconds: float = 10.0
    """Least time between two checkpoints, each written at the end of an epoch. Resuming gives the same model from any."""

    def __post_init__(self) -> None:
        for name, least in (
            ("max_epochs", 1),
            ("patience", 0),
            ("batch_size", 1),
            ("accumulate", 1),
            ("weight_decay", 0),
            ("gradient_clip", 0),
            ("nodes", 1),
            ("threads", 0),
            ("max_steps", 0),
            ("checkpoint_seconds", 0),
        ):
            if not getattr(self, name) >= least:
                raise ConfigError(f"trainer.{name} is {getattr(self, name):g}; it must be at least {least}.")
        if not self.lr > 0:
            raise ConfigError(f"trainer.lr is {self.lr:g}; it must be above 0.")
        for name in ("warmup", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"trainer.{name} is {getattr(self, name):g}; it must be from 0 to below 1.")
        if self.devices == 0 or self.devices < -1:
            raise ConfigError(f"trainer.devices is {self.devices}; it must be a number of devices, or -1 for all.")


@dataclass
class LoggerSettings:
    """Who is told of every epoch. A CSV file is always written."""

    tensorboard: bool = False
    """Write TensorBoard event files."""
    wandb: bool = False
    """Report to Weights & Biases (https://wandb.ai)."""
    mlflow: bool = False
    """Report to MLflow (https://mlflow.org)."""
    project: str = "shopkit"
    """Project (Weights & Biases) or experiment (MLflow) the run appears in."""
    tracking_uri: str = ""
    """MLflow tracking server; empty takes MLflow's own default."""
