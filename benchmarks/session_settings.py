"""How a session of ONNX Runtime is opened: what each setting costs or gains beside shopkit's own choice.

    python benchmarks/session_settings.py [--seconds 6] [--json FILE]

A file of a table (made rows in the shape of Online Shoppers, 17 raw columns, plain MLP) and an encoder of MiniLM's size (6
layers, width 384, not trained), one row and many, on the CPU. shopkit opens sessions with one intra-op thread, all graph
optimisations, the memory arena and pattern on, and feeds arrays without IO binding. Figures are a variant's time over that; above
1 it is slower. Contestants take turns, each figure is a median: of processor time where one thread works, by the wall clock where
two do.
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
from inference import NUMBERS, PLAIN, STRINGS, shopkit_file, table
from timing import of_this_machine

from shopkit.bench.clock import take_turns
from shopkit.exporters.attention import simplify_attention
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.bert import Bert
from shopkit.models.settings import BertSettings
from shopkit.models.to_onnx import to_onnx
from shopkit.onnx_format import hoist_constants

Options = Callable[[ort.SessionOptions], None]
LEVELS = {
    "graph optimisation off": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "graph optimisation basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "graph optimisation extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
}
OURS = "shopkit's"
SPEC = FeatureSpec((FeatureBlock("text", "wordpiece", "tokens", 0, 1, (), cardinality=30_522, shape=(128,)),))


def session(model: bytes, threads: int = 1, change: Options = lambda options: None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    change(options)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def variants(model: bytes) -> dict[str, ort.InferenceSession]:
    def level(value: ort.GraphOptimizationLevel) -> Options:
        return lambda options: setattr(options, "graph_optimization_level", value)

    def entry(key: str, value: str) -> Options:
        return lambda options: options.add_session_config_entry(key, value)

    return {
        OURS: session(model),
        "two threads": session(model, 2),
        "two threads, no spinning": session(model, 2, entry("session.intra_op.allow_spinning", "0")),
        **{name: session(model, 1, level(value)) for name, value in LEVELS.items()},
        "no memory arena": session(model, 1, lambda options: setattr(options, "enable_cpu_mem_arena", False)),
        "no memory pattern": session(model, 1, lambda options: setattr(options, "enable_mem_pattern", False)),
        "denormals as zero": session(model, 1, entry("session.set_denormal_as_zero", "1")),
        "no prepacking": session(model, 1, entry("session.disable_prepacking", "1")),
    }


def bound(session: ort.InferenceSession, feed: Mapping[str, np.ndarray]) -> Callable[[], Any]:
    """The same through IO binding, inputs bound anew as they would be for new rows."""
    outputs = [value.name for value in session.get_outputs()]

    def call() -> list[np.ndarray]:
        binding = session.io_binding()
        for name, values in feed.items():
            binding.bind_cpu_input(name, values)
        for name in outputs:
            binding.bind_output(name)
        session.run_with_iobinding(binding)
        return list(binding.copy_outputs_to_cpu())

    return call


def encoder() -> bytes:
    torch.manual_seed(0)
    model = Bert(BertSettings(encoder="scratch", hidden_dim=384, layers=6, heads=12), SPEC, 27).eval()
    graph = to_onnx(model, SPEC)
    hoist_constants(graph.graph)
    simplify_attention(graph)
    return bytes(graph.SerializeToString())


def without_texts(feed: dict[str, np.ndarray]) -> bool:
    """IO binding takes no strings."""
    return all(values.dtype != object for values in feed.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0, help="of measuring, for each case")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    frame = table(None)
    with tempfile.TemporaryDirectory() as folder:
        tabular = shopkit_file(frame, "plain", PLAIN, Path(folder)).read_bytes()
    of_text = encoder()
    rng = np.random.default_rng(0)
    cases: dict[str, tuple[bytes, dict[str, np.ndarray]]] = {}
    for n_rows in (1, 4096):
        cases[f"table, {n_rows} rows"] = (tabular, {name: frame[name].to_numpy()[:n_rows].copy() for name in NUMBERS + STRINGS})
    for n_rows in (1, 64):
        tokens = {"tokens": rng.integers(1000, 20_000, (n_rows, 16)), "token_lengths": np.full(n_rows, 16)}
        cases[f"encoder, {n_rows} rows"] = (of_text, tokens)
    microseconds: dict[str, dict[str, float]] = {}
    ratios: dict[str, float] = {}
    for case, (model, feed) in cases.items():
        sessions = variants(model)
        calls: dict[str, Callable[[], Any]] = {
            name: (lambda one=one, feed=feed: one.run(None, feed)) for name, one in sessions.items()
        }
        if without_texts(feed):
            calls["IO binding"] = bound(sessions[OURS], feed)
        for call in calls.values():
            call()
        for of_two, timer in ((False, time.thread_time), (True, time.perf_counter)):
            some = {name: call for name, call in calls.items() if name == OURS or name.startswith("two") == of_two}
            found = {name: float(np.median(t)) * 1e6 for name, t in take_turns(some, arguments.seconds / 2, timer).items()}
            microseconds[f"{case}, {'wall clock' if of_two else 'processor'}"] = found
            for name in some.keys() - {OURS}:
                ratios[f"{case}: {name}"] = found[name] / found[OURS]
        for name in calls.keys() - {OURS}:
            print(f"{case:20} {name:30} {ratios[f'{case}: {name}']:6.2f}", flush=True)
    if arguments.json:
        machine = of_this_machine("onnxruntime", "numpy", "torch")
        result = {"microseconds": microseconds, "ratios": ratios, "machine": machine}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
