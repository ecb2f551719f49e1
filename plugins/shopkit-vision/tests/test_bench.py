"""`shopkit bench` on a run of images."""

from __future__ import annotations

from pathlib import Path

import pytest
import shopkit
from shopkit.bench import bench, rebuilt


def test_images_take_part(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilt, "no_compiler", lambda: "there is no time for it")
    overrides = [
        "source=image_folder",
        f"source.path={folder}",
        "source.channels=1",
        "view.keys=[file]",
        "split=stratified",
        "model.widths=[8]",
        "model.stem=4",
        "trainer.max_epochs=1",
        "evaluation.baselines=[]",
        "evaluation.permutation_repeats=0",
        "evaluation.latency_seconds=0.01",
    ]
    run = shopkit.run("product_image", overrides, folder=tmp_path / "run")
    result = bench(run.path, sizes=(1, 8), threads=(1,), seconds=0.3)
    assert {"model.onnx", "Predictor", "bare model", "eager torch"} <= {one["name"] for one in result["timings"]}
    reasons = {one["name"]: one["why"] for one in result["left_out"]}
    assert "in pandas" in reasons["pandas + eager torch"]
    assert "images" in reasons["scikit-learn"]
