"""The graphics card, where there is one: ONNX Runtime's CUDA and TensorRT beside eager torch, torch.compile, and the CPU.

    python benchmarks/gpu.py [--seconds 4] [--train [--peak-tflops 989]] [--json FILE]

An MLP of a table (64 numbers, 256-256) and an encoder of MiniLM's size (6 layers, width 384, 16 tokens a row), neither trained,
from 1 to 16,384 rows (the encoder to 1,024). Every call begins with arrays in the memory of the CPU and ends with scores there:
for ONNX Runtime by IO binding, for torch by copies. Contestants take turns, each figure is a median by the wall clock. What is
not there is left out, with the reason; without a card nothing is claimed.

--train: instead, how fast `shopkit.training.fit` trains a BERT (by default of the base size: 12 layers, width 768) on made rows
of 128 tokens: rows a second, and which share of the card's peak in bf16 that is. What a row costs is counted from the products of
matrices alone, 3 times those of the forward pass (Chowdhery et al.: PaLM, 2022, appendix B). The time is that of the later
epochs; the first, with all that is done once, is taken off. Without a card it runs on the CPU, in float32.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
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
from shopkit.models.base import Arrays, Model
from shopkit.models.bert import Bert
from shopkit.models.mlp import MLP
from shopkit.models.settings import BertSettings, MLPSettings
from shopkit.models.to_onnx import to_onnx
from shopkit.tasks.binary import Binary
from shopkit.tasks.settings import BinarySettings
from shopkit.training.fit import fit
from shopkit.training.settings import TrainerSettings

CARDS = {"CUDA": "CUDAExecutionProvider", "TensorRT": "TensorrtExecutionProvider"}
TEXT = FeatureSpec((FeatureBlock("text", "wordpiece", "tokens", 0, 1, (), cardinality=30_522, shape=(128,)),))
TABLE = FeatureSpec((FeatureBlock("x", "standardize", "dense", 0, 64, tuple(f"x{i}" for i in range(64))),))
LENGTH, N_VOCABULARY = 128, 30_522
PEAKS = {"H200": 989.0, "H100 PCIe": 756.0, "H100 NVL": 835.0, "H100": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0}
"""Words of a card's name → its peak in bf16, TFLOP/s: dense, by NVIDIA's data sheets. The first that fits counts."""
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


def training(size: BertSettings, batch_size: int, steps: int, epochs: int, peak: float, folder: Path) -> dict[str, Any]:
    """Rows a second, and the share of the peak (TFLOP/s; 0 where it is unknown)."""
    has_card = torch.cuda.is_available()
    rng, n_rows = np.random.default_rng(0), batch_size * steps
    rows = {"tokens": rng.integers(1000, N_VOCABULARY, (n_rows, LENGTH)), "token_lengths": np.full(n_rows, LENGTH)}
    train = Arrays(rows, (np.arange(n_rows) % 2).astype(np.float32))
    nothing = Arrays({name: values[:0] for name, values in rows.items()}, train.target[:0])
    task = Binary(BinarySettings())
    task.fit_target(train.target.astype(np.float64))
    precision = "bf16-mixed" if has_card else "32-true"

    def seconds(n_epochs: int) -> float:
        torch.manual_seed(0)
        settings = TrainerSettings(
            max_epochs=n_epochs, batch_size=batch_size, patience=0, precision=precision, checkpoint_seconds=1e9, lr=1e-4
        )
        start = time.perf_counter()
        fit(Bert(size, TEXT, 1), task, train, nothing, settings, folder=folder, seed=0)
        return time.perf_counter() - start

    first = seconds(1)
    of_row = (seconds(1 + epochs) - first) / (epochs * n_rows)
    width = size.hidden_dim
    # Of a layer: queries, keys, values and outputs 4 w², the two layers of 4 w 8 w², and of attention 2 T w for each token.
    products = LENGTH * size.layers * (12 * width**2 + 2 * LENGTH * width)
    tflops = 3 * 2 * products / of_row / 1e12
    found = {"device": torch.cuda.get_device_name() if has_card else "CPU", "precision": precision, "rows a second": 1 / of_row}
    return {**found, "TFLOP/s": tflops, "share of the bf16 peak": tflops / peak if peak else None}


def known_peak() -> float:
    """That of this card, TFLOP/s; 0 if it is not in the table."""
    words = set((torch.cuda.get_device_name() if torch.cuda.is_available() else "").replace("-", " ").split())
    whole = "MIG" not in words  # a slice of a card has a share of its peak
    return next((peak for name, peak in PEAKS.items() if whole and words.issuperset(name.split())), 0.0)


def train_only(arguments: argparse.Namespace) -> None:
    size = BertSettings(
        encoder="scratch", hidden_dim=arguments.hidden, layers=arguments.layers, heads=max(1, arguments.hidden // 64)
    )
    peak = arguments.peak_tflops or known_peak()
    with tempfile.TemporaryDirectory() as folder:
        found = training(size, arguments.batch, arguments.steps, arguments.epochs, peak, Path(folder))
    line = f"{size.layers} layers, width {size.hidden_dim}, {arguments.batch} rows of {LENGTH} tokens a step"
    share = f"{found['share of the bf16 peak']:.1%} of {peak:g}" if peak else "share unknown: give --peak-tflops"
    print(f"{line}, on {found['device']}, {found['precision']}: {found['rows a second']:,.1f} rows/s", flush=True)
    print(f"{found['TFLOP/s']:.3f} TFLOP/s, {share}")
    if arguments.json:
        machine = of_this_machine("shopkit", "torch", "transformers")
        result = {"training": {line: found}, "peak_tflops": peak or None, "machine": machine}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="of measuring, for each line")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--train", action="store_true", help="measure training instead")
    parser.add_argument("--peak-tflops", type=float, default=0.0, help="of the card in bf16, where it is none of those known")
    parser.add_argument("--hidden", type=int, default=768, help="width of the encoder that is trained")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--batch", type=int, default=128, help="rows of a training step")
    parser.add_argument("--steps", type=int, default=50, help="of an epoch")
    parser.add_argument("--epochs", type=int, default=2, help="that are timed, after a first one")
    arguments = parser.parse_args()
    if arguments.train:
        train_only(arguments)
        return
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
