"""Exports beside a run's own file: what is refused, what is added later, what is sealed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import shopkit
from shopkit import provenance
from shopkit.cli import main
from shopkit.cli.export import specs
from shopkit.errors import ArtifactError, ConfigError, RunError
from shopkit.exporters.base import deciding
from shopkit.models.base import Arrays
from shopkit.pipeline import add_exports
from shopkit.runs import Run, file_hash, lock, write_json
from shopkit.runtime import Predictor
from shopkit.runtime.openvino import OpenVINOPredictor
from shopkit.stages import Way
from shopkit.stages.export import changes
from shopkit.stages.way import WORK
from shopkit.training import checkpoint
from tests.handmade import fitted_task
from tests.shop import TABLE, visits

OVERRIDES = [
    *TABLE, "model=linear", "evaluation.baselines=[]", "evaluation.n_bootstrap=2", "evaluation.latency_seconds=0.001",
    "features.ignore=[at,amount]",
]  # fmt: skip
WITH_WEIGHTS = ["model=mlp", "model.hidden=[8]", "trainer.max_epochs=1"]
REFUSED = "{name: int8, max_difference: 1e-9}"


def run(folder: Path, *more: str, told: list[tuple[str, str]] | None = None) -> Run:
    def announce(stage: str, line: str, seconds: float) -> None:
        if told is not None:
            told.append((stage, line))

    return shopkit.run(data=visits(200), overrides=[*OVERRIDES, *more], folder=folder, announce=announce)


def exports(run: Run) -> dict[str, dict[str, object]]:
    facts = run.facts("exports")
    assert facts is not None
    return dict(facts["exports"])


def test_a_refused_export_is_told_and_the_run_ends_well(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    done = run(tmp_path / "it", f"exports=[{REFUSED},optimized]", told=told)
    done.verify()
    assert done.metrics["metrics"]["test"]["auroc"]["value"] > 0.5
    assert list(exports(done)) == ["int8", "optimized"]
    reason = exports(done)["int8"]["refused"]
    assert "more than max_difference=1e-09 of the spread" in str(reason)
    assert [line for stage, line in told if stage == "warning"] == [f"exports: int8 was refused and left out: {reason}"]
    assert [line.split(",")[0] for stage, line in told if stage == "exports"] == ["exports/optimized/model.optimized.onnx"]
    assert {path.name for path in done.exports_path.iterdir()} == {"optimized"}
    assert "Asked for beside it, and refused:\n\n- **int8**: model.int8.onnx" in done.card_path.read_text()
    assert "Exports that were refused" in done.report_path.read_text()


def test_an_exporter_that_lacks_its_package_is_refused_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "openvino", None)
    done = run(tmp_path / "it", "exports=[openvino]")
    assert "OpenVINO is not installed" in str(exports(done)["openvino"]["refused"])


def test_without_exports_nothing_is_said_of_them(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    done = run(tmp_path / "it", told=told)
    assert [stage for stage, _ in told] == ["examples", "split", "features", "train", "export", "evaluate", "report"]
    assert exports(done) == {}
    assert not done.exports_path.exists()


def test_each_export_has_its_own_folder(tmp_path: Path) -> None:
    done = run(tmp_path / "it", "exports=[onnx,{name: triton, model_name: onnx},optimized]")
    assert {name: one["path"] for name, one in exports(done).items()} == {
        "onnx": "exports/onnx/model.onnx",
        "triton": "exports/triton",
        "optimized": "exports/optimized/model.optimized.onnx",
    }
    done.verify()


def test_a_refused_export_leaves_nothing_of_an_earlier_one(tmp_path: Path) -> None:
    done = run(tmp_path / "it", "exports=[{name: int8, max_loss: 0.5}]", *WITH_WEIGHTS)
    assert (done.exports_path / "int8").is_dir()
    again = add_exports(done.path, [{"name": "int8", "max_difference": 1e-9}])
    assert "refused" in exports(again)["int8"]
    assert list(done.exports_path.iterdir()) == []
    again.verify()


def test_how_sure_a_change_is_follows_from_the_rows() -> None:
    rng = np.random.default_rng(0)
    task = fitted_task()
    target = rng.integers(0, 2, 450).astype(np.float32)
    scores = (rng.normal(size=450) + target).astype(np.float32)[:, None]
    before = deciding(task)(scores)
    after = {**before, "label": before["label"].copy()}
    tipped = np.flatnonzero(before["label"] == "yes")[:4]
    after["label"][tipped] = "no"
    arrays = Arrays({}, target)
    assert {(one.low, one.high) for one in changes(task, before, before, arrays, 0).values()} == {(0.0, 0.0)}
    found = changes(task, before, after, arrays, 0)
    assert list(found) == list(task.described)
    assert (found["auroc"].low, found["auroc"].high) == (0.0, 0.0)
    recall = found["recall"]
    assert recall.low < recall.after - recall.before < recall.high <= 0
    assert recall == changes(task, before, after, arrays, 0)["recall"]


class BrokenOff(BaseException):
    """As if the process ended here."""


def break_off_before(stage: str, monkeypatch: pytest.MonkeyPatch, go: Callable[[], Run]) -> None:
    original = Way._stage

    def wrapped(self: Way, name: str) -> None:
        if name == stage:
            raise BrokenOff
        original(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(Way, "_stage", wrapped)
        with pytest.raises(BrokenOff):
            go()


@pytest.mark.parametrize("stage", ["evaluate", "report"])
def test_resuming_with_other_exports_makes_only_those(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    break_off_before(stage, monkeypatch, lambda: run(tmp_path / "it", "exports=[optimized]"))
    told: list[tuple[str, str]] = []
    done = run(tmp_path / "it", "exports=[optimized,triton]", "resume=true", told=told)
    assert [name for name, _ in told if name in ("examples", "split", "features", "train", "export")] == []
    assert [line.split(",")[0] for name, line in told if name == "exports"] == ["exports/triton"]
    assert list(exports(done)) == ["optimized", "triton"]
    done.verify()


def test_an_export_with_other_settings_takes_the_place_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    break_off_before("evaluate", monkeypatch, lambda: run(tmp_path / "it", "exports=[{name: triton, model_name: one}]"))
    done = run(tmp_path / "it", "exports=[{name: triton, model_name: two}]", "resume=true")
    assert [path.name for path in (done.exports_path / "triton").iterdir()] == ["two"]


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    pytest.importorskip("openvino")
    exports = "exports=[optimized,openvino,{name: triton, model_name: visits}]"
    return run(tmp_path_factory.mktemp("runs") / "it", exports, *WITH_WEIGHTS)


def flipped(path: Path) -> None:
    """One bit of the last weight's exponent, or thereabouts."""
    data = bytearray(path.read_bytes())
    data[-2] ^= 0x40
    path.write_bytes(data)


