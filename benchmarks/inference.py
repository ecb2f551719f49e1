"""Answers from one file: shopkit's plain MLP(64) beside skl2onnx, scikit-learn, and pandas with eager torch, one row and 4,096.

    python benchmarks/inference.py [PATH] [--json FILE]

PATH is the CSV of https://archive.ics.uci.edu/dataset/468 (Online Shoppers, 17 raw columns); without it, a made table of the
same shape. Both MLPs read raw columns, standardise numbers and one-hot encode strings, as one .onnx file. One thread, ONNX
Runtime on the CPU. Contestants take turns, each figure is a median of processor time. The feeding floor is a graph with the same
inputs that computes next to nothing: what any file with these columns must cost. Features cost what the file takes beyond the
bare model and feeding: file − bare model − (floor − empty call), where the empty call is a graph with the bare model's inputs
that computes next to nothing. For one row everyone starts from what a service has: a dict, or a DataFrame of one row; for 4,096
from a DataFrame, and from numpy columns. Where skl2onnx's file is wrong is told as well: on a row with a missing number.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
import torch
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from timing import missed, of_this_machine

import shopkit
from shopkit.bench.cut import halves
from shopkit.bench.files import idle

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


def by_pandas(frame: pd.DataFrame) -> Callable[[pd.DataFrame], np.ndarray]:
    """What a person writes to serve such a network: standardise, `get_dummies`, eager torch. Not trained, which takes as long."""
    mean, scale = frame[NUMBERS].mean(), frame[NUMBERS].std(ddof=0).replace(0, 1)
    known = pd.get_dummies(frame[STRINGS]).columns
    width = len(NUMBERS) + len(known)
    model = torch.nn.Sequential(torch.nn.Linear(width, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)).eval()

    def answer(rows: pd.DataFrame) -> np.ndarray:
        numbers = ((rows[NUMBERS] - mean) / scale).fillna(0)
        codes = pd.get_dummies(rows[STRINGS]).reindex(columns=known, fill_value=False)
        dense = np.concatenate([numbers.to_numpy(np.float32), codes.to_numpy(np.float32)], axis=1)
        with torch.inference_mode():
            return np.asarray(torch.sigmoid(model(torch.from_numpy(dense))).numpy())

    return answer


def medians(contestants: Mapping[str, Callable[[], Any]], seconds: float, spread: dict[str, Any]) -> dict[str, float]:
    """Median microseconds of a call of each, taking turns for about so many seconds; the middle half of them goes to `spread`.

    Processor time of the one thread, so that a busy machine does not decide; short calls are timed in blocks.
    """
    blocks = {}
    for name, call in contestants.items():
        fastest = 1.0
        for _ in range(10):
            start = time.thread_time()
            call()
            fastest = min(fastest, time.thread_time() - start)
        blocks[name] = max(1, int(BLOCK_SECONDS / max(fastest, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in contestants}
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop:
        for name, call in contestants.items():
            start = time.thread_time()
            for _ in range(blocks[name]):
                call()
            times[name].append((time.thread_time() - start) / blocks[name])
    for name, of_one in times.items():
        low, median, high = (float(value) * 1e6 for value in np.quantile(of_one, (0.25, 0.5, 0.75)))
        spread[name] = {"median": median, "low": low, "high": high}
    return {name: spread[name]["median"] for name in times}


def missing_number(predictor: shopkit.Predictor, of_skl2onnx: ort.InferenceSession, row: Mapping[str, Any]) -> dict[str, str]:
    """What each file says of a row without its page value."""
    asked = {**row, "PageValues": None}
    feed = {name: np.array([[np.nan if asked[name] is None else asked[name]]], np.float32) for name in NUMBERS}
    feed |= {name: np.array([[asked[name]]], object) for name in STRINGS}
    label, probabilities = of_skl2onnx.run(None, feed)
    ours = predictor(asked)
    return {
        "shopkit": f"probability {ours['probability']:.3f}, label {ours['label']}",
        "skl2onnx": f"probability {float(np.asarray(probabilities)[0, 1]):.3f}, label {np.asarray(label)[0]}",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--seconds", type=float, default=6.0, help="of measuring, for each group")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    frame = table(arguments.path)
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "plain": shopkit_file(frame, "plain", PLAIN, Path(folder)),
            "default": shopkit_file(frame, "default", [], Path(folder)),
        }
        contents = {name: path.read_bytes() for name, path in files.items()}
        predictor = shopkit.Predictor(files["plain"])
    parts = {name: halves(onnx.ModelProto.FromString(content)) for name, content in contents.items()}
    sessions = {name: session(content) for name, content in contents.items()}
    pipeline = scikit_pipeline(frame)
    sessions["skl2onnx"] = session(converted(pipeline))
    sessions["floor"] = session(floor())
    features = {name: session(first.SerializeToString()) for name, (first, _) in parts.items()}
    bare = {name: session(second.SerializeToString()) for name, (_, second) in parts.items()}
    empty = {name: session(idle([(v.name, v.type, v.shape) for v in of.get_inputs()])) for name, of in bare.items()}

    figures: dict[str, dict[str, float]] = {}
    spread: dict[str, dict[str, Any]] = {}
    for n_rows in (1, N_MANY):
        rows = {name: frame[name].to_numpy()[:n_rows].copy() for name in NUMBERS + STRINGS}
        contestants: dict[str, Callable[[], Any]] = {}
        for name, of_one in sessions.items():
            feed = {key: values.reshape(-1, 1) if name == "skl2onnx" else values for key, values in rows.items()}
            contestants[name] = lambda of_one=of_one, feed=feed: of_one.run(None, feed)
        for name in parts:
            tensors = dict(
                zip([value.name for value in features[name].get_outputs()], features[name].run(None, rows), strict=True)
            )
            contestants[f"{name}, bare model"] = lambda of=bare[name], tensors=tensors: of.run(None, tensors)
            contestants[f"{name}, empty call"] = lambda of=empty[name], tensors=tensors: of.run(None, tensors)
        line = f"session.run, {n_rows} rows"
        figures[line] = medians(contestants, arguments.seconds, spread.setdefault(line, {}))
    row = json.loads(frame[NUMBERS + STRINGS].iloc[0].to_json())
    with_pandas = by_pandas(frame)
    for n_rows, what, asked in ((1, "one row", row), (N_MANY, f"{N_MANY} rows", frame[NUMBERS + STRINGS].iloc[:N_MANY])):
        some = frame[NUMBERS + STRINGS].iloc[:n_rows]
        contestants = {
            "Predictor(dict)" if n_rows == 1 else "Predictor(DataFrame)": lambda asked=asked: predictor(asked),
            "scikit-learn, predict_proba(DataFrame)": lambda some=some: pipeline.predict_proba(some),
            "pandas and eager torch(DataFrame)": lambda some=some: with_pandas(some),
        }
        figures[what] = medians(contestants, arguments.seconds, spread.setdefault(what, {}))

    for group, of_group in figures.items():
        print(group)
        for name, value in of_group.items():
            print(f"  {name:40} {value:10.1f} µs")
    single, many = figures["session.run, 1 rows"], figures[f"session.run, {N_MANY} rows"]
    dicts, frames = figures["one row"], figures[f"{N_MANY} rows"]
    scikit, pandas = "scikit-learn, predict_proba(DataFrame)", "pandas and eager torch(DataFrame)"
    n_columns = len(NUMBERS) + len(STRINGS)
    cost = {
        name: single[name] - single[f"{name}, bare model"] - (single["floor"] - single[f"{name}, empty call"]) for name in parts
    }
    ratios = {
        "plain / skl2onnx, 1 row (at most 1)": single["plain"] / single["skl2onnx"],
        f"plain / skl2onnx, {N_MANY} rows (at most 1)": many["plain"] / many["skl2onnx"],
        "skl2onnx / plain beyond the feeding floor, 1 row (1.5 tried for)": (single["skl2onnx"] - single["floor"])
        / (single["plain"] - single["floor"]),
        f"skl2onnx / plain beyond the feeding floor, {N_MANY} rows (1.5 tried for)": (many["skl2onnx"] - many["floor"])
        / (many["plain"] - many["floor"]),
        "default / plain, 1 row (at most 3)": single["default"] / single["plain"],
        f"default / plain, {N_MANY} rows (at most 3)": many["default"] / many["plain"],
        "scikit-learn / Predictor, one row (at least 60, aim 100)": dicts[scikit] / dicts["Predictor(dict)"],
        "pandas and eager torch / Predictor, one row (at least 40)": dicts[pandas] / dicts["Predictor(dict)"],
        f"scikit-learn / the file, {N_MANY} rows (at least 4)": frames[scikit] / many["plain"],
        f"pandas and eager torch / the file, {N_MANY} rows (at least 4)": frames[pandas] / many["plain"],
        f"scikit-learn / Predictor(DataFrame), {N_MANY} rows": frames[scikit] / frames["Predictor(DataFrame)"],
        f"pandas and eager torch / Predictor(DataFrame), {N_MANY} rows": frames[pandas] / frames["Predictor(DataFrame)"],
        "features of plain, µs a raw column (at most 2)": cost["plain"] / n_columns,
        "features of default, µs a raw column (at most 2)": cost["default"] / n_columns,
    }
    for name, ratio in ratios.items():
        print(f"{name:75} {ratio:8.2f}")
    answers = missing_number(predictor, sessions["skl2onnx"], row)
    for name, answer in answers.items():
        print(f"a missing number, {name}: {answer}")
    if arguments.json:
        machine = of_this_machine("onnxruntime", "scikit-learn", "skl2onnx", "numpy", "pandas", "torch")
        result = {"microseconds": spread, "ratios": ratios, "missing_number": answers, "machine": machine}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    short = missed(ratios)
    for name in short:
        print(f"missed: {name}")
    return len(short)


if __name__ == "__main__":
    sys.exit(main())
