"""Sweeps whose jobs a launcher starts."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from shopkit.runs import Run

JOBLIB = importlib.util.find_spec("hydra_plugins") and importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher")


@pytest.mark.slow
@pytest.mark.skipif(not JOBLIB, reason="hydra-joblib-launcher is not installed")
def test_two_jobs_side_by_side_make_complete_runs_and_one_page(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "shopkit", "run", "--multirun", "source=example", "view=table", "view.table=visits",
        "view.target=bought", "split=stratified", "seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2",
        "hydra.sweep.dir=all", "trainer.max_epochs=2", "trainer.threads=1", "evaluation.baselines=[]", "evaluation.n_bootstrap=5",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    runs = [Run(path) for path in sorted((tmp_path / "all").iterdir()) if path.is_dir()]
    assert [run.is_complete for run in runs] == [True, True]
    assert {run.manifest["seed"] for run in runs} == {0, 1}
    assert (tmp_path / "all" / "sweep.html").is_file()
