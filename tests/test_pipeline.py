"""The whole way, through the public door."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pandas as pd
import pytest

import shopkit
from shopkit.errors import DataError, RunError
from shopkit.runs import Run
from tests.shop import QUICK, RANKING, TABLE, searches, visits

FEATURES = ["features.types.browser=string", "features.ignore=[amount]"]
OVERRIDES = [*TABLE, *FEATURES]
WITH_BASELINE = [*OVERRIDES, "evaluation.baselines=[linear]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return shopkit.run(data=visits(), overrides=WITH_BASELINE, folder=tmp_path_factory.mktemp("runs") / "first")


def test_a_run_leaves_what_it_promises(run: Run) -> None:
    names = {path.name for path in run.path.iterdir()}
    sealed = {
        "config.yaml",
        "examples.parquet",
        "split.parquet",
        "features.onnx",
        "vocabularies.json",
        "weights.npz",
        "model.onnx",
        "predictions.parquet",
        "metrics.json",
    }
    assert names == sealed | {"manifest.json", "identity.json", "history.csv", "stages", "report.html", "model_card.md"}
    assert set(run.manifest["files"]) == sealed
    run.verify()
    assert run.is_complete


def test_metrics_are_those_of_the_files_predictions(run: Run) -> None:
    from sklearn.metrics import roc_auc_score

    predictions = pd.read_parquet(run.predictions_path)
    assert list(predictions.columns) == ["customer", "target", "probability", "label"]
    auroc = roc_auc_score(predictions["target"] == "yes", predictions["probability"])
    assert run.metrics["metrics"]["test"]["auroc"]["value"] == pytest.approx(auroc, abs=1e-6)
    assert auroc > 0.65
    test_rows = visits().set_index("customer").loc[predictions["customer"].astype(int)].reset_index()
    again = shopkit.Predictor(run.path)(test_rows)
    np.testing.assert_array_equal(again["probability"], predictions["probability"])


def test_baselines_stand_on_the_same_rows(run: Run) -> None:
    baselines = run.metrics["baselines"]
    assert {"constant", "linear"} <= set(baselines)
    assert baselines["constant"]["metrics"]["auroc"]["value"] == 0.5
    assert baselines["linear"]["metrics"]["auroc"]["value"] > 0.6


def test_a_baseline_is_told_before_the_result(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    given = [*WITH_BASELINE, "trainer.max_epochs=1"]
    shopkit.run(data=visits(200), overrides=given, folder=tmp_path / "run", announce=lambda *said: told.append(said[:2]))
    (at,) = [place for place, (stage, _) in enumerate(told) if stage == "baseline"]
    assert told[at][1].startswith("linear with ")
    assert told[at + 1][0] == "evaluate"


def test_the_same_run_twice_gives_the_same_bits(run: Run, tmp_path: Path) -> None:
    again = shopkit.run(data=visits(), overrides=WITH_BASELINE, folder=tmp_path / "again")
    assert again.manifest["files"] == run.manifest["files"]


def test_a_complete_run_is_found_again(run: Run) -> None:
    found = shopkit.run(data=visits(), overrides=[*WITH_BASELINE, "resume=true"], folder=run.path.parent / "second")
    assert found.path == run.path


def test_a_changed_file_breaks_the_seal(run: Run, tmp_path: Path) -> None:
    import shutil

    copy = Run(Path(shutil.copytree(run.path, tmp_path / "copy")))
    data = bytearray(copy.model_path.read_bytes())
    data[-1] ^= 1
    copy.model_path.write_bytes(data)
    with pytest.raises(RunError, match=r"model\.onnx was changed after the run was sealed"):
        copy.verify()
    copy.model_path.unlink()
    with pytest.raises(RunError, match=r"the sealed file model\.onnx is missing"):
        copy.verify()


def test_bare_onnxruntime_answers_as_predict_does(run: Run, tmp_path: Path) -> None:
    table = visits().head(50).drop(columns="bought")
    table.loc[3, "channel"] = "never seen"
    table.loc[4, "pages"] = np.nan
    table.to_csv(tmp_path / "visits.csv", index=False)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "shopkit",
            "predict",
            str(run.path),
            str(tmp_path / "visits.csv"),
            "-o",
            str(tmp_path / "out.csv"),
        ],
        check=True,
    )
    predicted = pd.read_csv(tmp_path / "out.csv")
    session = ort.InferenceSession(run.model_path)
    feed = {
        "pages": table["pages"].to_numpy(np.float32),
        "price": table["price"].to_numpy(np.float32),
        "channel": table["channel"].fillna("").to_numpy(object),
        "browser": table["browser"].astype(str).to_numpy(object),
        "at": table["at"].to_numpy("datetime64[s]").astype(np.int64),
    }
    names = {value.name for value in session.get_inputs()}
    probability, label = session.run(["probability", "label"], {name: feed[name] for name in names})
    assert predicted["label"].tolist() == label.tolist()
    np.testing.assert_allclose(predicted["probability"], probability, rtol=1e-6)
    assert predicted["customer"].tolist() == table["customer"].tolist()


@pytest.mark.parametrize("model", ["mlp", "linear"])
@pytest.mark.parametrize(
    ("task", "target", "split"),
    [("regression", "amount", "time"), ("multiclass", "channel", "random"), ("binary", "bought", "kfold")],
)
def test_every_model_does_every_task(tmp_path: Path, model: str, task: str, target: str, split: str) -> None:
    data = visits(400).dropna(subset="channel")
    overrides = [
        "view=table", f"view.target={target}", "view.keys=[customer]", "view.time=at", f"task={task}", f"model={model}",
        f"split={split}", *QUICK, "trainer.max_epochs=2",
    ]  # fmt: skip
    run = shopkit.run(data=data, overrides=overrides, folder=tmp_path / "run")
    assert run.is_complete
    assert (run.path / "report.html").stat().st_size > 10_000
    row = data.iloc[0].to_dict()
    answer = shopkit.Predictor(run.path)({**row, "at": row["at"].to_pydatetime()})
    assert answer


def test_target_rows_without_a_value_are_counted(tmp_path: Path) -> None:
    data = visits()
    data.loc[:9, "bought"] = None
    run = shopkit.run(data=data, overrides=[*OVERRIDES, "model=linear"], folder=tmp_path / "run")
    facts = run.facts("examples")
    assert facts is not None
    assert facts["n_rows"] == 590
    assert list(facts["left_out"].values()) == [10]


def test_sample_weights_are_used(tmp_path: Path) -> None:
    data = visits().assign(importance=lambda frame: np.where(frame["channel"] == "mail", 10.0, 1.0))
    overrides = [*OVERRIDES, "view.weight=importance", "model=linear"]
    run = shopkit.run(data=data, overrides=overrides, folder=tmp_path / "run")
    assert "importance" not in shopkit.Predictor(run.path).inputs


LONG = [
    *OVERRIDES, "trainer.max_epochs=20", "trainer.patience=0", "trainer.checkpoint_seconds=0", "trainer.threads=1",
]  # fmt: skip
SCRIPT = f"""
import sys
import shopkit
from tests.shop import visits
shopkit.run(data=visits(3000), overrides={LONG!r}, folder=sys.argv[1])
"""


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def stop_in_training(process: subprocess.Popen[str], folder: Path, how: signal.Signals) -> None:
    """Send the signal once an epoch has left a checkpoint."""
    checkpoint = folder / "work" / "model" / "checkpoint.npz"
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(how)
    process.wait(60)


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_run_stopped_in_training_ends_as_one_that_was_not(tmp_path: Path, how: signal.Signals) -> None:
    killed = start(tmp_path / "b" / "killed")
    stop_in_training(killed, tmp_path / "b" / "killed.partial", how)
    assert killed.returncode != 0
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["killed.partial"]
    told: list[str] = []
    second = shopkit.run(
        data=visits(3000),
        overrides=[*LONG, "resume=true"],
        folder=tmp_path / "b" / "resumed",
        announce=lambda stage, line, seconds: told.append(line),
    )
    assert any("going on in" in line for line in told)
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["killed"]
    assert second.path == tmp_path / "b" / "killed"
    first = shopkit.run(data=visits(3000), overrides=LONG, folder=tmp_path / "a" / "whole")
    files = first.manifest["files"]
    assert {name for name in files if files[name] != second.manifest["files"][name]} <= {"config.yaml"}
    history = [json.loads((run.path / "stages" / "train.json").read_text())["history"] for run in (first, second)]
    assert history[0] == history[1]


def test_two_processes_do_not_work_in_one_folder(tmp_path: Path) -> None:
    from shopkit.runs import lock

    folder = tmp_path / "run.partial"
    folder.mkdir()
    with lock(folder) as mine:
        assert mine
        with pytest.raises(RunError, match=r"Another process is working in .*run\.partial"):
            shopkit.run(data=visits(), overrides=OVERRIDES, folder=tmp_path / "run")


@pytest.mark.parametrize("model", ["mlp", "linear"])
def test_ranking(model: str, tmp_path: Path) -> None:
    from sklearn.metrics import ndcg_score

    run = shopkit.run(data=searches(), overrides=[*RANKING, f"model={model}", "trainer.batch_size=32"], folder=tmp_path / "run")
    found = run.metrics
    assert found["kind"] == "ranking"
    assert sum(found["target"]["groups"].values()) == 20
    assert (found["interval"]["unit"], found["interval"]["n_units"]) == ("groups", found["target"]["groups"]["test"])
    assert found["metrics"]["test"]["ndcg"]["value"] > found["baselines"]["constant"]["metrics"]["ndcg"]["value"] + 0.1
    assert {entry["column"] for entry in found["importance"]["columns"][:2]} == {"match", "price"}

    examples, predictions = pd.read_parquet(run.examples_path), pd.read_parquet(run.predictions_path)
    assert list(predictions.columns) == ["row", "target", "score"]
    queries = examples["query"][pd.read_parquet(run.split_path)["part"] == "test"].to_numpy()
    expected = [
        ndcg_score([2.0 ** rows["target"] - 1], [rows["score"]], k=10)
        for _, rows in predictions.groupby(queries)
        if rows["target"].any()
    ]
    assert found["metrics"]["test"]["ndcg"]["value"] == pytest.approx(np.mean(expected), abs=1e-6)
    report = (run.path / "report.html").read_text()
    assert "Orders each group with an nDCG@10 of 0." in report
    assert "in random order" in report


def test_ranking_without_a_group(tmp_path: Path) -> None:
    overrides = [*(name for name in RANKING if name not in ("view.group=query", "split=group")), "split=random"]
    with pytest.raises(DataError, match=r"Name it with view\.group=<column>"):
        shopkit.run(data=searches(), overrides=overrides, folder=tmp_path / "run")


def test_a_calibration_that_could_not_be_done_is_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    part = np.repeat(["train", "validation", "test"], 60)
    table = pd.DataFrame({"x": rng.normal(size=180), "part": part, "spent": rng.lognormal(size=180) * (part != "validation")})
    changes = ["view=table", "view.target=spent", "split=given", "split.column=part", "task=regression", "model=linear", *QUICK]
    said: list[str] = []
    run = shopkit.run(
        None,
        [*changes, "task.target_scale=log1p", "evaluation.baselines=[]"],
        data=table,
        folder=tmp_path / "run",
        announce=lambda stage, line, seconds: said.append(f"{stage}: {line}"),
    )
    (warning,) = [line for line in said if line.startswith("warning")]
    assert warning.startswith("warning: Smearing: predictions are left as they are: no factor above 0")
    assert "<dt>Smearing</dt><dd>predictions are left as they are" in run.report_path.read_text(encoding="utf-8")
