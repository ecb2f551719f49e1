"""A run whose data do not fit in memory ends as one whose data do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest

import shopkit
from shopkit.errors import ConfigError, RunError
from shopkit.models.linear import Linear
from shopkit.runs import Run
from shopkit.stages import evaluate as stage
from shopkit.stages.way import WORK, Way
from tests.shop import RANKING, TABLE, searches, visits

OVERRIDES = [*TABLE, "features.types.browser=string", "features.ignore=[amount]", "evaluation.baselines=[linear]"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return shopkit.run(data=visits(), overrides=OVERRIDES, folder=tmp_path_factory.mktemp("runs") / "whole")


def test_the_file_is_asked_in_batches_and_answers_the_same(whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "BATCH_ROWS", 7)
    run = shopkit.run(data=visits(), overrides=OVERRIDES, folder=tmp_path / "batches")
    pd.testing.assert_frame_equal(
        pd.read_parquet(run.predictions_path), pd.read_parquet(whole.predictions_path), check_exact=False, rtol=1e-5
    )
    for metric, found in run.metrics["metrics"]["test"].items():
        assert found["value"] == pytest.approx(whole.metrics["metrics"]["test"][metric]["value"], abs=1e-5)
    for entry in ("audit", "drift", "sampled", "target", "n_rows"):
        assert run.metrics[entry] == whole.metrics[entry]


def test_what_is_said_of_columns_is_of_a_sample_that_is_counted(whole: Run, tmp_path: Path) -> None:
    few = ["evaluation.min_segment_rows=10", "evaluation.sample_rows=60", "evaluation.baseline_rows=200"]
    run = shopkit.run(data=visits(), overrides=[*OVERRIDES, *few], folder=tmp_path / "sampled")
    assert whole.metrics["sampled"] == {}
    assert run.metrics["sampled"] == {"train": 60, "validation": 60, "test": 60, "baselines": 200}
    assert run.metrics["metrics"] == whole.metrics["metrics"]
    assert run.metrics["curves"] == whole.metrics["curves"]
    assert run.metrics["importance"]["n_rows"] == 60
    assert sum(row["n"] for row in run.metrics["segments"][0]["rows"]) == 60
    assert run.metrics["baselines"]["linear"] != whole.metrics["baselines"]["linear"]
    assert len(pd.read_parquet(run.predictions_path)) == run.metrics["n_rows"]["test"]
    report = (run.path / "report.html").read_text(encoding="utf-8")
    assert "60 of the 90 test rows, evenly spaced; metrics and their intervals are of all rows." in report
    assert "Baselines were fitted on 200 of the 420 train rows" in report


def test_a_sample_of_what_is_ranked_holds_whole_groups(tmp_path: Path) -> None:
    run = shopkit.run(
        data=searches(), overrides=[*RANKING, "evaluation.sample_rows=30", "evaluation.baselines=[]"], folder=tmp_path / "ranked"
    )
    assert run.metrics["sampled"]["test"] % 15 == 0
    assert 0 < run.metrics["importance"]["n_rows"] <= 30


def test_features_that_stay_on_disk_train_as_well_and_resume_to_the_same(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shopkit.fitting.n_bytes", lambda array: 1 << 50)
    first, again = (shopkit.run(data=visits(), overrides=OVERRIDES, folder=tmp_path / name) for name in ("first", "again"))
    assert first.metrics == again.metrics
    assert first.metrics["metrics"]["test"]["auroc"]["value"] == pytest.approx(
        whole.metrics["metrics"]["test"]["auroc"]["value"], abs=0.03
    )
    # An estimator goes through all rows in order, wherever they stand.
    left, right = (run.metrics["baselines"]["linear"]["metrics"]["auroc"]["value"] for run in (first, whole))
    assert left == pytest.approx(right, abs=1e-4)


def test_features_stay_on_disk_where_the_copies_of_all_processes_do_not_fit(tmp_path: Path) -> None:
    from shopkit.features.base import FeatureBlock, FeatureSpec
    from shopkit.features.blocks import Blocks, written
    from shopkit.fitting import Examples, Features
    from shopkit.schema import PARTS, Schema

    for part in PARTS:
        with written(tmp_path / f"{part}_dense.arrow", np.float32, (10, 2)) as writer:
            writer.add(np.zeros((10, 2), np.float32))
    spec = FeatureSpec((FeatureBlock("x", "identity", "dense", 0, 2, ("x", "y")),))
    features = Features(onnx.ModelProto(), spec, Schema(()), [], tmp_path, {})
    parts = np.repeat(np.arange(3, dtype=np.int8), 10)
    examples = Examples(tmp_path, Schema(()), parts, np.zeros(30), None, memory=2 * 3 * 80)
    one, two, three = (features.arrays(examples, "train", copies).features["dense"] for copies in (1, 2, 3))
    assert isinstance(one, np.ndarray)
    assert isinstance(two, np.ndarray)
    assert isinstance(three, Blocks)


def test_queries_that_need_more_memory_go_on_in_the_run_folder(tmp_path: Path) -> None:
    """100,000 rows of 20 numbers are 16 MB, and sorting them needs as much again."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({f"x{i}": rng.normal(size=100_000) for i in range(20)})
    frame["bought"] = np.where(frame.x0 + rng.normal(size=len(frame)) > 0, "yes", "no")
    quick = ["view=table", "view.target=bought", "split=random", "trainer.max_epochs=1", "trainer.max_steps=4", "model=linear"]
    quick += ["evaluation.n_bootstrap=0", "evaluation.latency_seconds=0.01", "evaluation.baselines=[]", "memory=60MB"]
    with pytest.raises(RunError, match=r"stage features of .* stopped: a query needs more than memory=60MB"):
        shopkit.run(data=frame, overrides=quick, folder=tmp_path / "too_little")
    run = shopkit.run(data=frame, overrides=[*quick, "memory=150MB"], folder=tmp_path / "little")
    assert run.metrics["metrics"]["test"]["auroc"]["value"] > 0.7


