"""Several processes train one model: as one process does, whatever the arrays, and none of them outlives the training."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import shopkit
from shopkit.errors import ConfigError, RunError, raised_elsewhere
from shopkit.models.base import Arrays
from shopkit.models.mlp import MLP
from shopkit.models.settings import MLPSettings
from shopkit.runs import Run
from shopkit.training import processes
from shopkit.training.fit import fit
from shopkit.training.processes import _by_name, n_copies, node_rank, sent_to_processes
from shopkit.training.scores import model_scores
from shopkit.training.settings import TrainerSettings
from shopkit.training.watch import EpochWatch
from tests.shop import TABLE, visits
from tests.training.conftest import table
from tests.training.test_fit import start_training, wait_for

TWO = {"devices": 2, "strategy": "ddp_spawn_find_unused_parameters_true"}
OVERRIDES = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "trainer.threads=1"]


def trained(features, task, folder: Path, part: Arrays, **settings) -> tuple[MLP, list[dict[str, float]]]:
    torch.manual_seed(0)
    # Without dropout, what chance draws for each process does not matter: the same batches give the same gradients.
    model = MLP(MLPSettings(hidden=[8], members=2, dropout=0.0), features, 1)
    chosen = TrainerSettings(**{"max_epochs": 3, "batch_size": 64, "accelerator": "cpu", "threads": 1, **settings})
    return model, fit(model, task, part, table(300, 1), chosen, folder=folder, seed=0).history


def test_two_processes_train_as_one_from_arrays_in_files(features, task, tmp_path):
    part = table(640, 0)
    one, expected = trained(features, task, tmp_path / "one", part)
    for name, values in part.features.items():
        np.save(tmp_path / f"{name}.npy", values)
    mapped = Arrays({name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in part.features}, part.target)
    two, history = trained(features, task, tmp_path / "two", mapped, **TWO)
    assert [row["epoch"] for row in history] == [row["epoch"] for row in expected] == [0, 1, 2]
    for row, other in zip(history, expected, strict=True):
        for name, value in other.items():
            assert row[name] == pytest.approx(value, abs=2e-3), name
    test = table(500, 2).features
    np.testing.assert_allclose(model_scores(two, test), model_scores(one, test), atol=0.02)


def test_arrays_in_files_are_sent_by_name_and_parts_of_them_whole(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(4, 3))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    make, arguments = _by_name(mapped)
    again = make(*arguments)
    assert isinstance(again, np.memmap)
    assert arguments[0] == str(tmp_path / "x.npy")
    np.testing.assert_array_equal(again, mapped)
    for part in (mapped[1:], mapped[:, 1], mapped[::2]):
        make, arguments = _by_name(part)
        np.testing.assert_array_equal(make(*arguments), part)


def test_the_words_of_another_process(monkeypatch):
    assert str(raised_elsewhere("trace\n  File x\nshopkit.errors.RunError: The loss became nan.\n")) == "The loss became nan."
    assert raised_elsewhere("shopkit.errors.Path: x") is None
    assert raised_elsewhere("ValueError: x") is None
    settings = TrainerSettings(devices=2)

    def fail(text: str) -> None:
        with sent_to_processes(settings):
            raise processes.ProcessException(text, 0, 1)

    with pytest.raises(RunError, match=r"^The loss became nan\.$"):
        fail("Traceback\nshopkit.errors.RunError: The loss became nan.\n")
    with pytest.raises(RunError, match=r"A process of the training ended: process 1 terminated with signal SIGKILL\. What was"):
        fail("process 1 terminated with signal SIGKILL")


def test_what_several_processes_cannot(features, task, tmp_path):
    if not torch.accelerator.is_available():
        with pytest.raises(ConfigError, match=r"trainer\.devices is -1, which is all GPUs, and there is none: give a number"):
            trained(features, task, tmp_path, table(100, 0), devices=-1)
    with pytest.raises(ConfigError, match=r"A search looks at every epoch as it ends, which it cannot on 2 devices"):
        fit(
            MLP(MLPSettings(), features, 1), task, table(100, 0), table(100, 1), TrainerSettings(devices=2, accelerator="cpu"),
            loggers=[EpochWatch(lambda epoch, row: None)], folder=tmp_path, seed=0,
        )  # fmt: skip
    with pytest.raises(ConfigError, match=r"trainer\.nodes is 0; it must be at least 1"):
        TrainerSettings(nodes=0)


@pytest.mark.slow
def test_what_one_of_them_refuses_is_said_in_its_words(features, task, tmp_path):
    with pytest.raises(RunError, match=r"^The training loss became (nan|inf) in epoch 1, step \d+\. Lower trainer\.lr"):
        trained(features, task, tmp_path, table(600, 0), lr=1e30, **TWO)


def made(n_rows: int, with_lists: bool) -> pd.DataFrame:
    frame = visits(n_rows)
    if with_lists:
        random = np.random.default_rng(0)
        frame["seen"] = [list(random.choice(["a", "b", "c"], random.integers(0, 7))) for _ in range(n_rows)]
    return frame


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mlp", "lstm"])
def test_a_whole_run_on_two_processes_is_as_one_within_chance(tmp_path, model):
    """Within chance: the metric of each lies in the other's 95 % bootstrap interval over the test rows."""
    overrides = [
        *TABLE, f"model={model}", "evaluation.baselines=[]", "evaluation.n_bootstrap=200", "trainer.batch_size=64",
        "trainer.accelerator=cpu", "trainer.threads=1", *(["model.hidden_dim=8"] if model == "lstm" else []),
    ]  # fmt: skip
    frame = made(1500, model == "lstm")
    one = shopkit.run(data=frame, overrides=overrides, folder=tmp_path / "one")
    two = shopkit.run(data=frame, overrides=[*overrides, *OVERRIDES], folder=tmp_path / "two")
    for name in ("auroc", "log_loss"):
        metric, other = (run.metrics["metrics"]["test"][name] for run in (one, two))
        assert metric["low"] <= other["value"] <= metric["high"]
        assert other["low"] <= metric["value"] <= other["high"]
    schemas = [shopkit.Predictor(run.path).description for run in (one, two)]
    assert schemas[0].schema == schemas[1].schema
    assert schemas[0].outputs[0]["name"] == schemas[1].outputs[0]["name"]
    files = [{path.relative_to(run.path).as_posix() for path in run.path.rglob("*") if path.is_file()} for run in (one, two)]
    assert files[0] == files[1]
    assert len((two.path / "history.csv").read_text().splitlines()) == len((one.path / "history.csv").read_text().splitlines())


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(line) for line in found.split()]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_the_one_that_started_it(tmp_path, how):
    process = start_training(tmp_path, 100_000, devices=2)
    wait_for(tmp_path / "checkpoint.npz", process)
    started = children(process.pid)
    assert len(started) >= 2
    process.send_signal(how)
    process.wait(60)
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").is_dir() and "Z" not in _state(pid) for pid in started):
        assert time.monotonic() < deadline, "processes are left"
        time.sleep(0.1)


