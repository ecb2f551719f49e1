"""A run again from its own folder: the same bits, or what differs."""

from __future__ import annotations

from pathlib import Path

import pytest

import shopkit
from shopkit.cli import main
from shopkit.errors import ConfigError, RunError
from shopkit.reproduce import reproduce
from shopkit.runs import Run, file_hash, write_json
from tests.shop import TABLE, visits


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("made")
    visits(300).to_csv(folder / "visits.csv", index=False)
    overrides = ["source=files", f"source.path={folder / 'visits.csv'}", *TABLE, "trainer.threads=1", "evaluation.baselines=[]"]
    return shopkit.run(overrides=overrides, folder=folder / "run")


def test_the_same_again(made: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", str(made.path)]) == 0
    assert "Nothing differs" in capsys.readouterr().out
    again = Run.open(made.path.with_name("run_reproduced"))
    for name in ("predictions.parquet", "metrics.json", "model.onnx"):
        assert file_hash(again.path / name) == file_hash(made.path / name)
    determinism = made.manifest["determinism"]
    assert (determinism["device"], determinism["threads"], determinism["deterministic"]) == ("cpu", 1, True)
    assert determinism["cpu_cores"] >= 1
    assert made.manifest["seed"] == 0


def test_what_differs_is_said(made: Run, capsys: pytest.CaptureFixture[str]) -> None:
    visits(310, seed=1).to_csv(made.path.parent / "other.csv", index=False)
    arguments = ["reproduce", str(made.path), f"source.path={made.path.parent / 'other.csv'}", "trainer.max_epochs=1", "seed=3"]
    assert main(arguments) == 1
    out = capsys.readouterr().out
    for what in ("data ", "seed ", "predictions.parquet", "metric auroc"):
        assert f"\n{what}" in out


def test_versions_that_differ_are_said(made: Run) -> None:
    from shopkit.reproduce import differences

    other = Run(made.path.with_name("other"))
    other.path.mkdir()
    for path in made.path.iterdir():
        if path.is_file():
            (other.path / path.name).write_bytes(path.read_bytes())
    assert list(differences(made, other)) == []
    write_json(other.manifest_path, {**made.manifest, "versions": {**made.manifest["versions"], "torch": "1.0"}})
    (found,) = differences(made, other)
    assert (found.what, found.now) == ("versions torch", "1.0")


def test_what_is_refused(made: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="There is no run folder"):
        reproduce(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"modl\.x=3: There is no 'modl'"):
        reproduce(made.path, ["modl.x=3"])
    with pytest.raises(ConfigError, match=r"command line: model=mlp: a run has the components it had\. Run its experiment for"):
        reproduce(made.path, ["seed=1", "model=mlp"])
    with pytest.raises(RunError, match=r"does not hold the secret in source\.path\. Give it again: source\.path=…"):
        reproduce(made.path, ["source.path='db://•••@host'"])
