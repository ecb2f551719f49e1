"""Files of every format that was ever written are still read, and answer as they did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import pytest

import shopkit
from shopkit.errors import ArtifactError
from shopkit.report import compare, render
from shopkit.runs import Run
from shopkit.runtime import artifact
from tests.golden.make import OVERRIDES, SMALL
from tests.shop import visits

FILES = sorted(Path(__file__).parent.glob("v*/*.onnx"))
RUNS = sorted(Path(__file__).parent.glob("v*/run"))
"""Each made by the shopkit that wrote its format first."""


def test_there_are_files_of_every_format_that_is_read() -> None:
    formats = {int(path.parent.name.removeprefix("v")) for path in FILES}
    assert formats == set(range(artifact.OLDEST_FORMAT, artifact.FORMAT_VERSION + 1))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_golden_file_answers_as_it_did(path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    predictor = shopkit.Predictor(path)
    answers = predictor(expected["rows"])
    one_by_one = [predictor(row) for row in expected["rows"]]
    for found in (answers, one_by_one):
        for answer, wanted in zip(found, expected["answers"], strict=True):
            assert answer.keys() == wanted.keys()
            for name, value in wanted.items():
                assert answer[name] == (pytest.approx(value, rel=1e-5) if isinstance(value, float) else value)


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.parent.name)
def test_a_run_of_before_has_a_report_is_compared_and_started_from(path: Path, tmp_path: Path) -> None:
    earlier = Run.open(shutil.copytree(path, tmp_path / "earlier"))
    assert [written.name for written in render(earlier)] == ["report.html", "model_card.md"]
    page = (earlier.path / "report.html").read_text(encoding="utf-8")
    assert all(f"<b>{name}</b>" in page or f">{name}<" in page for name in ("price", "pages", "channel"))
    overrides = [*OVERRIDES, *SMALL, "evaluation.n_bootstrap=5", f"model.init_from={earlier.path}"]
    later = shopkit.run(data=visits(200), overrides=overrides, folder=tmp_path / "later")
    compared = compare([earlier, later])
    assert {row.name for row in compared.metrics} >= {"auroc", "log_loss"}
    assert ("model.init_from", ("", str(earlier.path))) in compared.differences


def remade(path: Path, tmp_path: Path, version: object) -> Path:
    model = onnx.load(path)
    facts = json.loads(model.metadata_props[0].value)
    model.metadata_props[0].value = json.dumps({**facts, "format_version": version})
    onnx.save(model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (99, r"has artifact format 99, this shopkit reads format 1\. Install a newer shopkit: pip install -U shopkit"),
        (0, r"has artifact format 0, this shopkit reads format 1\. Export it again with this shopkit"),
        ("two", r"has artifact format two, this shopkit reads format 1\."),
    ],
)
def test_another_format_is_refused_with_what_to_do(tmp_path: Path, version: object, said: str) -> None:
    with pytest.raises(ArtifactError, match=said):
        shopkit.Predictor(remade(FILES[0], tmp_path, version))


def test_a_range_of_formats_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "FORMAT_VERSION", 3)
    with pytest.raises(ArtifactError, match=r"has artifact format 4, this shopkit reads formats 1 to 3"):
        shopkit.Predictor(remade(FILES[0], tmp_path, 4))
