"""Training as a run calls it: it learns, it is the same twice, and nothing that ends it half-way spoils it."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from shopkit.errors import RunError
from shopkit.models.linear import Linear
from shopkit.models.mlp import MLP
from shopkit.models.settings import LinearSettings, MLPSettings
from shopkit.training import checkpoint
from shopkit.training.fit import FitResult, fit, fit_estimator
from shopkit.training.scores import model_scores
from shopkit.training.settings import TrainerSettings
from tests.training.conftest import table


def train(
    features, task, folder: Path, weighted: bool = False, seed: int = 0, resume: bool = False, **settings
) -> tuple[MLP, FitResult]:
    torch.manual_seed(seed)
    model = MLP(MLPSettings(hidden=[16, 8], members=2, category_dim=4), features, 1)
    chosen = TrainerSettings(**{"max_epochs": 6, "batch_size": 64, "accelerator": "cpu", "checkpoint_seconds": 0.0, **settings})
    result = fit(model, task, table(1500, 0, weighted), table(500, 1, weighted), chosen, folder=folder, seed=seed, resume=resume)
    return model, result


@pytest.mark.parametrize("weighted", [False, True])
def test_a_batch_in_parts_trains_as_a_whole_one(features, task, tmp_path, weighted):
    scores = []
    for accumulate in (1, 5):
        torch.manual_seed(0)
        model = MLP(MLPSettings(hidden=[8], members=1, dropout=0.0), features, 1)
        chosen = TrainerSettings(max_epochs=2, batch_size=64, ema_decay=0.0, accelerator="cpu", threads=1, accumulate=accumulate)
        folder = tmp_path / str(accumulate)
        fit(model, task, table(600, 0, weighted), table(200, 1, weighted), chosen, folder=folder, seed=0)
        scores.append(model_scores(model, table(200, 2).features))
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-3)


def same_weights(first: MLP, second: MLP) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ema_decay": 0.0, "gradient_clip": 1.0, "schedule": "one_cycle"},
        {"schedule": "cosine", "warmup": 0.1, "precision": "bf16-mixed", "threads": 1},
        {"weighted": True},
    ],
)
def test_it_learns(features, task, tmp_path, settings):
    model, result = train(features, task, tmp_path, max_epochs=10, **settings)
    test = table(1000, 2)
    assert not model.training
    assert roc_auc_score(test.target, model_scores(model, test.features)[:, 0]) > 0.85
    assert [row["epoch"] for row in result.history] == list(range(len(result.history)))
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    best = max(result.history, key=lambda row: row["validation_auroc"])
    assert result.best_epoch == best["epoch"]
    validation = table(500, 1)
    if "weighted" not in settings:
        assert roc_auc_score(validation.target, model_scores(model, validation.features)[:, 0]) == pytest.approx(
            best["validation_auroc"], abs=1e-5
        )


def test_the_learning_curves_are_a_csv_file(features, task, tmp_path):
    _, result = train(features, task, tmp_path)
    with (tmp_path / "history.csv").open(newline="") as stream:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]
    assert rows == result.history
    assert {"epoch", "lr", "train_loss", "validation_loss", "validation_auroc"} <= set(rows[0])


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(features, task, tmp_path):
    first, second, other = (train(features, task, tmp_path / str(i), seed=seed)[0] for i, seed in enumerate([0, 0, 1]))
    assert same_weights(first, second)
    assert not same_weights(first, other)


def test_early_stopping_waits_for_the_patience_and_keeps_the_best(features, task, tmp_path):
    _, result = train(features, task, tmp_path, max_epochs=200, patience=3, lr=0.05)
    assert len(result.history) == result.best_epoch + 4 < 200


def test_without_a_validation_part_the_last_epoch_is_kept(features, task, tmp_path):
    model = MLP(MLPSettings(hidden=[4], members=1), features, 1)
    settings = TrainerSettings(max_epochs=3, patience=1, batch_size=64, accelerator="cpu")
    result = fit(model, task, table(200, 0), table(0, 1), settings, folder=tmp_path, seed=0)
    assert result.best_epoch == 2
    assert set(result.history[0]) == {"epoch", "lr", "train_loss"}


def test_all_that_a_model_computes_is_on_the_threads_and_kernels_that_were_asked_for(features, task, tmp_path):
    found = {}

    class Watched(MLP):
        def _note(self, when: str) -> None:
            found[when] = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())

        def prepare(self, *_) -> None:
            self._note("prepare")

        def forward(self, batch):
            self._note("forward")
            return super().forward(batch)

        def finish(self, *_) -> dict[str, object]:
            self._note("finish")
            return {}

    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    chosen = TrainerSettings(max_epochs=1, accelerator="cpu", threads=before[0] + 1, deterministic=True)
    fit(Watched(MLPSettings(hidden=[8]), features, 1), task, table(200, 0), table(100, 1), chosen, folder=tmp_path, seed=0)
    assert found == dict.fromkeys(["prepare", "forward", "finish"], (before[0] + 1, True))
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_few_steps_for_a_quick_try(features, task, tmp_path):
    _, result = train(features, task, tmp_path, max_epochs=1, max_steps=2)
    assert len(result.history) == 1


def test_a_resume_of_a_finished_training_trains_no_more(features, task, tmp_path):
    first, result = train(features, task, tmp_path)
    second, again = train(features, task, tmp_path, resume=True, lr=1e9)
    assert same_weights(first, second)
    assert again.history == result.history


def test_without_resume_an_old_checkpoint_is_not_taken(features, task, tmp_path):
    train(features, task, tmp_path, max_epochs=1)
    _, result = train(features, task, tmp_path, max_epochs=2)
    assert len(result.history) == 2


KILLED = """
import sys, torch
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.training import test_fit, conftest
features, task = conftest.features.__wrapped__(), conftest.task.__wrapped__()
torch.set_num_threads(1)
devices = int(sys.argv[3])
several = {{"devices": devices, "strategy": "ddp_spawn"}} if devices > 1 else {{}}
test_fit.train(
    features, task, Path(sys.argv[1]), resume=True, max_epochs=int(sys.argv[2]), patience=0, threads=1, **several
)
"""


def start_training(folder: Path, epochs: int, devices: int = 1) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).parents[2])
    return subprocess.Popen([sys.executable, "-c", KILLED.format(root=root), str(folder), str(epochs), str(devices)], cwd=root)


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not path.is_file():
        assert time.monotonic() < deadline, "training did not begin"
        assert process.poll() is None, "training ended early"
        time.sleep(0.01)


def test_a_training_that_was_killed_and_resumed_ends_as_the_undisturbed_one(features, task, tmp_path):
    process = start_training(tmp_path / "killed", 10_000)
    wait_for(tmp_path / "killed" / "checkpoint.npz", process)
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = checkpoint.read(tmp_path / "killed").epoch
    assert done > 0
    settings = {"max_epochs": done + 3, "patience": 0, "threads": 1}
    resumed, result = train(features, task, tmp_path / "killed", resume=True, **settings)
    undisturbed, expected = train(features, task, tmp_path / "undisturbed", **settings)
    assert result.history == expected.history
    assert same_weights(resumed, undisturbed)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as at a terminal: a shell lets what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_is_an_interrupt_and_keeps_the_checkpoint(tmp_path):
    process = start_training(tmp_path, 10_000)
    wait_for(tmp_path / "checkpoint.npz", process)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) in (-signal.SIGINT, 130)
    assert checkpoint.read(tmp_path).epoch > 0


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_reaches_the_caller_and_can_be_pressed_again(features, task, tmp_path, monkeypatch):
    monkeypatch.setattr(type(task), "validation_metrics", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(features, task, tmp_path)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_process_that_is_told_to_end_does_one_step_more_at_most(features, task, tmp_path, monkeypatch):
    steps = []

    def told(*_):
        steps.append(os.kill(os.getpid(), signal.SIGTERM))
        return torch.zeros((), requires_grad=True)

    monkeypatch.setattr(type(task), "loss", told)
    with pytest.raises(KeyboardInterrupt):
        train(features, task, tmp_path, batch_size=10)
    assert len(steps) == 1


def test_a_loss_that_is_not_finite_is_an_error_with_its_place(features, task, tmp_path):
    with pytest.raises(
        RunError, match=r"training loss became (nan|inf) in epoch 1, step \d+\. Lower trainer\.lr \(it is 1e\+30\)"
    ):
        train(features, task, tmp_path, lr=1e30)


def test_a_broken_checkpoint_is_an_error_with_its_path(features, task, tmp_path):
    (tmp_path / "checkpoint.npz").write_bytes(b"PK not a checkpoint")
    with pytest.raises(RunError, match=r"checkpoint\.npz cannot be read\. Delete it to train from the start"):
        train(features, task, tmp_path, resume=True)


@pytest.mark.slow
def test_two_processes_train_one_model(features, task, tmp_path):
    model, result = train(features, task, tmp_path, devices=2, strategy="ddp_spawn", max_epochs=10, threads=1)
    test = table(1000, 2)
    assert len(result.history) == 10
    assert roc_auc_score(test.target, model_scores(model, test.features)[:, 0]) > 0.85


def test_an_estimator_is_kept_without_pickles_and_not_fitted_again(features, task, tmp_path):
    arrays = table(500, 0), table(100, 1)
    first, second = (Linear(LinearSettings(), features, task) for _ in range(2))
    result = fit_estimator(first, *arrays, folder=tmp_path, seed=0)
    assert result.facts["iterations"] > 1
    second.fit = None
    again = fit_estimator(second, *arrays, folder=tmp_path, seed=0, resume=True)
    assert again.facts == result.facts
    np.testing.assert_array_equal(first.scores(arrays[0].features), second.scores(arrays[0].features))
    with np.load(tmp_path / "estimator.npz", allow_pickle=False) as state:
        assert set(state) == {"weight", "table", "terms", "bias"}


def test_where_validation_rows_are_of_one_class_the_loss_decides(features, task, tmp_path):
    """AUROC is not defined there: no epoch would be better than the first."""
    validation = table(500, 1)
    negatives = np.flatnonzero(validation.target == 0)
    part = replace(
        validation,
        features={name: values[negatives] for name, values in validation.features.items()},
        target=validation.target[negatives],
    )
    torch.manual_seed(0)
    model = MLP(MLPSettings(hidden=[8], members=1), features, 1)
    chosen = TrainerSettings(max_epochs=8, patience=2, batch_size=64, accelerator="cpu", threads=1)
    result = fit(model, task, table(600, 0), part, chosen, folder=tmp_path, seed=0)
    losses = [row["validation_loss"] for row in result.history]
    assert np.isnan([row["validation_auroc"] for row in result.history]).all()
    assert result.best_epoch == int(np.argmin(losses)) > 0


@pytest.mark.parametrize("accumulate", [1, 4])
def test_batches_without_any_weight_do_not_end_a_training(features, task, tmp_path, accumulate):
    whole = table(600, 0, weighted=True)
    weight = np.where(np.random.default_rng(0).random(600) < 0.05, 1, 0).astype(np.float32)
    torch.manual_seed(0)
    model = MLP(MLPSettings(hidden=[8], members=1), features, 1)
    chosen = TrainerSettings(max_epochs=2, batch_size=8, accelerator="cpu", threads=1, accumulate=accumulate)
    result = fit(model, task, replace(whole, weight=weight), table(200, 1), chosen, folder=tmp_path, seed=0)
    assert all(np.isfinite(row["train_loss"]) for row in result.history)
