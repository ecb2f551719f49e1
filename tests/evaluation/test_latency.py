from __future__ import annotations

from pathlib import Path

import ndonnx as ndx
import numpy as np
import onnx

from shopkit.evaluation.latency import measure_latency
from shopkit.evaluation.settings import EvaluationSettings


def test_batches_are_timed(tmp_path: Path) -> None:
    price, color = ndx.argument(shape=("N",), dtype=ndx.float32), ndx.argument(shape=("N",), dtype=ndx.utf8)
    path = tmp_path / "model.onnx"
    onnx.save(ndx.build({"price": price, "color": color}, {"prediction": price + price, "is_red": color == "red"}), path)
    asked: list[int] = []

    def feeds(n_rows: int) -> list[dict[str, np.ndarray]]:
        asked.append(n_rows)
        return [{"price": np.ones(n, np.float32), "color": np.array(["red"] * n, object)} for n in (n_rows, 1)]

    found = measure_latency(path, feeds, EvaluationSettings(latency_batch_sizes=[1, 20], latency_seconds=0.02))
    assert asked == [1, 20]
    assert found["file_bytes"] == path.stat().st_size
    assert [batch["rows"] for batch in found["batches"]] == [1, 20]
    for batch in found["batches"]:
        assert 0 < batch["low_ms"] <= batch["median_ms"] <= batch["high_ms"]
        assert batch["rows_per_second"] > 0
        assert batch["n_calls"] >= 1
