"""What the README says is run, so that it stays true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import shopkit
from shopkit.cli import VERBS, main
from tests.plugins import place
from tests.shop import QUICK, visits

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    found = [body for body in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if containing in body]
    assert len(found) == 1, f"{len(found)} blocks of {language} hold {containing!r}"
    return str(found[0])


def test_the_experiment_for_ones_own_table_runs_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    text = block("yaml", "churn")
    assert len(text.strip().splitlines()) <= 10
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "churn.yaml").write_text(text)
    table = visits().rename(columns={"bought": "churned", "customer": "customer_id"})
    table.to_csv(tmp_path / "customers.csv", index=False)
    command = re.search(r"# shopkit (run .*)", text)
    assert command is not None
    monkeypatch.chdir(tmp_path)
    code = main([*command[1].split(), *QUICK])
    output, errors = capfd.readouterr()
    assert code == 0, errors
    (run,) = (tmp_path / "runs" / "churn").iterdir()
    assert shopkit.Run.open(run).report_path.is_file()
    assert str(run.relative_to(tmp_path)) in output


def test_the_python_way_runs_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame = visits().rename(columns={"bought": "churned"})
    code = block("python", "shopkit.run(").replace('"split=stratified"', f'"split=stratified", *{QUICK!r}')
    names: dict[str, object] = {"dataframe": frame}
    exec(compile(code, "README.md", "exec"), names)
    run = names["run"]
    assert isinstance(run, shopkit.Run)
    assert set(run.metrics["metrics"]["test"]["auroc"]) == {"value", "low", "high"}


@pytest.mark.slow
def test_a_plugin_is_written_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = README.partition("## Write a plugin")[2].partition("\n## ")[0]
    steps = re.findall(r"```(bash|diff)\n(.*?)```", section, re.DOTALL)
    assert [language for language, _ in steps] == ["bash", "diff", "bash"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOPKIT_PLUGINS", "")
    environment = dict(os.environ)
    outputs = {}
    for language, text in steps:
        if language == "diff":
            subprocess.run(["git", "apply", "-"], input=text, text=True, cwd="shopkit-maxout", check=True)
            continue
        for line in text.strip().splitlines():
            if line == "pip install -e shopkit-maxout":
                environment = place(tmp_path / "shopkit-maxout", monkeypatch)
                continue
            command = [sys.executable, "-m", *line.split()]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            outputs[line] = done.stdout
    assert "model=maxout" in outputs["shopkit list models"]
    assert "model.n_pieces" in outputs["shopkit describe model maxout"]
    assert re.search(r"shopkit-maxout: \d+ passed(, \d+ skipped)?\.", outputs["shopkit plugins check shopkit-maxout"])
    assert len(list((tmp_path / "runs" / "maxout").iterdir())) == 2


def test_every_verb_is_there_and_none_is_left_out() -> None:
    written = {line.split("`")[1].split()[1] for line in README.splitlines() if line.startswith("| `shopkit ")}
    written |= set(re.findall(r"`shopkit (\w+) ", README))
    assert written == set(VERBS)


def test_every_file_named_is_there() -> None:
    for target in re.findall(r"\]\(([\w/.]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("target", ["demo", "test", "test-slow", "check", "docs"])
def test_every_make_target_is_there(target: str) -> None:
    assert f"`make {target}`" in README or f"make {target} " in README
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