@pytest.mark.parametrize("size", ["2", "2 gigabytes", "0GB", "-1GB"])
def test_a_size_that_is_none(size: str) -> None:
    with pytest.raises(ConfigError, match=rf"memory must be a size such as 512MB, 2GB or 1.5GiB, got '{size}'"):
        shopkit.run(data=visits(), overrides=[*OVERRIDES, f"memory='{size}'"])


def test_an_estimator_that_will_hold_more_than_memory_is_warned_of_before_it_is_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    baseline = "evaluation.baselines=[{name: linear, as: strong, l2: 1.0}]"

    def run(folder: str, *more: str) -> list[str]:
        told.clear()
        shopkit.run(
            data=visits(200),
            overrides=[*OVERRIDES, "model=linear", baseline, *more],
            folder=tmp_path / folder,
            announce=lambda stage, line, seconds: told.append((stage, line)),
        )
        return [line for stage, line in told if stage == "warning"]

    def stop(way: Way) -> tuple[str, dict[str, object]]:
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setitem(WORK, "export", stop)
        for folder, held in (("enough", 2_000_000_000), ("too_little", 3_000_000_000)):
            monkeypatch.setattr(Linear, "holds", lambda self, train, validation, held=held: held)
            with pytest.raises(KeyboardInterrupt):
                run(folder)
            if folder == "enough":
                assert "warning" not in dict(told)
    assert [stage for stage, _ in told if stage in ("features", "warning", "train")] == ["features", "warning", "train"]
    assert dict(told)["warning"] == (
        "linear will hold about 3.0 GB to be fitted on 140 rows, and memory is 2.0 GB. Set memory to what it may take, give it "
        "fewer rows (a baseline by evaluation.baseline_rows), or choose a model that holds less: linear, or one that is trained "
        "by gradients (mlp, or sasrec for histories)."
    )
    (of_baseline,) = run("too_little", "resume=true")  # what was fitted before is not warned of again
    assert of_baseline.startswith("linear will hold about 3.0 GB")
