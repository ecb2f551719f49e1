"""The log holds a line for each event, and never costs a run."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shopkit
from shopkit.registry import load_registry
from shopkit.runs import Run, write_json

from shopkit_example_tracker.settings import FILE_VARIABLE, TrackerSettings
from shopkit_example_tracker.tracker import append, headline, track


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "logs" / "tracker.jsonl"
    monkeypatch.setenv(FILE_VARIABLE, str(path))
    return path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    folder = tmp_path / "runs" / "made"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("name: churn\n", encoding="utf-8")
    write_json(folder / "identity.json", {"identity": "abc"})
    write_json(folder / "metrics.json", {"metrics": {"test": {"auroc": {"value": 0.9, "low": 0.8, "high": 1.0}}}})
    return Run(folder)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


def test_hook_module_imports_nothing_heavy() -> None:
    code = (
        "import sys; import shopkit_example_tracker.hooks; "
        "print(sorted({'numpy', 'torch', 'omegaconf', 'shopkit_example_tracker.tracker'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_installed() -> None:
    assert "shopkit-example-tracker" in [origin.distribution for origin in load_registry().plugins]


def test_start_and_finish(log: Path, run: Run) -> None:
    hook = load_registry().hook
    hook.shopkit_run_started(run=run)
    hook.shopkit_run_finished(run=run)
    started, finished = lines(log)
    assert started | {"time": ""} == {
        "time": "",
        "event": "started",
        "experiment": "churn",
        "identity": "abc",
        "folder": str(run.path.resolve()),
    }
    assert finished["metrics"] == {"auroc": 0.9}
    assert str(finished["time"]).endswith("+00:00")


def test_a_real_run(log: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=300), "y": rng.random(300) < 0.4})
    overrides = ["view=table", "view.target=y", "split=stratified", "model=linear", "evaluation.baselines=[]"]
    overrides += ["evaluation.n_bootstrap=0", "evaluation.latency_seconds=0.01", "name=made"]
    done = shopkit.run(data=table, overrides=overrides, folder=tmp_path / "run")
    started, finished = lines(log)
    assert (started["event"], finished["event"], finished["experiment"]) == ("started", "finished", "made")
    assert started["folder"] == f"{done.path}.partial"
    assert finished["folder"] == str(done.path)
    assert finished["identity"] == started["identity"] == done.manifest["identity"]
    assert finished["metrics"]["auroc"] == done.metrics["metrics"]["test"]["auroc"]["value"]


def test_log_that_cannot_be_written_is_a_warning(tmp_path: Path, run: Run) -> None:
    with pytest.warns(RuntimeWarning, match=r"The run log .* has no line for this run \(started\): .*Set SHOPKIT_TRACKER_FILE"):
        track("started", run, TrackerSettings(str(tmp_path)))


def test_run_without_metrics_is_a_warning(log: Path, run: Run) -> None:
    run.metrics_path.unlink()
    with pytest.warns(RuntimeWarning, match="no line for this run"):
        track("finished", run)
    assert not log.exists()


def test_empty_file_keeps_no_log(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    track("started", run, TrackerSettings.from_environment({FILE_VARIABLE: ""}))
    assert not (tmp_path / "runs" / "tracker.jsonl").exists()


def test_default_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    track("started", run, TrackerSettings.from_environment({}))
    assert len(lines(tmp_path / "runs" / "tracker.jsonl")) == 1


def test_metrics_without_a_value_are_null() -> None:
    test = {name: {"value": value} for name, value in (("a", float("nan")), ("b", None), ("c", 1.0), ("d", 2.0))}
    assert headline({"metrics": {"test": test}}) == {"a": None, "b": None, "c": 1.0}


def test_lines_of_runs_side_by_side_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: append(path, {"at": at, "text": "x" * 500}), range(200)))
    assert sorted(int(str(found["at"])) for found in lines(path)) == list(range(200))
