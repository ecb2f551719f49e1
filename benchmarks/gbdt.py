"""LightGBM through shopkit beside LightGBM called directly, with the same rows, columns and settings.

    python benchmarks/gbdt.py [PATH] [--json FILE] [--repeats 2000]

PATH is the CSV of https://archive.ics.uci.edu/dataset/468 (Online Shoppers, 17 raw columns); without it, a made table of the same
shape. Direct: a DataFrame with pandas categories, `lightgbm.train` with the parameters below, stopped early by AUROC on the
validation rows of shopkit's own split. shopkit: `model=gbdt` with its defaults, calibration off so that both give LightGBM's
own probability; the figures are those of the exported file. One raw row: `Booster.predict` on a one-row DataFrame whose
categories are converted already, against the file in a bare ONNX Runtime session, raw columns in, and by `Predictor` on a dict;
contestants take turns, each figure is a median. One thread. Needs plugins/shopkit-gbdt. Exits with 1 if the file differs by
more than 1e-5, its AUROC by more than 0.001, or if it is less than 20 times as fast in the session.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score
from timing import of_this_machine

import shopkit

TARGET = "Revenue"
CODES = {"OperatingSystems": 8, "Browser": 13, "Region": 9, "TrafficType": 20}
WORDS = {"Month": 10, "VisitorType": 3}
STRINGS = [*CODES, *WORDS]
N_ROUNDS, PATIENCE = 400, 50
PARAMETERS = {
    "objective": "binary", "metric": "auc", "learning_rate": 0.03, "num_leaves": 31, "min_data_in_leaf": 20,
    "deterministic": True, "force_col_wise": True, "num_threads": 1, "seed": 0, "verbose": -1,
}  # fmt: skip
LEAST_SPEED_UP, MOST_DIFFERENCE, MOST_AUROC_DIFFERENCE = 20, 1e-5, 1e-3


def made_table(path: Path) -> Path:
    """11 numbers, 6 strings and a target that depends on some of them, as a CSV."""
    rng = np.random.default_rng(0)
    n = 12_330
    numbers = [
        "Administrative", "Administrative_Duration", "Informational", "Informational_Duration", "ProductRelated",
        "ProductRelated_Duration", "BounceRates", "ExitRates", "PageValues", "SpecialDay", "Weekend",
    ]  # fmt: skip
    columns: dict[str, Any] = {name: np.round(rng.gamma(0.5, 10.0, n), 3) for name in numbers}
    columns |= {name: rng.integers(1, size + 1, n) for name, size in CODES.items()}
    columns |= {name: [f"{name[:3]}{code}" for code in rng.integers(0, size, n)] for name, size in WORDS.items()}
    signal = np.log1p(columns["PageValues"]) + 0.3 * (columns["TrafficType"] % 3) - 3.5
    columns[TARGET] = rng.random(n) < 1 / (1 + np.exp(-signal))
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def through_shopkit(path: Path, folder: Path) -> shopkit.Run:
    overrides = [f"source.path={path}", "model=gbdt", "model.n_threads=1", "task.calibration=none", "evaluation.baselines=[]"]
    overrides += ["evaluation.permutation_repeats=0", "evaluation.n_bootstrap=0"]
    return shopkit.run("online_shoppers", overrides, folder=folder / "run")


def frame_of(path: Path, parts: np.ndarray) -> pd.DataFrame:
    """The raw table, each string column with the categories of the training rows, by falling count as shopkit numbers them."""
    table = pd.read_csv(path, dtype=dict.fromkeys(STRINGS, str))
    for name in STRINGS:
        counts = table.loc[parts == "train", name].value_counts()
        order = sorted(counts.index, key=lambda category: (-counts[category], category))
        table[name] = pd.Categorical(table[name].where(table[name].isin(order)), order)
    return table.astype({name: np.float32 for name in table.columns if name not in (*STRINGS, TARGET)})


def directly(table: pd.DataFrame, target: np.ndarray, parts: np.ndarray) -> lightgbm.Booster:
    train, validation = parts == "train", parts == "validation"
    rows = lightgbm.Dataset(table[train], target[train])
    held_out = lightgbm.Dataset(table[validation], target[validation], reference=rows)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    return lightgbm.train(PARAMETERS, rows, N_ROUNDS, valid_sets=[held_out], callbacks=[stop])


def one_row_medians(contestants: dict[str, Callable[[int], Any]], repeats: int) -> dict[str, float]:
    """Median microseconds of a call, by turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for at in range(-20, repeats):
        for name, call in contestants.items():
            start = time.perf_counter()
            call(at % 1000)
            if at >= 0:
                seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(found)) * 1e6 for name, found in seconds.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, nargs="?")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--repeats", type=int, default=2000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        figures = measure(asked.path or made_table(Path(scratch) / "made.csv"), Path(scratch), asked.repeats)
    figures["table"] = asked.path.name if asked.path else "made"
    print(json.dumps(figures, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    kept = (
        figures["largest_difference"] <= MOST_DIFFERENCE
        and abs(figures["auroc_shopkit"] - figures["auroc_direct"]) <= MOST_AUROC_DIFFERENCE
        and figures["speed_up"] >= LEAST_SPEED_UP
    )
    return 0 if kept else 1


def measure(path: Path, folder: Path, repeats: int) -> dict[str, Any]:
    run = through_shopkit(path, folder)
    parts = pq.read_table(run.split_path)["part"].to_numpy().astype(str)
    predictor = shopkit.Predictor(run.path)
    table = frame_of(path, parts)
    target = table.pop(TARGET).to_numpy(int)
    booster = directly(table, target, parts)

    raw = pd.read_csv(path, dtype=dict.fromkeys(STRINGS, str)).drop(columns=TARGET)
    test = parts == "test"
    answers = np.asarray(predictor(raw[test])["probability"])
    expected = np.asarray(booster.predict(table[test]))
    rows = raw[test][:1000].to_dict("records")
    frames = [table[test][at : at + 1] for at in range(len(rows))]
    feeds = [feed(predictor, row) for row in rows]
    medians = one_row_medians(
        {
            "lightgbm_dataframe_us": lambda at: booster.predict(frames[at], num_threads=1),
            "predictor_dict_us": lambda at: predictor(rows[at]),
            "session_us": lambda at: predictor.session.run(None, feeds[at]),
        },
        repeats,
    )
    return {
        "rows": {part: int((parts == part).sum()) for part in ("train", "validation", "test")},
        "trees_direct": booster.best_iteration,
        "trees_shopkit": run.facts("train")["best_iteration"],
        "auroc_direct": float(roc_auc_score(target[test], expected)),
        "auroc_shopkit": float(roc_auc_score(target[test], answers)),
        "largest_difference": float(np.abs(answers - expected).max()),
        "file_kib": round((run.path / "model.onnx").stat().st_size / 1024, 1),
        **{name: round(median, 1) for name, median in medians.items()},
        "speed_up": round(medians["lightgbm_dataframe_us"] / medians["session_us"], 1),
        "speed_up_predictor": round(medians["lightgbm_dataframe_us"] / medians["predictor_dict_us"], 1),
        "machine": of_this_machine("shopkit", "shopkit-gbdt", "lightgbm", "onnxruntime", "pandas"),
    }


def feed(predictor: shopkit.Predictor, row: dict[str, Any]) -> dict[str, np.ndarray]:
    """One raw row as the session takes it."""
    dtypes = {"number": np.float32, "string": object, "time": np.int64}
    names = predictor.description.inputs
    return {names[column.name]: np.array([row[column.name]], dtypes[column.kind]) for column in predictor.inputs}


if __name__ == "__main__":
    sys.exit(main())
