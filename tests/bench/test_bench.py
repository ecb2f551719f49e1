"""`shopkit bench` on a small run of each kind that the core has, through the public way."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest

import shopkit
from shopkit.bench import bench, rebuilt
from shopkit.bench.clock import CannotError, summary
from shopkit.bench.cut import halves
from shopkit.bench.files import BARE, FEATURES, FLOOR, of_export
from shopkit.bench.measure import features_cost, p50
from shopkit.bench.process import measure
from shopkit.bench.rebuilt import Rebuilt
from shopkit.bench.rows import as_frame, made, of_run, of_table
from shopkit.cli import main
from shopkit.errors import ArtifactError, ConfigError, DataError, RunError
from shopkit.report.speed import table
from shopkit.runs import Run
from shopkit.runtime import Predictor
from shopkit.runtime.artifact import open_session
from tests.handmade import exported_file
from tests.shop import TABLE, visits
from tests.test_sequences import sessions

BRIEF: dict[str, Any] = {"sizes": (1, 16), "threads": (1,), "seconds": 0.4}


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling takes longer than all tests here."""
    monkeypatch.setattr(rebuilt, "no_compiler", lambda: "there is no time for it")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    overrides = [
        *TABLE, "trainer.max_epochs=1", "features.numbers=standardize", "features.strings=one_hot",
        "exports=[optimized,{name: triton, model_name: visits}]", "features.ignore=[at]",
    ]  # fmt: skip
    return shopkit.run(data=visits(), overrides=overrides, folder=tmp_path_factory.mktemp("runs") / "visits")


@pytest.fixture(scope="module")
def of_lists(tmp_path_factory: pytest.TempPathFactory) -> Run:
    overrides = [
        "view=table", "view.target=bought", "view.keys=[visit]", "split=stratified", "model=lstm", "model.hidden_dim=4",
        "trainer.max_epochs=1", "evaluation.baselines=[]", "evaluation.latency_seconds=0.02", "evaluation.n_bootstrap=20",
    ]  # fmt: skip
    return shopkit.run(data=sessions(), overrides=overrides, folder=tmp_path_factory.mktemp("runs") / "lists")


@pytest.fixture(scope="module")
def result(run: Run) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebuilt, "no_compiler", lambda: "there is no time for it")
        return bench(run.path, **BRIEF)


def test_everyone_who_can_takes_part(result: dict[str, Any]) -> None:
    measured = {one["name"] for one in result["timings"]}
    assert measured == {
        "model.onnx", "Predictor", FLOOR, FEATURES, BARE, "optimized", "eager torch", "pandas + eager torch",
        "scikit-learn",
    }  # fmt: skip
    assert {one["name"] for one in result["contestants"]} == measured
    assert {(one["rows"], one["threads"]) for one in result["timings"]} == {(1, 1), (16, 1)}
    for one in result["timings"]:
        assert 0 < one["low_ms"] <= one["p50_ms"] <= one["high_ms"]
        assert (one["p99_ms"] is None) == (one["n_calls"] < 100)
        assert one["p99_ms"] is None or one["high_ms"] <= one["p99_ms"] * 1.001
        assert one["n_calls"] >= 3
        assert one["rows_per_second"] == pytest.approx(one["rows"] / one["p50_ms"] * 1e3)


def test_who_cannot_is_left_out_with_a_reason(result: dict[str, Any]) -> None:
    reasons = {one["name"]: one["why"] for one in result["left_out"]}
    assert reasons["torch.compile"] == "there is no time for it"
    assert "for another server or page" in reasons["triton"]
    assert "has no CUDA" in reasons["accelerators"]


@pytest.mark.parametrize("name", ["items.npz", "items.faiss", "index.json", "folder"])
def test_what_is_no_model_is_left_out_as_that(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / name).touch()
    with pytest.raises(CannotError, match="it is no model that a row could be given to"):
        of_export("items", tmp_path / name, made(Predictor(exported_file(tmp_path))))


