"""Training in several processes, one for each device: what goes to them, and what comes back when one of them fails."""

from __future__ import annotations

import logging
import mmap
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import active_children
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch
from torch.multiprocessing.spawn import ProcessException

from shopkit.errors import ConfigError, RunError, raised_elsewhere
from shopkit.training.settings import TrainerSettings


def node_rank(settings: TrainerSettings) -> int:
    """The number of this machine among those that train together, from 0.

    Raises:
        ConfigError: several train together, and this one was not told its number, or where the first one is.
    """
    if settings.nodes == 1:
        return 0
    names = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
    if unset := [name for name in names if not os.environ.get(name)]:
        raise ConfigError(
            f"trainer.nodes is {settings.nodes}, and the environment lacks {', '.join(unset)}: give each machine its "
            "number, from 0, and all of them the address and a free port of number 0."
        )
    rank = os.environ["NODE_RANK"]
    if not rank.isdecimal() or int(rank) >= settings.nodes:
        raise ConfigError(
            f"NODE_RANK is {rank!r}; with trainer.nodes={settings.nodes} it must be from 0 to {settings.nodes - 1}."
        )
    return int(rank)


def n_copies(settings: TrainerSettings) -> int:
    """How many processes of this machine hold what is trained on: the one that was started, and beside it, where several devices
    or machines train together, one for each device."""
    if settings.devices == 1 and settings.nodes == 1:
        return 1
    return 1 + (torch.accelerator.device_count() if settings.devices == -1 else settings.devices)


@contextmanager
def sent_to_processes(settings: TrainerSettings) -> Iterator[None]:
    """While the block runs, processes can be started that train together.

    Arrays that lie in memory-mapped files go to them by name, so that all share one copy, in the system's cache. The script that
    this process began with is not run again in them, so it needs no `if __name__ == "__main__"`.

    Raises:
        ConfigError: all devices are asked for, and there is none to count.
        RunError: a process ended; in the words of its own error if it had one of shopkit's.
    """
    if settings.devices == 1 and settings.nodes == 1:
        yield
        return
    if settings.devices == -1 and not torch.accelerator.is_available():
        raise ConfigError("trainer.devices is -1, which is all GPUs, and there is none: give a number, of processes on the CPU.")
    ForkingPickler.register(np.memmap, _by_name)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # it warns that no parameter went unused
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in main.__dict__}
    main.__dict__["__spec__"] = None
    before = {*active_children()}
    try:
        yield
    except ProcessException as error:
        if (known := raised_elsewhere(str(error))) is not None:
            raise known from None
        last = str(error).strip().splitlines()[-1]
        raise RunError(
            f"A process of the training ended: {last}. What was finished is kept; start the same command with resume=true."
        ) from error
    finally:
        main.__dict__.update(hidden)
        # Some are left only where this process was interrupted; a checkpoint is written whole or not at all.
        for child in {*active_children()} - before:
            child.kill()
            child.join()


def _by_name(array: np.memmap[Any, Any]) -> tuple[Any, tuple[Any, ...]]:
    if isinstance(array.base, mmap.mmap) and array.filename is not None and array.flags.c_contiguous:
        return _mapped, (str(array.filename), array.dtype, array.offset, array.shape)
    return np.asarray, (np.array(array),)


def _mapped(path: str, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.memmap(path, dtype, "r", offset, shape)


def settle_threads(settings: TrainerSettings, processes: int) -> None:
    """In a process of its own: its share of the machine's cores, and the kernels that the settings ask for."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(settings.threads or max(1, cores // processes))
    torch.use_deterministic_algorithms(settings.deterministic, warn_only=True)


_LIGHTNING = ("pytorch_lightning", "lightning", "lightning_fabric", "lightning.pytorch")


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's notices of devices, of data loader workers and of its own services say nothing that a user can act on."""
    levels = {name: logging.getLogger(name).level for name in _LIGHTNING}
    try:
        with warnings.catch_warnings():
            hush()
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def hush() -> None:
    """The same for good, for a process of its own."""
    for name in _LIGHTNING:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    warnings.filterwarnings("ignore", module="lightning_fabric")
