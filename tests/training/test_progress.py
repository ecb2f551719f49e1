"""What a training shows on a terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import torch
from rich.console import Console

from shopkit.models.mlp import MLP
from shopkit.models.settings import MLPSettings
from shopkit.training import progress
from shopkit.training.fit import fit
from shopkit.training.learner import Learner
from shopkit.training.settings import TrainerSettings
from tests.training.conftest import table


class Watched(MLP):
    """Has the bar drawn at every step."""

    bar: progress.ProgressBar

    def training_loss(self, *batch):
        self.bar.bar.refresh()
        return super().training_loss(*batch)


@pytest.fixture
def drawn(features, task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def draw(width: int, terminal: bool = True) -> list[str]:
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, width=width, color_system=None)
        monkeypatch.setattr(progress, "Console", lambda: console)
        started = progress.ProgressBar.on_train_start

        def watch(self, trainer, learner: Learner) -> None:
            started(self, trainer, learner)
            learner.model.bar = self

        monkeypatch.setattr(progress.ProgressBar, "on_train_start", watch)
        torch.manual_seed(0)
        model = Watched(MLPSettings(hidden=[8], members=1), features, 1)
        settings = TrainerSettings(max_epochs=3, batch_size=100, accelerator="cpu", threads=1)
        fit(model, task, table(400, 0), table(200, 1), settings, folder=tmp_path, seed=0, progress=True)
        return [line for line in re.split(r"[\r\n]|\x1b\[[0-9?;]*[A-Za-z]", out.getvalue()) if line.strip()]

    return draw


def test_it_moves_within_an_epoch(drawn) -> None:
    lines = drawn(120)
    filled = [line.count("━") + line.count("╸") / 2 for line in lines if "epoch 1/3" in line]
    assert lines[0].startswith("Training ")
    assert len(set(filled)) > 2


def test_it_says_what_validation_came_to(drawn) -> None:
    last = drawn(120)[-1]
    assert re.search(r"epoch 3/3  0:0\d  AUROC 0\.\d{4}, best 0\.\d{4} in epoch [123]  loss \d\.\d{4}", last), last


def test_a_narrow_terminal_cuts_only_the_end(drawn) -> None:
    last = drawn(60)[-1]
    assert re.search(r"epoch 3/3  0:0\d  AUROC 0\.\d{4}, .*…", last), last


def test_nothing_is_drawn_where_there_is_no_terminal(drawn) -> None:
    assert drawn(120, terminal=False) == []