@pytest.fixture
def finished(sealed: Run, tmp_path: Path) -> Run:
    """A copy to change."""
    return Run(Path(shutil.copytree(sealed.path, tmp_path / "finished")))


def test_a_finished_run_is_exported_again_as_it_would_have_been(finished: Run, tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    before = finished.manifest["files"]
    settings = {"name": "triton", "model_name": "again"}
    done = add_exports(
        finished.path,
        [settings, {"name": "int8", "max_loss": 0.5}],
        announce=lambda stage, line, seconds: told.append((stage, line)),
    )
    assert [stage for stage, _ in told] == ["exports", "report"]
    assert list(exports(done)) == ["optimized", "openvino", "triton", "int8"]
    done.verify()
    after = done.manifest["files"]
    assert set(before.keys() ^ after.keys()) == {
        "exports/triton/visits/config.pbtxt",
        "exports/triton/visits/1/model.onnx",
        "exports/triton/again/config.pbtxt",
        "exports/triton/again/1/model.onnx",
        "exports/int8/model.int8.onnx",
    }
    assert all(after[name] == value for name, value in before.items() if name in after)
    assert after["exports/triton/again/1/model.onnx"] == before["model.onnx"]
    assert exports(done)["int8"]["quality"]
    assert "model.int8.onnx" in done.card_path.read_text()
    assert not (done.path / ".lock").exists()
    assert done.is_complete


def test_what_is_there_is_not_made_again(finished: Run) -> None:
    told: list[str] = []
    add_exports(finished.path, [{"name": "optimized"}], announce=lambda stage, line, seconds: told.append(stage))
    assert told == []


def test_resuming_a_finished_run_adds_to_it(finished: Run) -> None:
    told: list[tuple[str, str]] = []
    done = run(finished.path.parent / "it", "exports=[{name: triton, model_name: late}]", *WITH_WEIGHTS, "resume=true", told=told)
    assert done.path == finished.path
    assert [stage for stage, _ in told] == ["resume", "exports", "report"]
    done.verify()


@pytest.mark.parametrize("when", ["made", "sealed"])
def test_breaking_off_leaves_no_untrue_seal(finished: Run, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    asked = [{"name": "triton", "model_name": "again"}]
    with monkeypatch.context() as patch:

        def broken(*given: object, **more: object) -> None:
            raise BrokenOff

        if when == "made":
            original = provenance.seal_exports
            patch.setattr(provenance, "seal_exports", lambda run, without=(): original(run, without) if without else broken())
        else:
            patch.setattr("shopkit.stages.report.run", broken)
            patch.setitem(WORK, "report", broken)
        with pytest.raises(BrokenOff):
            add_exports(finished.path, asked)
    finished.verify()
    Predictor(finished.exports_path / "triton" / "again" / "1")
    add_exports(finished.path, asked)
    finished.verify()
    assert "exports/triton/again/1/model.onnx" in finished.manifest["files"]


@pytest.mark.parametrize("name", ["../precious", "exports/../../precious", "exports", "/absolute", "exports/link/precious"])
def test_nothing_outside_the_exports_is_removed(finished: Run, name: str) -> None:
    precious = finished.path.parent / "precious"
    precious.write_text("dear")
    (finished.exports_path / "link").symlink_to(finished.path.parent)
    facts = finished.facts("exports") or {}
    facts["exports"]["triton"]["path"] = name
    finished.finish_stage("exports", facts)
    add_exports(finished.path, [{"name": "triton", "model_name": "again"}])
    assert precious.read_text() == "dear"


def test_exports_that_are_a_link_are_not_followed(finished: Run) -> None:
    elsewhere = finished.path.parent / "elsewhere"
    finished.exports_path.rename(elsewhere)
    finished.exports_path.symlink_to(elsewhere)
    with pytest.raises(RunError, match=r"/exports is a link: nothing is written or removed where it leads\. Put a folder in its"):
        add_exports(finished.path, [{"name": "triton", "model_name": "again"}])
    assert not (elsewhere / "triton" / "again").exists()


def test_a_run_that_was_changed_is_not_exported(finished: Run) -> None:
    flipped(finished.path / "weights.npz")
    with pytest.raises(RunError, match=r"weights\.npz was changed after the run was sealed"):
        add_exports(finished.path, [{"name": "int8"}])


def test_a_run_without_weights_says_so(finished: Run) -> None:
    (finished.path / "weights.npz").unlink()
    manifest = finished.manifest
    del manifest["files"]["weights.npz"]
    write_json(finished.manifest_path, manifest)
    with pytest.raises(RunError, match=r"keeps no weights\.npz: the run is old\. Run its experiment again, with exports="):
        add_exports(finished.path, [{"name": "int8"}])


def test_a_model_that_keeps_no_weights_is_refused_before_the_run_is_read(tmp_path: Path) -> None:
    done = run(tmp_path / "it")
    (done.path / "predictions.parquet").write_bytes(b"changed")
    with pytest.raises(RunError, match=r"keeps no weights\.npz: linear is not trained by gradients\. Run its experiment again"):
        add_exports(done.path, [{"name": "int8"}])


def test_weights_of_another_model_are_refused(finished: Run) -> None:
    saved = checkpoint.load(finished.path / "weights.npz")
    for weights, message in (
        ({name: values + 1 for name, values in saved["weights"].items()}, r"do not give the answers of its model\.onnx"),
        ({"other": torch.zeros(1)}, r"does not hold the weights of the model mlp as it is built here"),
    ):
        checkpoint.save(finished.path / "weights.npz", {**saved, "weights": weights})
        manifest = finished.manifest
        manifest["files"]["weights.npz"] = file_hash(finished.path / "weights.npz")
        write_json(finished.manifest_path, manifest)
        with pytest.raises(RunError, match=message):
            add_exports(finished.path, [{"name": "int8"}])
        finished.verify()


def test_another_process_in_the_run_is_waited_for(finished: Run) -> None:
    with lock(finished.path), pytest.raises(RunError, match="Another process is working in"):
        add_exports(finished.path, [{"name": "int8"}])


def test_the_verb(finished: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(finished.path), "triton", "model_name=of_verb", "optimized"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"{finished.path}/exports/triton",
        f"{finished.path}/exports/optimized/model.optimized.onnx",
    ]
    assert main(["export", str(finished.path), "int8", "max_difference=1e-9"]) == 1
    assert "warning   exports: int8 was refused and left out: " in capsys.readouterr().out
    assert "max_difference" in str(exports(finished)["int8"]["refused"])
    finished.verify()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mode=static", "int8"], "mode=static stands before the exporter that it is a setting of"),
        (["int8", "name=fp16"], "name=fp16 stands before the exporter"),
        (["int8", "int8"], "int8 is named twice"),
        (["int8", "mode={"], r"mode={: '{' cannot be read; put it in quotes"),
    ],
)
def test_words_that_are_no_exports(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        specs(words)


def test_an_unknown_exporter_or_setting_is_refused(finished: Run) -> None:
    with pytest.raises(ConfigError, match="There is no exporter 'int4'"):
        add_exports(finished.path, [{"name": "int4"}])
    with pytest.raises(ConfigError, match="exporter int8 has no setting 'mod'"):
        add_exports(finished.path, [{"name": "int8", "mod": "static"}])


PARTS = ["features.onnx", "decision.onnx", "model.xml", "model.bin", "description.json"]


def test_every_exported_file_is_sealed(sealed: Run) -> None:
    found = {name for name in sealed.manifest["files"] if name.startswith("exports/")}
    assert found == {
        "exports/optimized/model.optimized.onnx",
        *(f"exports/openvino/{name}" for name in PARTS),
        "exports/triton/visits/config.pbtxt",
        "exports/triton/visits/1/model.onnx",
    }
    sealed.verify()
    Predictor(sealed.exports_path / "optimized" / "model.optimized.onnx")
    Predictor(sealed.exports_path / "triton" / "visits" / "1")
    OpenVINOPredictor(sealed.exports_path / "openvino")


@pytest.mark.parametrize("file", ["optimized/model.optimized.onnx", "triton/visits/1/model.onnx"])
def test_an_exported_file_with_one_bit_changed_is_refused(sealed: Run, tmp_path: Path, file: str) -> None:
    copy = tmp_path / "it"
    shutil.copytree(sealed.path, copy)
    flipped(copy / "exports" / file)
    with pytest.raises(ArtifactError, match=r"was changed after its run was sealed"):
        Predictor(copy / "exports" / file)
    with pytest.raises(RunError, match=rf"exports/{file} was changed after the run was sealed"):
        Run.open(copy).verify()


def test_a_path_from_within_the_run_folder_is_checked_as_well(
    sealed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(sealed.path, tmp_path / "it")
    monkeypatch.chdir(tmp_path / "it" / "exports" / "optimized")
    flipped(Path("model.optimized.onnx"))
    with pytest.raises(ArtifactError, match=r"was changed after its run was sealed"):
        Predictor("model.optimized.onnx")


@pytest.mark.parametrize("file", PARTS)
def test_a_part_of_an_openvino_export_with_one_bit_changed_is_refused(sealed: Run, tmp_path: Path, file: str) -> None:
    shutil.copytree(sealed.path, tmp_path / "it")
    flipped(tmp_path / "it" / "exports" / "openvino" / file)
    with pytest.raises(ArtifactError, match=r"was changed after its run was sealed|is not the one that was exported"):
        OpenVINOPredictor(tmp_path / "it" / "exports" / "openvino")


def test_an_export_that_was_copied_out_loads_and_its_parts_still_belong_together(sealed: Run, tmp_path: Path) -> None:
    shutil.copytree(sealed.exports_path, tmp_path / "out")
    Predictor(tmp_path / "out" / "optimized" / "model.optimized.onnx")
    OpenVINOPredictor(tmp_path / "out" / "openvino")
    flipped(tmp_path / "out" / "openvino" / "model.bin")
    with pytest.raises(
        ArtifactError, match=r"model\.bin is not the one that was exported \(its sha256 is not that in description"
    ):
        OpenVINOPredictor(tmp_path / "out" / "openvino")


@pytest.mark.parametrize("text", ["{", "[" * 100_000])
def test_an_unreadable_manifest_of_the_run_is_named(sealed: Run, tmp_path: Path, text: str) -> None:
    shutil.copytree(sealed.path, tmp_path / "it")
    (tmp_path / "it" / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"it/manifest\.json cannot be read .* so model\.optimized\.onnx cannot be checked"):
        Predictor(tmp_path / "it" / "exports" / "optimized" / "model.optimized.onnx")
