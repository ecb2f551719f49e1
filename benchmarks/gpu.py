"""The graphics card, where there is one: ONNX Runtime's CUDA and TensorRT beside eager torch, torch.compile, and the CPU.

    python benchmarks/gpu.py [--seconds 4] [--json FILE]

An MLP of a table (64 numbers, 256-256) and an encoder of MiniLM's size (6 layers, width 384, 16 tokens a row), neither trained,
from 1 to 16,384 rows (the encoder to 1,024). Every call begins with arrays in the memory of the CPU and ends with scores there:
for ONNX Runtime by IO binding, for torch by copies. Contestants take turns, each figure is a median by the wall clock. What is
not there is left out, with the reason; without a card nothing is claimed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from timing import of_this_machine

from shopkit.bench.clock import take_turns
from shopkit.bench.rebuilt import no_compiler
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.base import Model
from shopkit.models.bert import Bert
from shopkit.models.mlp import MLP
from shopkit.models.settings import BertSettings, MLPSettings
from shopkit.models.to_onnx import to_onnx

CARDS = {"CUDA": "CUDAExecutionProvider", "TensorRT": "TensorrtExecutionProvider"}
TEXT = FeatureSpec((FeatureBlock("text", "wordpiece", "tokens", 0, 1, (), cardinality=30_522, shape=(128,)),))
TABLE = FeatureSpec((FeatureBlock("x", "standardize", "dense", 0, 64, tuple(f"x{i}" for i in range(64))),))
SIZES = {"MLP": (1, 64, 1024, 16_384), "encoder": (1, 16, 64, 1024)}


def models() -> dict[str, tuple[Model, FeatureSpec]]:
    torch.manual_seed(0)
    mlp = MLP(MLPSettings(hidden=[256, 256], members=1, embedding_dim=0, dropout=0.0), TABLE, 1).eval()
    encoder = Bert(BertSettings(encoder="scratch", hidden_dim=384, layers=6, heads=12), TEXT, 27).eval()
    return {"MLP": (mlp, TABLE), "encoder": (encoder, TEXT)}


def arrays(name: str, n_rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    if name == "MLP":
        return {"dense": rng.normal(size=(n_rows, 64)).astype(np.float32)}
    return {"tokens": rng.integers(1000, 20_000, (n_rows, 16)), "token_lengths": np.full(n_rows, 16)}


def on_card(session: ort.InferenceSession, feed: Mapping[str, np.ndarray]) -> Callable[[], Any]:
    def call() -> list[np.ndarray]:
        binding = session.io_binding()
        for name, values in feed.items():
            binding.bind_cpu_input(name, values)
        binding.bind_output("scores")
        session.run_with_iobinding(binding)
        return list(binding.copy_outputs_to_cpu())

    return call


def in_torch(model: Callable[..., torch.Tensor], feed: Mapping[str, np.ndarray], device: str) -> Callable[[], Any]:
    batch = {name: torch.from_numpy(values) for name, values in feed.items()}

    def call() -> np.ndarray:
        with torch.inference_mode():
            return model({name: values.to(device) for name, values in batch.items()}).cpu().numpy()

    return call


def sessions(graph: bytes) -> tuple[dict[str, ort.InferenceSession], dict[str, str]]:
    """Those that start, and why the others do not."""
    found, left_out = {"CPU": ort.InferenceSession(graph, providers=["CPUExecutionProvider"])}, {}
    for name, provider in CARDS.items():
        if provider not in ort.get_available_providers():
            left_out[f"ONNX Runtime, {name}"] = f"this ONNX Runtime has no {provider}"
            continue
        session = ort.InferenceSession(graph, providers=[provider, "CPUExecutionProvider"])
        if session.get_providers()[0] == provider:
            found[name] = session
        else:
            left_out[f"ONNX Runtime, {name}"] = f"{provider} does not start here"
    return found, left_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="of measuring, for each line")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    has_card = torch.cuda.is_available()
    left_out = {} if has_card else {"torch": "torch sees no CUDA device"}
    figures: dict[str, dict[str, float]] = {}
    ratios: dict[str, float] = {}
    for name, (model, spec) in models().items():
        found, reasons = sessions(to_onnx(model, spec).SerializeToString())
        left_out |= reasons
        on_device = model.cuda() if has_card else None
        compiled = torch.compile(on_device, dynamic=True) if on_device is not None and not no_compiler() else None
        if len(found) == 1 and on_device is None:
            continue  # the CPU alone is the matter of other benchmarks
        for n_rows in SIZES[name]:
            feed = arrays(name, n_rows)
            calls = {f"ONNX Runtime, {which}": on_card(session, feed) for which, session in found.items()}
            if on_device is not None:
                calls["eager torch, CUDA"] = in_torch(on_device, feed, "cuda")
            if compiled is not None:
                calls["torch.compile, CUDA"] = in_torch(compiled, feed, "cuda")
            for call in calls.values():
                call()
            line = f"{name}, {n_rows} rows"
            figures[line] = {who: float(np.median(t)) * 1e6 for who, t in take_turns(calls, arguments.seconds).items()}
            print(f"{line:24} " + "  ".join(f"{who} {value:.0f} µs" for who, value in figures[line].items()), flush=True)
            mine = figures[line].get("ONNX Runtime, CUDA")
            ratios |= {f"{line}: {who} / ONNX Runtime, CUDA": value / mine for who, value in figures[line].items() if mine}
    for who, why in left_out.items():
        print(f"left out: {who}: {why}")
    if arguments.json:
        card = torch.cuda.get_device_name() if has_card else "none"
        machine = of_this_machine("torch", "numpy") | {"card": card, "onnxruntime": ort.__version__}
        result = {"microseconds": figures, "ratios": ratios, "left_out": left_out, "machine": machine}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
