"""The one LightningModule: joins any model with any task."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor

from shopkit.errors import RunError
from shopkit.models.base import Arrays, Model
from shopkit.tasks.base import Task
from shopkit.training import checkpoint
from shopkit.training.average import WeightAverage
from shopkit.training.batches import Batches, epoch_seed
from shopkit.training.processes import hush, settle_threads
from shopkit.training.schedule import lr_factor
from shopkit.training.scores import score_tensor
from shopkit.training.settings import TrainerSettings


class Learner(pl.LightningModule):
    """Trains a model for a task: one optimiser step for each batch, while Lightning is entered once for each chunk of batches.

    At the end of every epoch it scores the validation part in one pass, remembers the best weights, decides whether to stop,
    and writes `checkpoint.npz`. As every epoch seeds its own random numbers, a resume needs no more than that file.
    """

    def __init__(
        self, model: Model, task: Task, train: Batches, validation: Arrays, settings: TrainerSettings, seed: int, folder: Path
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.task = task
        self.batches = train
        self.validation = validation
        self.trainer_settings = settings
        self.seed = seed
        self.folder = folder
        self.state = checkpoint.read(folder)
        """What training has come to; see `checkpoint.State`."""
        self.saved_at = time.monotonic()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        hush()  # it is the first thing that a process of several unpacks

    # -- start --------------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        self.batches.shard(self.global_rank, self.trainer.world_size)
        if self.trainer.world_size > 1:
            settle_threads(self.trainer_settings, self.trainer.num_devices)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW and the weight average, as they were at the last checkpoint."""
        settings, state = self.trainer_settings, self.state
        groups = [{**group, "peak_lr": group["lr"]} for group in self.model.parameter_groups(settings.lr, settings.weight_decay)]
        optimizer = torch.optim.AdamW(groups, fused=self.device.type in ("cpu", "cuda"))
        self.average = WeightAverage(self.model, settings.ema_decay) if settings.ema_decay else None
        if state.epoch:
            self.model.load_state_dict(state.model)
            optimizer.load_state_dict(state.optimizer)
            if self.average is not None:
                self.average.load_state_dict(state.average)
        return optimizer

    def on_train_end(self) -> None:
        self.trainer.strategy.barrier()  # other machines go on from the checkpoint, which is written by now

    # -- an epoch -----------------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        self.batches.epoch = self.model.epoch = self.state.epoch
        torch.manual_seed(epoch_seed(self.seed, self.state.epoch, self.global_rank))
        self.losses: list[Tensor] = []
        """The losses of each chunk's steps."""

    def training_step(self, chunk: dict[str, Tensor | list[Tensor]], index: int) -> None:
        rows = self.batches.rows
        batches = {name: values if isinstance(values, list) else torch.split(values, rows) for name, values in chunk.items()}
        targets = batches.pop("target")
        weights = batches.pop("weight", (None,) * len(targets))
        first = index * self.batches.steps_per_chunk
        losses = []
        for i, (target, weight) in enumerate(zip(targets, weights, strict=True)):
            features = {name: parts[i] for name, parts in batches.items()}
            step = self.state.epoch * self.batches.steps + first + i
            losses.append(self._optimize(features, target, weight, step))
            self.batches.taken = first + i + 1
            if self.trainer.received_sigterm and self.trainer.world_size == 1:
                # Lightning looks after a chunk, and tells the other processes, which must all be at the same step.
                raise SIGTERMException
        self.losses.append(torch.stack(losses))
        self._refuse_non_finite(self.losses[-1], first)

    def _optimize(self, features: dict[str, Tensor], target: Tensor, weight: Tensor | None, step: int) -> Tensor:
        optimizer, settings = self.trainer.optimizers[0], self.trainer_settings
        epochs = (settings.max_epochs, self.model.pretrain_epochs)
        factor = lr_factor(settings, step, *(self.batches.steps * count for count in epochs))
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        optimizer.zero_grad()
        losses = []
        features, size = self.model.marked(features), math.ceil(len(target) / settings.accumulate)
        parts = [
            (
                {name: values[start : start + size] for name, values in features.items()},
                target[start : start + size],
                None if weight is None else weight[start : start + size],
            )
            for start in range(0, len(target), size)
        ]
        for part, share in zip(parts, self._shares(parts), strict=True):
            losses.append(self.model.training_loss(*part, self.task) * share)
            self.manual_backward(losses[-1])
        if settings.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.gradient_clip)
        optimizer.step()
        if self.average is not None:
            self.average.update()
        return torch.stack(losses).detach().sum()

    @torch.no_grad()
    def _shares(self, parts: list[tuple[dict[str, Tensor], Tensor, Tensor | None]]) -> list[Tensor | float]:
        """What the loss of each part of a batch counts in that of the whole."""
        if len(parts) == 1:
            return [1.0]
        sizes = torch.stack([self.model.loss_size(*part) for part in parts])
        return [*(sizes / sizes.sum().clamp(min=torch.finfo(sizes.dtype).tiny))]

    def _refuse_non_finite(self, losses: Tensor, first: int) -> None:
        # Once for each chunk, as looking at a loss waits for the device.
        if not bool(losses.isfinite().all()):
            step = int(losses.isfinite().long().argmin())
            raise RunError(
                f"The training loss became {float(losses[step])} in epoch {self.state.epoch + 1}, step {first + step + 1}. "
                f"Lower trainer.lr (it is {self.trainer_settings.lr:g}), set trainer.gradient_clip=1, and look for features "
                "that are not scaled (identity) or not finite."
            )

    def on_train_epoch_end(self) -> None:
        self.model.eval()
        learns_target = self.state.epoch >= self.model.pretrain_epochs
        with self.average.applied() if self.average is not None else nullcontext():
            row = {
                "epoch": self.state.epoch,
                "lr": float(self.trainer.optimizers[0].param_groups[0]["lr"]),
                "train_loss" if learns_target else "pretrain_loss": self._mean_loss(),
                **(self._validate() if self.trainer.is_global_zero and learns_target else {}),
            }
            # One device validates, and all go by what it found: were each to decide for itself when to stop, one might wait for
            # the others for ever.
            self._remember(self.trainer.strategy.broadcast(row))
        self.model.train()
        for logger in self.loggers:
            logger.log_metrics({name: value for name, value in row.items() if name != "epoch"}, step=int(row["epoch"]))
        self._checkpoint()

    def _mean_loss(self) -> float:
        return float(self.trainer.strategy.reduce(torch.cat(self.losses).mean(), reduce_op="mean"))

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        if not len(self.validation):
            return {}
        target = torch.from_numpy(self.validation.target.copy())
        weight = None if self.validation.weight is None else torch.from_numpy(self.validation.weight.copy())
        task = self.task.grouped_by(self.validation.groups)

        def reduce(scores: Tensor, rows: slice | np.ndarray) -> Tensor:
            return task.summary(scores, target[rows].to(scores.device))

        summary = score_tensor(self.model, self.validation.features, reduce).cpu()
        loss = task.validation_loss(summary, target, weight)
        metrics = {"loss": loss, **task.validation_metrics(summary, target, weight)}
        return {f"validation_{name}": value for name, value in metrics.items()}

    def _score(self, row: dict[str, float]) -> float:
        """The monitored metric, turned so that more is better; or the loss, where the validation part cannot tell it (one class
        only, say). Without a validation part, the last epoch is the best one; any is better than one of pretraining."""
        if row["epoch"] < self.model.pretrain_epochs:
            return -math.inf
        watched, mode = f"validation_{self.task.monitor.name}", self.task.monitor.mode
        if watched not in row:
            return row["epoch"]
        if math.isnan(self.state.history[self.model.pretrain_epochs][watched]):
            watched, mode = "validation_loss", "min"
        return row[watched] if mode == "max" else -row[watched]

    def _remember(self, row: dict[str, float]) -> None:
        """Add the epoch to the history, keep its weights if it is the best so far, and stop when it is time."""
        state = self.state
        state.history.append(row)
        score = self._score(row)
        if not math.isfinite(state.best_score) or score > state.best_score:
            state.best = {name: values.detach().cpu().clone() for name, values in self.model.state_dict().items()}
            state.best_epoch, state.best_score = state.epoch, score
        patience = self.trainer_settings.patience
        state.epoch += 1
        self.batches.taken = 0
        stop = patience > 0 and state.epoch - 1 - state.best_epoch >= patience
        state.finished = stop or state.epoch >= self.trainer_settings.max_epochs
        self.trainer.should_stop = stop

    def _checkpoint(self) -> None:
        due = time.monotonic() - self.saved_at >= self.trainer_settings.checkpoint_seconds
        if not self.trainer.is_global_zero or not (due or self.state.finished):
            return
        self.state.model = self.model.state_dict()
        self.state.optimizer = self.trainer.optimizers[0].state_dict()
        self.state.average = self.average.state_dict() if self.average is not None else {}
        checkpoint.write(self.folder, self.state)
        self.saved_at = time.monotonic()
