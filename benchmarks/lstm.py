"""A recurrent model over a row's history: the exported file beside the same model in eager torch.

    python benchmarks/lstm.py [--seconds 4] [--json FILE]

History of 40 steps (a category and three numbers each) and 20 plain numbers, hidden state of 64. Contestants take turns, each
figure is the median of single calls by the wall clock; ONNX Runtime and torch on the CPU with equally many threads. Both begin at
tensors, where the feature graph ends: eager torch has nothing to make them from raw columns with.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from timing import medians, of_this_machine, session

from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.lstm import LSTM
from shopkit.models.settings import LSTMSettings
from shopkit.models.to_onnx import to_onnx

N_STEPS, N_CATEGORIES, N_PLAIN = 40, 30, 20
SPEC = FeatureSpec(
    (
        *(FeatureBlock(f"x{i}", "standardize", "dense", i, 1, (f"x{i}",)) for i in range(N_PLAIN)),
        FeatureBlock("past_category", "vocabulary", "sequence_ids", 0, 1, ("past_category",), N_CATEGORIES),
        *(FeatureBlock(f"past_{i}", "log1p", "sequence_dense", i, 1, (f"past_{i}",)) for i in range(3)),
    )
)
MODELS = {
    "lstm": LSTMSettings(),
    "gru": LSTMSettings(cell="gru"),
    "bidirectional lstm, attention": LSTMSettings(bidirectional=True, pooling="attention"),
}


def batch(n_rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    lengths = rng.integers(N_STEPS // 2, N_STEPS + 1, n_rows)
    lengths[0] = N_STEPS
    inside = (np.arange(N_STEPS) < lengths[:, None])[..., None]
    return {
        "dense": rng.normal(size=(n_rows, N_PLAIN)).astype(np.float32),
        "sequence_dense": (rng.normal(size=(n_rows, N_STEPS, 3)) * inside).astype(np.float32),
        "sequence_ids": rng.integers(0, N_CATEGORIES, (n_rows, N_STEPS, 1)) * inside,
        "lengths": lengths,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="of measuring, for each line")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures: dict[str, dict[str, Any]] = {}
    for name, settings in MODELS.items():
        torch.manual_seed(0)
        model = LSTM(settings, SPEC, 1).eval()
        graph = to_onnx(model, SPEC).SerializeToString()
        for threads in (1, 2):
            torch.set_num_threads(threads)
            of_file = session(graph, threads)
            for n_rows in (1, 64):
                arrays = batch(n_rows)
                tensors = {key: torch.from_numpy(values) for key, values in arrays.items()}

                def eager(model: LSTM = model, tensors: dict[str, torch.Tensor] = tensors) -> torch.Tensor:
                    with torch.inference_mode():
                        return model(tensors)

                def file(of_file: ort.InferenceSession = of_file, arrays: dict[str, np.ndarray] = arrays) -> Any:
                    return of_file.run(None, arrays)

                np.testing.assert_allclose(file()[0], eager().numpy(), atol=1e-5)
                found = medians({"eager torch": eager, "exported": file}, arguments.seconds, spread := {})
                found["times as fast"] = found["eager torch"] / found["exported"]
                line = f"{name}, {n_rows} rows, {threads} threads"
                figures[line] = {**found, "spread": spread}
                shown = f"{found['eager torch']:9.1f} µs {found['exported']:9.1f} µs {found['times as fast']:6.2f}×"
                print(f"{line:52} {shown}", flush=True)
    if arguments.json:
        machine = of_this_machine("onnxruntime", "torch", "numpy")
        arguments.json.write_text(json.dumps({"microseconds": figures, "machine": machine}, indent=2))


if __name__ == "__main__":
    main()
