"""What the README says is run, so that it stays true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import shopkit
from shopkit.cli import VERBS
from tests.shop import QUICK, visits

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    found = [body for body in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if containing in body]
    assert len(found) == 1, f"{len(found)} blocks of {language} hold {containing!r}"
    return str(found[0])


def test_the_experiment_for_ones_own_table_runs_as_written(tmp_path: Path) -> None:
    text = block("yaml", "churn")
    assert len(text.strip().splitlines()) <= 10
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "churn.yaml").write_text(text)
    table = visits().rename(columns={"bought": "churned", "customer": "customer_id"})
    table.to_csv(tmp_path / "customers.csv", index=False)
    command = re.search(r"# shopkit (run .*)", text)
    assert command is not None
    done = subprocess.run(
        [sys.executable, "-m", "shopkit", *command[1].split(), *QUICK],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs" / "churn").iterdir()
    assert shopkit.Run.open(run).report_path.is_file()
    assert str(run.relative_to(tmp_path)) in done.stdout


def test_the_python_way_runs_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    frame = visits().rename(columns={"bought": "churned"})
    code = block("python", "shopkit.run(").replace('"split=stratified"', f'"split=stratified", *{QUICK!r}')
    names: dict[str, object] = {"dataframe": frame}
    exec(compile(code, "README.md", "exec"), names)
    run = names["run"]
    assert isinstance(run, shopkit.Run)
    assert set(run.metrics["metrics"]["test"]["auroc"]) == {"value", "low", "high"}


def test_every_verb_is_there_and_none_is_left_out() -> None:
    written = {line.split("`")[1].split()[1] for line in README.splitlines() if line.startswith("| `shopkit ")}
    written |= set(re.findall(r"`shopkit (\w+) ", README))
    assert written == set(VERBS)


def test_every_file_named_is_there() -> None:
    for target in re.findall(r"\]\(([\w/.]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("target", ["demo", "test", "test-slow", "check"])
def test_every_make_target_is_there(target: str) -> None:
    assert f"`make {target}`" in README or f"make {target} " in README
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
