"""Answers from one file: shopkit's plain MLP(64) beside skl2onnx and scikit-learn, from one row to 4,096.

    python benchmarks/inference.py [PATH] [--json FILE]

PATH is the CSV of https://archive.ics.uci.edu/dataset/468 (Online Shoppers, 17 raw columns); without it, a made table of the
same shape. Both MLPs read raw columns, standardise numbers and one-hot encode strings, as one .onnx file. One thread, ONNX
Runtime on the CPU. Contestants take turns, each figure is a median. The feeding floor is a graph with the same inputs that
computes next to nothing: what any file with these columns must cost.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import shopkit

TARGET = "Revenue"
STRINGS = ["Month", "OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType"]
NUMBERS = [
    "Administrative", "Administrative_Duration", "Informational", "Informational_Duration", "ProductRelated",
    "ProductRelated_Duration", "BounceRates", "ExitRates", "PageValues", "SpecialDay", "Weekend",
]  # fmt: skip
CARDINALITIES = {"Month": 10, "OperatingSystems": 8, "Browser": 13, "Region": 9, "TrafficType": 20, "VisitorType": 3}
PLAIN = [
    "features.numbers=standardize", "features.strings=one_hot", "model.hidden=[64]", "model.members=1", "model.embedding_dim=0",
    "model.dropout=0.0",
]  # fmt: skip
N_MANY = 4096
BLOCK_SECONDS = 5e-4


def table(path: Path | None) -> pd.DataFrame:
    """11 numbers, 6 strings and the target."""
    if path is not None:
        frame = pd.read_csv(path)
    else:
        rng = np.random.default_rng(0)
        numbers = {name: rng.gamma(0.5, 10.0, 12_330) for name in NUMBERS}
        strings = {name: [f"{name[:3]}{code}" for code in rng.integers(0, n, 12_330)] for name, n in CARDINALITIES.items()}
        frame = pd.DataFrame({**numbers, **strings})
        frame[TARGET] = rng.random(len(frame)) < 0.05 + 0.4 * (frame["PageValues"] > 6)
    for name in NUMBERS:
        frame[name] = frame[name].astype(np.float32)
    for name in STRINGS:
        frame[name] = frame[name].astype(str).astype(object)
    return frame[[*NUMBERS, *STRINGS, TARGET]]


def shopkit_file(frame: pd.DataFrame, name: str, overrides: list[str], folder: Path) -> Path:
    """Train two epochs, which is all that speed needs, and export."""
    run = shopkit.run("online_shoppers", [*overrides, "trainer.max_epochs=2", f"name={name}"], data=frame, folder=folder / name)
    return run.model_path


def scikit_pipeline(frame: pd.DataFrame) -> Pipeline:
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), NUMBERS), ("strings", OneHotEncoder(handle_unknown="ignore"), STRINGS)]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two iterations do not converge, and need not
        return make_pipeline(columns, MLPClassifier(64, max_iter=2, random_state=0)).fit(frame[NUMBERS + STRINGS], frame[TARGET])


def converted(pipeline: Pipeline) -> bytes:
    inputs = [(name, FloatTensorType([None, 1])) for name in NUMBERS] + [(name, StringTensorType([None, 1])) for name in STRINGS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = to_onnx(pipeline, initial_types=inputs, options={"zipmap": False}, target_opset={"": 21, "ai.onnx.ml": 3})
    return bytes(model.SerializeToString())


def floor() -> bytes:
    """A graph that takes the 17 columns and adds two of them."""
    kinds = dict.fromkeys(NUMBERS, onnx.TensorProto.FLOAT) | dict.fromkeys(STRINGS, onnx.TensorProto.STRING)
    inputs = [onnx.helper.make_tensor_value_info(name, kind, ["N"]) for name, kind in kinds.items()]
    output = onnx.helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, ["N"])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", NUMBERS[:2], ["sum"])], "floor", inputs, [output])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    return bytes(model.SerializeToString())


def session(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def medians(contestants: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """Median microseconds of a call of each, taking turns for about so many seconds.

    Processor time of the one thread, so that a busy machine does not decide; short calls are timed in blocks.
    """
    blocks = {}
    for name, call in contestants.items():
        for _ in range(3):
            call()
        start = time.thread_time()
        call()
        blocks[name] = max(1, int(BLOCK_SECONDS / max(time.thread_time() - start, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in contestants}
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        for name, call in contestants.items():
            start = time.thread_time()
            for _ in range(blocks[name]):
                call()
            times[name].append((time.thread_time() - start) / blocks[name])
    return {name: float(np.median(of_one)) * 1e6 for name, of_one in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--seconds", type=float, default=4.0, help="of measuring, for each group")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    frame = table(arguments.path)
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "plain": shopkit_file(frame, "plain", PLAIN, Path(folder)),
            "default": shopkit_file(frame, "default", [], Path(folder)),
        }
        sessions = {name: session(path.read_bytes()) for name, path in files.items()}
        predictor = shopkit.Predictor(files["plain"])
    pipeline = scikit_pipeline(frame)
    sessions["skl2onnx"] = session(converted(pipeline))
    sessions["floor"] = session(floor())

    figures: dict[str, dict[str, float]] = {}
    for n_rows in (1, N_MANY):
        rows = {name: frame[name].to_numpy()[:n_rows].copy() for name in NUMBERS + STRINGS}
        contestants = {}
        for name, of_one in sessions.items():
            feed = {key: values.reshape(-1, 1) if name == "skl2onnx" else values for key, values in rows.items()}
            contestants[name] = lambda of_one=of_one, feed=feed: of_one.run(None, feed)
        figures[f"session.run, {n_rows} rows"] = medians(contestants, arguments.seconds)
    row = json.loads(frame[NUMBERS + STRINGS].iloc[0].to_json())
    one = frame[NUMBERS + STRINGS].iloc[:1]
    contestants = {"Predictor(dict)": lambda: predictor(row), "predict_proba(DataFrame)": lambda: pipeline.predict_proba(one)}
    figures["one row"] = medians(contestants, arguments.seconds)

    for group, of_group in figures.items():
        print(group)
        for name, value in of_group.items():
            print(f"  {name:26} {value:10.1f} µs")
    single, many, dicts = figures["session.run, 1 rows"], figures[f"session.run, {N_MANY} rows"], figures["one row"]
    ratios = {
        "plain / skl2onnx, 1 row (at most 1)": single["plain"] / single["skl2onnx"],
        f"plain / skl2onnx, {N_MANY} rows (at most 1)": many["plain"] / many["skl2onnx"],
        "default / plain, 1 row (at most 3)": single["default"] / single["plain"],
        f"default / plain, {N_MANY} rows (at most 3)": many["default"] / many["plain"],
        "scikit-learn / Predictor, one row (at least 60, aim 100)": dicts["predict_proba(DataFrame)"] / dicts["Predictor(dict)"],
    }
    for name, ratio in ratios.items():
        print(f"{name:60} {ratio:8.2f}")
    if arguments.json:
        machine = {"processor": platform.processor() or platform.machine(), "python": platform.python_version()}
        machine |= {package: version(package) for package in ("onnxruntime", "scikit-learn", "skl2onnx", "numpy")}
        arguments.json.write_text(json.dumps({"microseconds": figures, "ratios": ratios, "machine": machine}, indent=2))


if __name__ == "__main__":
    main()
