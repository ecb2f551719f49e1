"""The progress bar of a training."""

from __future__ import annotations

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shopkit.training.learner import Learner


class ProgressBar(pl.Callback):
    """One line that moves with every epoch; nothing where the output is not a terminal."""

    def on_train_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        console = Console()
        shown = trainer.is_global_zero and console.is_terminal
        columns = (TextColumn("Training"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"), TimeElapsedColumn())
        self.bar = Progress(*columns, TextColumn("[dim]{task.fields[note]}"), console=console, transient=True, disable=not shown)
        self.line = self.bar.add_task("", total=learner.trainer_settings.max_epochs, completed=learner.state.epoch, note="")
        self.bar.start()

    def on_train_epoch_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        state, monitor = learner.state, learner.task.monitor
        # Callbacks come before the module's own hook: the newest row is the epoch before.
        if state.history:
            key = f"validation_{monitor.name}"
            row, best = state.history[-1], state.history[state.best_epoch]
            note = f"loss {row['train_loss']:.4f}"
            if key in row:
                note += f" · {monitor.name} {row[key]:.4f} · best {best[key]:.4f} in epoch {state.best_epoch + 1}"
            self.bar.update(self.line, completed=state.epoch, note=note)

    def teardown(self, trainer: pl.Trainer, learner: pl.LightningModule, stage: str) -> None:
        if hasattr(self, "bar"):
            self.bar.stop()
