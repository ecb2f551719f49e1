"""The progress bar of a training."""

from __future__ import annotations

import pytorch_lightning as pl
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from shopkit import progress
from shopkit.training.learner import Learner

BAR_WIDTH = 10


class ProgressBar(pl.Callback):
    """One line that moves with every batch; nothing where the output is not a terminal."""

    def on_train_start(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        console = Console()
        self.bar = _Line(learner, console, is_shown=trainer.is_global_zero and console.is_terminal)
        progress.give_way()
        self.bar.start()

    def teardown(self, trainer: pl.Trainer, learner: pl.LightningModule, stage: str) -> None:
        if hasattr(self, "bar"):
            self.bar.stop()
            progress.come_back()


class _Line(Progress):
    """Looks at the learner whenever it is drawn, so that a step of the training costs nothing more."""

    def __init__(self, learner: Learner, console: Console, is_shown: bool) -> None:
        self.learner = learner
        whole = Column(no_wrap=True)  # a narrow terminal cuts the end of what is said, and nothing else
        columns = (TextColumn("Training", table_column=whole), BarColumn(BAR_WIDTH, table_column=whole), _Said(learner))
        super().__init__(*columns, console=console, transient=True, disable=not is_shown)
        self.add_task("", total=learner.trainer_settings.max_epochs)

    def get_renderable(self) -> RenderableType:
        batches = self.learner.batches
        for task in self.tasks:
            task.completed = self.learner.state.epoch + batches.taken / batches.steps
        return super().get_renderable()


class _Said(ProgressColumn):
    """Which epoch it is, for how long, and what validation has come to."""

    max_refresh = 0.5

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.learner = learner

    def render(self, task: Task) -> Text:
        state, most = self.learner.state, self.learner.trainer_settings.max_epochs
        minutes, seconds = divmod(int(task.elapsed or 0), 60)
        text = Text(f"epoch {min(state.epoch + 1, most)}/{most}  {minutes}:{seconds:02}", no_wrap=True, overflow="ellipsis")
        if state.history:
            row, name = state.history[-1], self.learner.task.monitor.name
            if (key := f"validation_{name}") in row:
                title = self.learner.task.described[name].title if name in self.learner.task.described else name
                best = f"best {state.history[state.best_epoch][key]:.4f} in epoch {state.best_epoch + 1}"
                text.append(f"  {title} {row[key]:.4f}, {best}", "dim")
            text.append("".join(f"  loss {row[loss]:.4f}" for loss in ("pretrain_loss", "train_loss") if loss in row), "dim")
        return text
