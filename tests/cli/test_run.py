from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

from shopkit.cli import VERBS
from shopkit.errors import DataError
from tests.cli.conftest import Pipeline, Shopkit


def test_a_run_gets_a_partial_folder_and_prints_what_came_out(shopkit: Shopkit, pipeline: Pipeline, here: Path) -> None:
    argv = sys.argv
    code, out, err = shopkit("run", "+experiment=purchase_intent", "model.dropout=0.2", "hydra.run.dir=runs/one")
    assert (code, err) == (0, "")
    ((experiment, folder),) = pipeline.calls
    assert experiment.name == "purchase_intent"
    assert experiment.model.settings.dropout == 0.2
    assert folder == here / "runs" / "one.partial"
    assert out == "train     mlp with [3] parameters  (1.2 s)\nruns/one\nruns/one/model.onnx\n"
    assert (here / "runs" / "one" / ".hydra" / "overrides.yaml").is_file()
    assert sys.argv is argv
    assert "HYDRA_FULL_ERROR" not in os.environ
    assert gc.isenabled()


def test_on_a_terminal_it_says_what_to_do_with_what_came_out(
    shopkit: Shopkit, pipeline: Pipeline, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shopkit.cli.run.is_terminal", lambda: True)
    _, out, _ = shopkit("run", "+experiment=purchase_intent", "hydra.run.dir=runs/one")
    assert out.splitlines()[-3:] == [
        "",
        "look at   runs/one/report.html  (in a browser: how good it is, and how to call the file)",
        "use       runs/one/model.onnx",
    ]


def test_the_folder_is_named_after_experiment_and_time(shopkit: Shopkit, pipeline: Pipeline, here: Path) -> None:
    shopkit("run", "experiment=basket_value")
    folder = pipeline.calls[0][1]
    assert folder.parent == here / "runs" / "basket_value"
    assert folder.name.endswith(".partial")


def test_a_sweep_runs_every_combination(shopkit: Shopkit, pipeline: Pipeline, here: Path) -> None:
    code, out, _ = shopkit("run", "-m", "+experiment=purchase_intent", "model=mlp,linear", "seed=1,2", "hydra.sweep.dir=runs/all")
    assert code == 0
    assert [(experiment.model.name, experiment.seed) for experiment, _ in pipeline.calls] == [
        ("mlp", 1), ("mlp", 2), ("linear", 1), ("linear", 2),
    ]  # fmt: skip
    assert sorted(path.name for path in (here / "runs" / "all").iterdir() if path.is_dir()) == ["0", "1", "2", "3"]
    assert "Run 2: experiment=purchase_intent model=linear seed=1\n" in out


def test_a_sweep_is_refused_before_its_first_job(shopkit: Shopkit, pipeline: Pipeline, here: Path) -> None:
    code, _, err = shopkit("run", "--multirun", "model=mlp,mpl")
    assert (code, pipeline.calls) == (2, [])
    assert (
        err == "Error: command line: model=mpl: There is no model 'mpl'. Did you mean 'mlp'? Models: bert, linear, lstm, mlp.\n"
    )
    code, _, err = shopkit("run", "hydra.mode=MULTIRUN", "seed=1,-1")
    assert code == 2
    assert "seed must lie between" in err
    assert not (here / "runs").exists()


def test_a_failing_run_is_one_line_and_its_exit_code(shopkit: Shopkit, pipeline: Pipeline, here: Path) -> None:
    pipeline.error = DataError("There is no file x.csv.")
    code, _, err = shopkit("run", "hydra.run.dir=runs/one")
    assert (code, err) == (1, "Error: There is no file x.csv.\n")
    assert list(here.iterdir()) == []  # nothing had been done


@pytest.mark.parametrize("arguments", [["hydra.run.dir=a/b/c"], ["-m", "seed=1,2"], ["-m", "seed=1,2", "hydra.sweep.dir=a/b"]])
def test_of_what_fails_at_once_no_empty_folders_are_left(
    shopkit: Shopkit, pipeline: Pipeline, here: Path, arguments: list[str]
) -> None:
    pipeline.error = DataError("There is no file x.csv.")
    assert shopkit("run", *arguments)[0] == 1
    assert list(here.iterdir()) == []
    (here / "a").mkdir()  # one that was there is not the run's to remove
    assert shopkit("run", *arguments)[0] == 1
    assert [*here.rglob("*")] == [here / "a"]


def test_a_folder_that_only_hydra_can_name(shopkit: Shopkit, pipeline: Pipeline, here: Path) -> None:
    assert shopkit("run", "hydra.run.dir=runs/${hydra:job.name}")[0] == 0
    pipeline.error = DataError("There is no file x.csv.")
    assert shopkit("run", "hydra.run.dir=others/${hydra:job.name}")[0] == 1
    assert list((here / "others").iterdir()) == []


def begun(folder: Path) -> Path:
    """What a run makes before its first stage."""
    (folder / "work").mkdir(parents=True)
    for name in ("config.yaml", "identity.json", ".lock"):
        (folder / name).touch()
    return folder


def test_of_a_run_that_fails_in_its_first_stage_nothing_is_left(shopkit: Shopkit, pipeline: Pipeline, here: Path) -> None:
    pipeline.error = DataError("view.target names column 'x', which table 'data' does not have.")
    begun(here / "runs" / "one.partial")
    assert shopkit("run", "hydra.run.dir=runs/one")[0] == 1
    assert list((here / "runs").iterdir()) == []


@pytest.mark.parametrize("name", ["stages", "quarantine.parquet"])
def test_a_run_that_fails_on_its_way_is_kept(shopkit: Shopkit, pipeline: Pipeline, here: Path, name: str) -> None:
    pipeline.error = DataError("There is no file x.csv.")
    (begun(here / "runs" / "one.partial") / name).touch()
    assert shopkit("run", "hydra.run.dir=runs/one")[0] == 1
    assert (here / "runs" / "one.partial" / "config.yaml").is_file()


def test_a_failing_sweep_goes_on_and_says_how_many_failed(shopkit: Shopkit, pipeline: Pipeline) -> None:
    pipeline.error = DataError("There is no file x.csv.")
    code, _, err = shopkit("run", "-m", "seed=1,2,3")
    assert (code, len(pipeline.calls)) == (1, 3)
    assert err.splitlines()[-1] == "Error: 3 runs of the sweep failed; each said why above."
    assert err.count("There is no file x.csv.") == 3


def test_a_failure_that_is_no_message_keeps_its_traceback(shopkit: Shopkit, pipeline: Pipeline) -> None:
    pipeline.error = ZeroDivisionError("a bug")
    code, _, err = shopkit("run")
    assert code == 1
    assert err.startswith("Traceback")
    assert err.endswith("ZeroDivisionError: a bug\n")


def test_ctrl_c_is_one_line(shopkit: Shopkit, pipeline: Pipeline, here: Path) -> None:
    pipeline.error = KeyboardInterrupt()
    code, _, err = shopkit("run", "hydra.run.dir=runs/one")
    assert (code, err) == (130, "Interrupted.\n")
    assert (here / "runs" / "one.partial").is_dir()


def test_a_config_error_leaves_no_folder(shopkit: Shopkit, pipeline: Pipeline, here: Path) -> None:
    code, out, err = shopkit("run", "+experiment=purchase_intent", "model.members=two")
    assert (code, out) == (2, "")
    assert err == "Error: command line: model.members=two: must be a whole number, got 'two'.\n"
    assert list(here.iterdir()) == []


def test_a_folder_that_cannot_be_written(shopkit: Shopkit, pipeline: Pipeline, here: Path) -> None:
    (here / "taken").write_text("a file")
    code, _, err = shopkit("run", "hydra.run.dir=taken/one")
    assert code == 1
    assert err.startswith("Error: Cannot write ")
    assert err.endswith("taken/one.partial: Not a directory. Choose another folder with hydra.run.dir=…\n")


def test_cfg_prints_the_configuration_once_checked(shopkit: Shopkit, pipeline: Pipeline) -> None:
    code, out, _ = shopkit("run", "+experiment=purchase_intent", "model=linear", "--cfg", "job")
    assert code == 0
    assert "model:\n  name: linear\n  l2: auto\n" in out
    assert shopkit("run", "--cfg", "job", "model.hiden=3")[0] == 2
    assert shopkit("run", "--cfg", "job", "--package", "model")[1].startswith("# @package model\nname: mlp\n")


def test_info_and_hydra_help_are_hydras(shopkit: Shopkit) -> None:
    code, out, _ = shopkit("run", "--info", "searchpath")
    assert code == 0
    assert "Config search path" in out


def test_one_more_folder_of_configurations(shopkit: Shopkit, pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "more" / "experiment"
    folder.mkdir(parents=True)
    (folder / "extra.yaml").write_text("# @package _global_\nname: extra\n")
    assert shopkit("run", "--config-dir", str(folder.parent), "experiment=extra", "hydra.run.dir=a")[0] == 0
    assert shopkit("run", f"-cd={folder.parent}", "experiment=extra", "hydra.run.dir=b")[0] == 0
    assert [experiment.name for experiment, _ in pipeline.calls] == ["extra", "extra"]
    code, _, err = shopkit("run", "--config-dir", "nowhere", "experiment=extra")
    assert (code, err) == (2, "Error: There is no folder nowhere of configurations.\n")


def test_another_folder_and_file_to_start_from(shopkit: Shopkit, pipeline: Pipeline, tmp_path: Path) -> None:
    import shutil

    from shopkit.config.folders import core_folder

    shutil.copytree(core_folder(), tmp_path / "core")
    (tmp_path / "core" / "nightly.yaml").write_text("defaults:\n  - config\n  - _self_\nname: nightly\n")
    assert shopkit("run", "--config-path", str(tmp_path / "core"), "--config-name", "nightly")[0] == 0
    assert pipeline.calls[0][0].name == "nightly"
    code, _, err = shopkit("run", "--config-name", "nigthly")
    assert code == 2
    assert err.startswith("Error: There is no configuration 'nigthly'.")


def test_a_misspelt_option(shopkit: Shopkit) -> None:
    code, _, err = shopkit("run", "--multrun")
    assert code == 2
    assert err.startswith("Error: shopkit run: unrecognized arguments: --multrun. Did you mean '--multirun'?")


def complete(shopkit: Shopkit, monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    monkeypatch.setenv("COMP_LINE", line)
    code, out, _ = shopkit("-sc", "query=bash")
    assert code == 0
    return out.split()


def test_completion(shopkit: Shopkit, monkeypatch: pytest.MonkeyPatch) -> None:
    assert complete(shopkit, monkeypatch, "shopkit ru") == [*VERBS]
    assert complete(shopkit, monkeypatch, "shopkit predict x") == []
    assert complete(shopkit, monkeypatch, "shopkit run model=") == ["model=bert", "model=linear", "model=lstm", "model=mlp"]
    assert complete(shopkit, monkeypatch, "shopkit run exporter=") == ["exporter=onnx"]
    assert complete(shopkit, monkeypatch, "shopkit run +experiment=pur") == ["+experiment=purchase_intent"]
    assert complete(shopkit, monkeypatch, "shopkit run +experiment=purchase_intent model.d") == ["model.dropout="]
    assert complete(shopkit, monkeypatch, "shopkit run model=linear model.dropout=0.1 model.l") == ["model.l2="]
    assert "experiment=" in complete(shopkit, monkeypatch, "shopkit run ")


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completion_is_installed_for_shopkit(shopkit: Shopkit, shell: str) -> None:
    code, out, _ = shopkit("run", "-sc", f"install={shell}")
    assert code == 0
    assert "shopkit" in out


def test_a_multirun_with_a_search_is_a_search(shopkit: Shopkit, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr("shopkit.cli.search.run", lambda composer, typed, folder: calls.append([*typed]) or 0)
    assert shopkit("run", "-m", "+experiment=purchase_intent", "hparams_search=mlp", "n_trials=3")[0] == 0
    assert calls == [["+experiment=purchase_intent", "hparams_search=mlp", "n_trials=3"]]
    code, _, err = shopkit("run", "+experiment=purchase_intent", "hparams_search=mlp", "n_trials=3")
    assert code == 2
    assert "hparams_search tries many settings, so it makes many runs: use shopkit search, or add --multirun" in err