def _state(pid: int) -> str:
    try:
        return next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("State"))
    except (OSError, StopIteration):
        return "Z"


@pytest.mark.slow
def test_a_script_needs_no_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import shopkit, sys\n"
        "print('begins')\n"
        f"from tests.shop import TABLE, visits\n"
        f"shopkit.run(data=visits(), overrides=[*TABLE, 'evaluation.baselines=[]', *{OVERRIDES}], folder=sys.argv[1])\n"
    )
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "run")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("begins") == 1
    assert "Warning" not in done.stderr


def test_a_machine_is_told_its_number(monkeypatch):
    assert node_rank(TrainerSettings()) == 0
    settings = TrainerSettings(nodes=2)
    for name in ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"trainer\.nodes is 2, and the environment lacks NODE_RANK, MASTER_ADDR, MASTER_PORT"):
        node_rank(settings)
    for name, value in (("NODE_RANK", "1"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "29500")):
        monkeypatch.setenv(name, value)
    assert node_rank(settings) == 1
    monkeypatch.setenv("NODE_RANK", "2")
    with pytest.raises(ConfigError, match=r"NODE_RANK is '2'; with trainer\.nodes=2 it must be from 0 to 1\."):
        node_rank(settings)


@pytest.mark.parametrize(
    ("settings", "copies"),
    [({}, 1), ({"nodes": 2}, 2), ({"devices": 4}, 5), ({"devices": 2, "nodes": 3}, 3), ({"devices": -1}, 9)],
)
def test_every_process_of_the_machine_counts_as_a_copy(settings, copies, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 8)
    assert n_copies(TrainerSettings(**settings)) == copies


@pytest.mark.slow
def test_two_machines_train_one_model_in_one_folder(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "shopkit", "run", "source=example", "view=table", "view.table=visits", "view.target=bought",
        "split=stratified", "hydra.run.dir=run", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.nodes=2",
        "trainer.max_epochs=3", "trainer.threads=1", "evaluation.baselines=[]", "evaluation.n_bootstrap=5",
    ]  # fmt: skip
    address = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "cwd": tmp_path}
    started = [subprocess.Popen(command, env={**address, "NODE_RANK": str(rank)}, **pipes) for rank in (1, 0)]
    said = [process.communicate(timeout=400)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert "took part in training mlp" in said[0]
    run = Run(tmp_path / "run")
    assert run.is_complete
    assert len((run.path / "history.csv").read_text().splitlines()) == 4
    assert not (tmp_path / "run.partial").exists()
