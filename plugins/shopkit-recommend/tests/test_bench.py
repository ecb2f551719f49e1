"""`shopkit bench` on runs that recommend."""

from __future__ import annotations

from pathlib import Path

import pytest
from shop import recommend, sequences
from shopkit.bench import bench, rebuilt


@pytest.mark.parametrize(("model", "in_torch"), [("item_knn", False), ("sasrec", True)])
def test_recommendations_take_part(model: str, in_torch: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilt, "no_compiler", lambda: "there is no time for it")
    run = recommend(tmp_path, sequences(), f"model={model}", *(["trainer.max_epochs=1"] if in_torch else []))
    result = bench(run.path, sizes=(1, 8), threads=(1,), seconds=0.3)
    measured = {one["name"] for one in result["timings"]}
    assert {"model.onnx", "Predictor", "bare model", "feeding floor"} <= measured
    reasons = {one["name"]: one["why"] for one in result["left_out"]}
    assert ("eager torch" in measured) is in_torch
    assert in_torch or reasons["eager torch"] == f"{model} is not a torch model"
