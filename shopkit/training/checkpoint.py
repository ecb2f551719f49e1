"""What training has come to at the end of an epoch, in one file that is written whole or not at all."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shopkit.errors import RunError
from shopkit.runs import replacing

FILE = "checkpoint.pt"


@dataclass
class State:
    """Tensors and plain data only, so that it loads with `weights_only`."""

    epoch: int = 0
    """Epochs finished."""
    finished: bool = False
    history: list[dict[str, float]] = field(default_factory=list)
    """A row for each epoch: `epoch` (from 0), `lr`, `train_loss`, `validation_loss`, `validation_<metric>`."""
    best_epoch: int = -1
    best_score: float = float("-inf")
    """The monitored metric of the best epoch, turned so that more is better."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """The model's weights at the best epoch."""
    model: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    average: dict[str, Any] = field(default_factory=dict)


def read(folder: Path) -> State:
    """The state in the folder, or a new one where there is none.

    Raises:
        RunError: the file cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        return State()
    try:
        return State(**torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, EOFError, OSError, TypeError, pickle.UnpicklingError) as error:
        raise RunError(f"The checkpoint {path} cannot be read. Delete it to train from the start. ({error})") from error


def write(folder: Path, state: State) -> None:
    with replacing(folder / FILE) as temporary:
        try:
            torch.save(vars(state), temporary)
        except RuntimeError as error:  # how torch says that the disk is full
            raise OSError(f"torch could not write all of it ({str(error).splitlines()[0]})") from error
