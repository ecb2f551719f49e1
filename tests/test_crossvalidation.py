"""Cross-validation through its public door: folds, means, what a killed one leaves, the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import shopkit
from shopkit.cli import main
from shopkit.config.composer import Composer
from shopkit.crossvalidation import CrossValidation, summarise
from shopkit.errors import ConfigError, RunError
from shopkit.evaluation.evaluate import about
from shopkit.evaluation.folds import mean_of_folds, student_quantile
from shopkit.registry import load_registry
from shopkit.runs import lock
from shopkit.tasks.binary import Binary
from shopkit.tasks.regression import Regression
from shopkit.tasks.settings import BinarySettings, RegressionSettings
from tests.shop import TABLE, visits

OVERRIDES = [*TABLE, "evaluation.baselines=[]", "features.ignore=[amount]", "model=linear"]
QUICKEST = [*OVERRIDES, "evaluation.n_bootstrap=2", "evaluation.latency_seconds=0.001"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> CrossValidation:
    folder = tmp_path_factory.mktemp("cv") / "it"
    return shopkit.cross_validate(data=visits(300), overrides=OVERRIDES, n_folds=3, folder=folder)


def test_each_fold_is_a_run_and_all_share_the_examples(done: CrossValidation) -> None:
    assert sorted(path.name for path in done.path.iterdir()) == [
        "cv.html", "cv.json", "fold-0", "fold-1", "fold-2", "identity.json",
    ]  # fmt: skip
    tested = []
    for fold, run in enumerate(done.runs):
        run.verify()
        assert f"fold: {fold}" in run.config_path.read_text()
        tested.append(run.metrics["n_rows"]["test"])
    assert sum(tested) == 300
    assert len({run.examples_path.stat().st_ino for run in done.runs}) == 1


def test_means_are_those_of_the_folds(done: CrossValidation) -> None:
    auroc = done.facts["metrics"]["auroc"]
    values = [run.metrics["metrics"]["test"]["auroc"]["value"] for run in done.runs]
    assert auroc["value"] == pytest.approx(np.mean(values))
    assert auroc["sd"] == pytest.approx(np.std(values, ddof=1))
    sizes = [run.metrics["n_rows"] for run in done.runs]
    ratio = np.mean([size["test"] / size["train"] for size in sizes])
    half = stats.t.ppf(0.975, 2) * np.std(values, ddof=1) * np.sqrt(1 / 3 + ratio)
    assert auroc["high"] == pytest.approx(min(np.mean(values) + half, 1))
    assert [fold["value"] for fold in auroc["folds"]] == values


def test_the_page_has_every_metric_and_links_to_every_fold(done: CrossValidation) -> None:
    page = done.page.read_text()
    for fold in range(3):
        assert f'href="fold-{fold}/report.html"' in page
    assert page.count("<figure>") == len(done.facts["metrics"])
    assert "over 3 folds" in page


def test_finished_folds_are_not_run_again(done: CrossValidation, tmp_path: Path) -> None:
    import shutil

    partial = tmp_path / "it.partial"
    shutil.copytree(done.path, partial)
    for name in ("cv.json", "cv.html"):
        (partial / name).unlink()
    shutil.rmtree(partial / "fold-2")
    before = (partial / "fold-0" / "manifest.json").stat().st_mtime_ns
    said: list[tuple[str, str]] = []
    again = shopkit.cross_validate(
        data=visits(300),
        overrides=[*OVERRIDES, "resume=true"],
        n_folds=3,
        folder=tmp_path / "other",
        announce=lambda stage, line, seconds: said.append((stage, line)),
    )
    assert again.path == tmp_path / "it"
    assert [line for stage, line in said if stage == "fold"] == ["1 of 3", "2 of 3", "3 of 3"]
    assert sum(stage == "train" for stage, _ in said) == 1
    assert (again.path / "fold-0" / "manifest.json").stat().st_mtime_ns == before
    assert again.facts == done.facts
    found = shopkit.cross_validate(data=visits(300), overrides=[*OVERRIDES, "resume=true"], n_folds=3, folder=tmp_path / "new")
    assert found.path == again.path


def test_a_folder_holds_one_cross_validation(tmp_path: Path) -> None:
    said: list[str] = []
    is_second: list[bool] = []

    def stop(stage: str, line: str, seconds: float) -> None:
        if stage == "stopped":
            said.append(line)
        is_second.append(line == "2 of 2")
        if any(is_second) and stage == "split":
            raise KeyboardInterrupt

    def again(*more: str) -> CrossValidation:
        return shopkit.cross_validate(data=visits(150), overrides=[*QUICKEST, *more], n_folds=2, folder=tmp_path / "it")

    with pytest.raises(KeyboardInterrupt):
        shopkit.cross_validate(data=visits(150), overrides=QUICKEST, n_folds=2, folder=tmp_path / "it", announce=stop)
    assert said == [f"{tmp_path / 'it.partial'} is kept; start the same command with resume=true to go on"]
    before = (tmp_path / "it.partial" / "identity.json").read_bytes()
    with pytest.raises(RunError, match=r"holds an unfinished cross-validation of another configuration, other data or other"):
        again("seed=7")
    with pytest.raises(RunError, match=r"holds an unfinished cross-validation of another configuration, other data or other"):
        again("seed=7", "resume=true")
    with pytest.raises(RunError, match=r"holds an unfinished cross-validation of another"):
        shopkit.run(data=visits(150), overrides=QUICKEST, folder=tmp_path / "it")
    with pytest.raises(RunError, match=r"holds this cross-validation, unfinished\. Add resume=true to go on with it"):
        again()
    assert (tmp_path / "it.partial" / "identity.json").read_bytes() == before
    assert again("resume=true").path == tmp_path / "it"


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    visits(240).to_csv("visits.csv", index=False)
    overrides = ["source=files", "source.path=visits.csv", "view.time=at", "split=time", "name=forward", "cv=2"]
    chosen = [override for override in OVERRIDES if not override.startswith("split=")]
    assert main(["run", *chosen, *overrides]) == 0
    out = capsys.readouterr().out
    assert "fold      2 of 2" in out
    assert "Metric             Mean" in out
    (folder,) = (tmp_path / "runs" / "forward").iterdir()
    assert "fold-1" in {path.name for path in folder.iterdir()}
    assert not folder.name.endswith(".partial")
    assert json.loads((folder / "cv.json").read_text())["split"] == "time"
    assert "later folds learn from more" in (folder / "cv.html").read_text()


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cv must be a number of folds, at least 2, or 0 for one run; got 1"):
        shopkit.cross_validate(data=visits(50), overrides=OVERRIDES, n_folds=1, folder=tmp_path / "a")
    with pytest.raises(ConfigError, match=r"cv is 3, which makes several runs: shopkit\.cross_validate"):
        shopkit.run(data=visits(50), overrides=[*OVERRIDES, "cv=3"], folder=tmp_path / "a")
    with pytest.raises(ConfigError, match=r"split=given names the parts itself"):
        shopkit.cross_validate(data=visits(50), overrides=[*OVERRIDES, "split=given"], folder=tmp_path / "a")
    (tmp_path / "b.partial").mkdir()
    with lock(tmp_path / "b.partial"), pytest.raises(RunError, match=r"Another process is working in .*b\.partial"):
        shopkit.cross_validate(data=visits(50), overrides=OVERRIDES, folder=tmp_path / "b")


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 30])
def test_quantiles_are_those_of_student(degrees: int) -> None:
    for share in (0.5, 0.9, 0.975, 0.995):
        assert student_quantile(share, degrees) == pytest.approx(stats.t.ppf(share, degrees), abs=1e-6)


def test_means_of_few_or_no_values() -> None:
    assert mean_of_folds([{"value": None}], 0.2)["value"] is None
    assert mean_of_folds([{"value": 0.5}, {"value": None}], 0.2) == {
        "value": 0.5, "low": None, "high": None, "sd": None, "folds": [{"value": 0.5}, {"value": None}],
    }  # fmt: skip


def test_an_interval_ends_where_the_metric_does_and_nowhere_else() -> None:
    measured = {"auroc": (0.1, 0.9), "mae": (1.0, 9.0), "r2": (-0.5, 0.9), "surprise": (9.8, 10.1)}
    of_run = {
        "n_rows": {"train": 10, "test": 10},
        "kind": "other",
        "about": {
            "auroc": about(Binary(BinarySettings()), "auroc"),
            **{name: about(Regression(RegressionSettings()), name) for name in ("mae", "r2", "surprise")},
        },
    }
    runs = [{**of_run, "metrics": {"test": {name: {"value": values[i]} for name, values in measured.items()}}} for i in (0, 1)]
    found = summarise(Composer.of(load_registry()).compose([*TABLE]), runs)["metrics"]
    assert (found["auroc"]["low"], found["auroc"]["high"]) == (0, 1)
    assert found["mae"]["low"] == 0
    assert found["mae"]["high"] > 9
    assert found["r2"]["low"] < -0.5
    assert found["r2"]["high"] == 1
    assert found["surprise"]["low"] < 9.8
    assert found["surprise"]["high"] > 10.1