def test_the_file_is_told_with_its_surroundings(result: dict[str, Any], run: Run) -> None:
    assert result["file"] == {"name": "model.onnx", "bytes": run.model_path.stat().st_size}
    assert [one["name"] for one in result["exports"]] == ["optimized", "triton"]
    assert result["machine"]["versions"]["onnxruntime"]
    assert result["rows"]["origin"] == "the run's test part"
    assert result["weights"] == "the run's"
    json.dumps(result)  # plain data


def test_a_process_of_its_own_tells_cold_start_and_memory(result: dict[str, Any]) -> None:
    ours, bare = (result["process"][name] for name in ("shopkit.runtime", "bare onnxruntime"))
    assert 0 < ours["load_seconds"] < ours["cold_start_seconds"] < 60
    assert ours["peak_bytes"]["many rows"] >= ours["peak_bytes"]["one row"] > 10_000_000
    assert len(bare["cold_starts"]) == 1
    # Torch alone is more than the whole runtime.
    assert result["process"]["importing torch and pandas"]["peak_bytes"]["one row"] > ours["peak_bytes"]["one row"]


def test_features_cost_what_they_take_beyond_feeding(result: dict[str, Any]) -> None:
    one = next(cost for cost in result["features"] if cost["rows"] == 1)
    assert one["microseconds"] == pytest.approx(1e3 * (p50(result, FEATURES, 1) - p50(result, FLOOR, 1)))
    assert one["per_column"] == pytest.approx(one["microseconds"] / result["rows"]["n_columns"])
    assert features_cost(result["timings"][:1], 4) == []
    assert np.isnan(p50(result, "nobody", 1))


def test_sequences_take_part_whole(of_lists: Run) -> None:
    result = bench(of_lists.path, **BRIEF)
    assert {"model.onnx", BARE, "eager torch", "pandas + eager torch"} <= {one["name"] for one in result["timings"]}
    reasons = {one["name"]: one["why"] for one in result["left_out"]}
    assert "no transformer for sequences" in reasons["scikit-learn"]


