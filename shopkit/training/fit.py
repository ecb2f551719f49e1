"""Training: a model by gradients, or an estimator by its own `fit`."""

from __future__ import annotations

import csv
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.plugins.environments import LightningEnvironment  # type: ignore[attr-defined]

from shopkit.errors import ConfigError
from shopkit.models.base import Arrays, Estimator, Model
from shopkit.runs import read_json, replacing, write_json
from shopkit.tasks.base import Task
from shopkit.training import checkpoint
from shopkit.training.batches import Batches
from shopkit.training.learner import Learner
from shopkit.training.processes import quiet, sent_to_processes
from shopkit.training.progress import ProgressBar
from shopkit.training.settings import TrainerSettings
from shopkit.training.watch import EpochWatch

HISTORY = "history.csv"
ESTIMATOR = "estimator.npz"


@dataclass(frozen=True)
class FitResult:
    """How a training went. The model itself holds the weights of the best epoch."""

    history: list[dict[str, float]] = field(default_factory=list)
    """Learning curves, a row for each epoch: `epoch` (from 0), `lr`, `train_loss`, `validation_loss`, `validation_<metric>`; for
    one of pretraining, `pretrain_loss` in place of the last three."""
    best_epoch: int = -1
    facts: dict[str, Any] = field(default_factory=dict)
    """What the model says of its fit (iterations, loss, …)."""
    seconds: float = 0.0
    """Wall-clock time of this call."""
    device: str = "cpu"
    threads: int = 0
    """CPU threads of torch while training; 0 for an estimator."""
    deterministic: bool = True
    """Whether only kernels were used that give the same bits each time."""


def fit(
    model: Model,
    task: Task,
    train: Arrays,
    validation: Arrays,
    settings: TrainerSettings,
    loggers: Sequence[Logger] = (),
    *,
    folder: Path,
    seed: int,
    resume: bool = False,
    progress: bool = False,
    initialise: Callable[[Model], None] = lambda model: None,
) -> FitResult:
    """Train a model and leave it in eval mode, on the CPU, with the weights of the epoch that validates best.

    Args:
        folder: takes `checkpoint.npz` and `history.csv`.
        resume: go on from the checkpoint in the folder, if there is one. The result is that of an undisturbed training.
        progress: show a progress bar on a terminal.
        initialise: called with the model before its first step, to set weights; not when a checkpoint is gone on from.

    Raises:
        RunError: the loss is not finite, the checkpoint cannot be read, or the folder cannot be written.
        KeyboardInterrupt: Ctrl-C; the last checkpoint is kept.
    """
    if settings.max_epochs <= model.pretrain_epochs:
        raise ConfigError(
            f"model.pretrain_epochs is {model.pretrain_epochs} of the {settings.max_epochs} of trainer.max_epochs: none is left "
            "to learn the target. Raise trainer.max_epochs."
        )
    start = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        (folder / checkpoint.FILE).unlink(missing_ok=True)
    with _kernels(settings):
        if not (folder / checkpoint.FILE).is_file():
            model.start_from(torch.from_numpy(np.asarray(task.initial_bias(), np.float32)))
            model.prepare(train, validation, task, seed)
            initialise(model)
        batches = Batches(train, settings.batch_size, seed, settings.max_steps)
        learner = Learner(model, task, batches, validation, settings, seed, folder)
        if not learner.state.finished and learner.state.epoch < settings.max_epochs:
            _refuse_watched(settings, loggers)
            with quiet(), sent_to_processes(settings):
                trainer = pl.Trainer(
                    accelerator=settings.accelerator,
                    devices=settings.devices,
                    num_nodes=settings.nodes,
                    # Not what Lightning would guess from the variables of Slurm or MPI.
                    plugins=[LightningEnvironment()] if settings.nodes > 1 else None,
                    strategy=settings.strategy,
                    precision=settings.precision,
                    max_epochs=settings.max_epochs - learner.state.epoch,
                    logger=list(loggers) or False,
                    callbacks=[ProgressBar()] if progress else [],
                    enable_checkpointing=False,
                    enable_progress_bar=False,
                    enable_model_summary=False,
                    use_distributed_sampler=False,
                    default_root_dir=folder,
                )
                _train(trainer, learner)
        # Read back, as with several devices the training was done in other processes.
        state = checkpoint.read(folder)
        _write_history(folder / HISTORY, state.history)
        model.cpu().load_state_dict(state.best)
        model.eval()
        facts = model.finish(validation, task)
    return FitResult(
        state.history,
        state.best_epoch,
        facts,
        seconds=time.perf_counter() - start,
        device=_device(settings),
        threads=settings.threads or torch.get_num_threads(),
        deterministic=settings.deterministic,
    )


def fit_estimator(
    estimator: Estimator,
    train: Arrays,
    validation: Arrays,
    *,
    folder: Path,
    seed: int,
    resume: bool = False,
    before: Callable[[Estimator], None] = lambda estimator: None,
) -> FitResult:
    """Fit an estimator and keep what it learnt in `estimator.npz`; a resume takes it from there.

    Args:
        before: called before the fit, and not where its result is there already.
    """
    start = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    path, facts_path = folder / ESTIMATOR, folder / "estimator.json"
    if resume and path.is_file():
        facts = read_json(facts_path)
        with np.load(path, allow_pickle=False) as state:
            estimator.load_state(dict(state))
    else:
        before(estimator)
        facts = estimator.fit(train, validation, seed)
        write_json(facts_path, facts)
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **estimator.state())  # type: ignore[arg-type]
    return FitResult(facts=facts, seconds=time.perf_counter() - start)


def _refuse_watched(settings: TrainerSettings, loggers: Sequence[Logger]) -> None:
    if (settings.devices, settings.nodes) != (1, 1) and any(isinstance(logger, EpochWatch) for logger in loggers):
        raise ConfigError(
            f"A search looks at every epoch as it ends, which it cannot on {settings.devices} devices of {settings.nodes} "
            "machines. Search with trainer.devices=1, and train the best settings on several."
        )


def _train(trainer: pl.Trainer, learner: Learner) -> None:
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(learner, train_dataloaders=learner.batches)
    except SystemExit as error:
        # Lightning turns Ctrl-C into an exit and goes deaf to the next one.
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from error


def _write_history(path: Path, history: list[dict[str, float]]) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(dict.fromkeys(name for row in history for name in row)))
        writer.writeheader()
        writer.writerows(history)


def _device(settings: TrainerSettings) -> str:
    """`cpu`, or the name of the accelerator that Lightning takes by these settings."""
    wanted = settings.accelerator
    if wanted == "cpu" or (wanted == "auto" and not torch.accelerator.is_available()):
        return "cpu"
    return torch.cuda.get_device_name() if torch.cuda.is_available() else wanted


@contextmanager
def _kernels(settings: TrainerSettings) -> Iterator[None]:
    """The number of threads, and whether kernels must repeat themselves; as before afterwards."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only, memory = torch.is_deterministic_algorithms_warn_only_enabled(), vars(torch.utils)["deterministic"]
    filled = memory.fill_uninitialized_memory
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, cuBLAS has no kernels that repeat themselves
    memory.fill_uninitialized_memory = False
    torch.set_num_threads(settings.threads or threads)
    torch.use_deterministic_algorithms(settings.deterministic, warn_only=True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        memory.fill_uninitialized_memory = filled
