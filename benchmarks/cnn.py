"""A convolutional network on an image: the exported file beside the same model in eager torch.

    python benchmarks/cnn.py [--seconds 4] [--json FILE]

The default network of `product_image` (309,000 parameters, 28 × 28 grey) and the classic one. Contestants take turns, each figure
is the median of single calls by the wall clock; ONNX Runtime and torch on the CPU with equally many threads. Both begin at uint8
pixels of the network's size and end at scores. Torch runs the model as it was trained: batch normalisation is on its own, and the
memory format is channels last. `whole file` is what is served: resizing and the decision are in it. Two threads want two idle
cores.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import ndonnx as ndx
import numpy as np
import onnxruntime as ort
import spox
import torch
from shopkit_vision.cnn import CNN
from shopkit_vision.image import Image
from shopkit_vision.settings import CnnSettings, ImageSettings
from timing import medians, of_this_machine, session

from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.to_onnx import to_onnx

SPEC = FeatureSpec((FeatureBlock("image", "image", "image", 0, 1, (), shape=(1, 28, 28)),))
MODELS = {"residual": CnnSettings(), "classic": CnnSettings(preset="classic")}
AIM = 1.3
"""Times as fast as eager torch, of the default network at batch 1."""


def whole_file(scores: Any) -> bytes:
    """Pixels (N, H, W, 1) → resized → scores → probabilities, as the exporter puts them together."""
    image = spox.argument(spox.Tensor(np.uint8, ("N", "H", "W", 1)))
    state = {"shape": np.array([1, 28, 28])}
    encoded = Image(ImageSettings()).transform([ndx.asarray(image)], [state]).image
    (found,) = spox.inline(scores)(image=encoded.unwrap_spox()).values()
    powers = ndx.exp(ndx.asarray(found) - ndx.max(ndx.asarray(found), axis=1, keepdims=True))
    probability = powers / ndx.sum(powers, axis=1, keepdims=True)
    return spox.build({"image": image}, {"probability": probability.unwrap_spox()}).SerializeToString()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="of measuring, for each line")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    for name, settings in MODELS.items():
        torch.manual_seed(0)
        model = CNN(settings, SPEC, 10)
        torch.nn.init.normal_(model.head.weight)
        graph = to_onnx(model.eval(), SPEC)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            of_model, of_file = session(graph.SerializeToString(), threads), session(whole_file(graph), threads)
            for n_rows in (1, 64):
                pixels = np.random.default_rng(0).integers(0, 256, (n_rows, 28, 28, 1)).astype(np.uint8)
                planes = pixels.transpose(0, 3, 1, 2).copy()
                tensors = {"image": torch.from_numpy(planes)}

                def eager(model: CNN = model, tensors: dict[str, torch.Tensor] = tensors) -> torch.Tensor:
                    with torch.inference_mode():
                        return model(tensors)

                def exported(run: ort.InferenceSession = of_model, planes: np.ndarray = planes) -> Any:
                    return run.run(None, {"image": planes})

                def whole(run: ort.InferenceSession = of_file, pixels: np.ndarray = pixels) -> Any:
                    return run.run(None, {"image": pixels})

                np.testing.assert_allclose(exported()[0], eager().numpy(), atol=1e-4)
                np.testing.assert_allclose(whole()[0], torch.softmax(eager(), 1).numpy(), atol=1e-4)
                found = medians(
                    {"eager torch": eager, "exported": exported, "whole file": whole}, arguments.seconds, spread := {}
                )
                found["times as fast"] = found["eager torch"] / found["exported"]
                line = f"{name}, {n_rows} rows, {threads} threads"
                figures[line] = {**found, "spread": spread}
                shown = f"{found['eager torch']:9.1f} µs {found['exported']:9.1f} µs {found['times as fast']:6.2f}×"
                print(f"{line:32} {shown}   whole file {found['whole file']:9.1f} µs", flush=True)
    if arguments.json:
        machine = of_this_machine("onnxruntime", "torch", "numpy")
        arguments.json.write_text(json.dumps({"microseconds": figures, "machine": machine}, indent=2))
    slow = [line for line, found in figures.items() if line.startswith("residual, 1 rows") and found["times as fast"] < AIM]
    return len(slow)


if __name__ == "__main__":
    sys.exit(main())