@pytest.mark.parametrize("which", ["run", "of_lists"])
def test_a_file_is_the_sum_of_its_halves(which: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(which)
    predictor = Predictor(run.model_path)
    feed = predictor.feed(of_run(run, predictor, 64).raw)
    found = halves(onnx.load(run.model_path))
    assert found is not None
    first, second = (open_session(half.SerializeToString()) for half in found)
    names = [value.name for value in first.get_outputs()]
    tensors = dict(zip(names, first.run(names, {v.name: feed[v.name] for v in first.get_inputs()}), strict=True))
    answers = second.run(None, {value.name: (feed | tensors)[value.name] for value in second.get_inputs()})
    for value, answer in zip(second.get_outputs(), answers, strict=True):
        np.testing.assert_array_equal(answer, predictor.run(feed)[value.name])


@pytest.mark.parametrize("which", ["run", "of_lists"])
def test_what_a_person_would_write_gives_the_same_tensors(which: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(which)
    rows = of_run(run, Predictor(run.model_path), 32)
    again = Rebuilt(run, rows)
    expected, found = again.tensors(32), again.arrays()(as_frame(rows.take(32)))
    assert set(found) == set(expected)
    for name, values in found.items():
        assert values.shape == expected[name].shape
        # Positions of one-hot and ids agree; edges and scales of numbers are each side's own.
        if values.dtype.kind == "i":
            np.testing.assert_array_equal(values, expected[name])
    if which == "run":
        dense = np.sort(found["dense"], axis=1), np.sort(expected["dense"], axis=1)
        np.testing.assert_allclose(*dense, atol=1e-4)


def test_the_model_is_rebuilt_with_its_weights(run: Run) -> None:
    import torch

    rows = of_run(run, Predictor(run.model_path), 32)
    again = Rebuilt(run, rows)
    with torch.inference_mode():
        scores = again.model({name: torch.from_numpy(values) for name, values in again.tensors(32).items()})
    outputs = Predictor(run.model_path).answer(rows.raw)
    order = np.argsort(scores.numpy()[:, 0])
    assert (np.diff(outputs["probability"][order]) >= -1e-6).all()  # calibration keeps the order


def test_a_bare_file_is_asked_about_made_rows_or_given_ones(run: Run, tmp_path: Path) -> None:
    alone = tmp_path / "model.onnx"
    alone.write_bytes(run.model_path.read_bytes())
    result = bench(alone, **BRIEF)
    assert result["rows"]["origin"] == "made from the file's schema"
    assert {"model.onnx", "Predictor", BARE} <= {one["name"] for one in result["timings"]}
    assert "give the run's folder" in next(one["why"] for one in result["left_out"] if one["name"] == "baselines")
    visits(20).to_csv(tmp_path / "rows.csv", index=False)
    visits(20).to_parquet(tmp_path / "rows.parquet")
    for name in ("rows.csv", "rows.parquet"):
        rows = of_table(tmp_path / name, Predictor(alone), 16)
        assert (rows.origin, len(rows)) == (name, 16)
        assert len(rows.take(40)["price"]) == 40


def test_made_rows_are_of_every_kind(of_lists: Run) -> None:
    predictor = Predictor(of_lists.model_path)
    answer = predictor.answer(made(predictor).take(5))
    assert len(answer["probability"]) == 5


def test_a_call_that_would_take_too_long_is_left_out_there(run: Run) -> None:
    result = bench(run.path, sizes=(1, 100_000), threads=(1,), seconds=0.05)
    out = {one["name"]: one for one in result["left_out"] if one["rows"] == 100_000}
    assert "scikit-learn" in out
    assert "--seconds" in out["scikit-learn"]["why"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": (0,)}, "--sizes must be above 0 and at most 1,048,576, got 0"),
        ({"sizes": ()}, "--sizes must be above 0 and at most 1,048,576, got nothing"),
        ({"sizes": (1, 99_999_999_999)}, "--sizes must be above 0 and at most 1,048,576, got 1, 99999999999"),
        ({"threads": (-1,)}, "--threads must be above 0 and at most 1,024, got -1"),
        ({"threads": (10**9,)}, "--threads must be above 0 and at most 1,024, got 1000000000"),
        ({"seconds": 0.0}, "--seconds must be above 0 and at most 86,400, got 0.0"),
        ({"seconds": math.nan}, "--seconds must be above 0 and at most 86,400, got nan"),
        ({"seconds": math.inf}, "--seconds must be above 0 and at most 86,400, got inf"),
    ],
)
def test_settings_that_mean_nothing(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        bench(exported_file(tmp_path), **options)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rows.csv", None, "There is no file"),
        ("rows.dat", "a", "cannot tell the format from '.dat'"),
        ("rows.csv", "price,color\n", "has a header but no rows"),
        ("rows.csv", "price\n1\n", "no column 'color'"),
        ("rows.csv", "price,color\n1,red\nsix,red\n", "Column 'price', row 1: 'six' is not a number"),
        ("rows.parquet", "junk", r"Cannot read .*rows\.parquet: "),
        ("rows.parquet", "", r"Cannot read .*rows\.parquet: "),
    ],
)
def test_rows_that_cannot_be_read(name: str, text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        bench(exported_file(tmp_path), data=tmp_path / name)


def test_a_file_of_another_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="There is no file"):
        bench(tmp_path / "model.onnx")


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    feed = {"x": np.zeros(1)}
    with pytest.raises(RunError, match=r"A process that was to answer from .* ended: .*There is no file"):
        measure(tmp_path / "gone.onnx", feed, feed, repeats=1)


def test_the_verb_leaves_its_figures_beside_the_seal_and_in_the_report(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", str(run.path), "--sizes", "1,16", "--threads", "1", "--seconds", "0.4"]) == 0
    out = capsys.readouterr().out
    assert "Median and 99th percentile of a call, 1 thread:" in out
    assert "pandas + eager torch" in out
    assert "Left out: torch.compile: there is no time for it" in out
    run.verify()  # the seal holds
    assert json.loads(run.bench_path.read_text())["format_version"] == 1
    page = run.report_path.read_text()
    assert '<section id="speed">' in page
    assert "Speed by rows in a call" in page
    assert "a raw column" in page
    card = run.card_path.read_text()
    assert "| optimized | exports/optimized/model.optimized.onnx |" in card
    assert "Exports beside it" in page


def test_the_verb_leaves_nothing_when_it_is_stopped(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(path.name for path in run.path.iterdir())
    text = run.report_path.read_bytes()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shopkit.bench.measure.take_turns", stop)
    assert main(["bench", str(run.path), "--seconds", "0.4"]) == 130
    assert sorted(path.name for path in run.path.iterdir()) == before
    assert run.report_path.read_bytes() == text


def test_a_damaged_export_is_left_out(run: Run, tmp_path: Path) -> None:
    again = tmp_path / "run"
    shutil.copytree(run.path, again)
    export = again / "exports" / "optimized" / "model.optimized.onnx"
    export.write_bytes(export.read_bytes()[:-50])
    facts = Run(again).facts("exports") or {}
    facts["exports"]["openvino"] = facts["exports"]["triton"]
    Run(again).finish_stage("exports", facts)
    result = bench(again, sizes=(1,), threads=(1,), seconds=0.2)
    reasons = {one["name"]: one["why"] for one in result["left_out"]}
    assert "model.optimized.onnx" in reasons["optimized"]
    assert "it has no description.json" in reasons["openvino"]
    assert "model.onnx" in {one["name"] for one in result["timings"]}


def test_a_percentile_of_few_calls_is_none() -> None:
    of_few, of_many = (summary(np.linspace(0.001, 0.002, n), 1) for n in (99, 100))
    assert of_few["p99_ms"] is None
    assert of_many["p99_ms"] == pytest.approx(1.99, abs=0.001)
    contestants = [{"name": "a", "what": "", "takes": "arrays"}]
    (line,) = table({"contestants": contestants, "timings": [{"name": "a", "rows": 1, "threads": 1, **of_few}]})
    assert line.cells == ("1.5\N{NO-BREAK SPACE}ms / – (99 calls)",)


def test_where_figures_cannot_go_is_told_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(exported_file(tmp_path))
    for target, reason in ((tmp_path / "no" / "b.json", "no is no folder that can be written"), (tmp_path, "it is a folder")):
        assert main(["bench", file, "--seconds", "9999", "--json", str(target)]) == 1
        said = capsys.readouterr().err
        assert f"Cannot write {target}: " in said
        assert f"{reason}. Name a file elsewhere with --json FILE." in said


def test_without_torch_the_verb_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("shopkit.bench")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["bench", str(exported_file(tmp_path))]) == 1
    assert 'shopkit bench needs torch, as training does: pip install "shopkit[train]"' in capsys.readouterr().err


def test_the_verb_names_what_it_cannot_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "model.onnx", "--sizes", "1,many"]) == 2
    assert "--sizes takes whole numbers with commas between, e.g. 1,64; got '1,many'" in capsys.readouterr().err


def test_a_frame_is_what_a_person_holds() -> None:
    lists = np.array([np.array(["a"], object), np.array([], object), None], object)[:2]
    frame = as_frame({"x": np.array([1.0, np.nan], np.float32), "items": lists})
    assert frame["x"].dtype == np.float32
    assert list(frame["items"][0]) == ["a"]
    assert isinstance(frame, pd.DataFrame)
