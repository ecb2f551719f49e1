"""Online Shoppers Purchasing Intention (UCI 468): shopkit beside strong baselines on the same stratified five folds.

    python benchmarks/online_shoppers.py PATH [--models mlp linear] [--seed 0] [--json FILE]

PATH is the CSV of https://archive.ics.uci.edu/dataset/468. Folds: scikit-learn's `StratifiedKFold(5, shuffle=True,
random_state=0)`, all 17 columns. shopkit's figures are those of the exported .onnx file on raw columns, by
`shopkit.run("online_shoppers", …)`: from each fold's training rows it takes 15 % to stop early and to calibrate, and so fits
on fewer rows than the baselines, which fit on all of them and stop nowhere. One thread.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import torch
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer
from timing import of_this_machine

import shopkit

TARGET = "Revenue"
CODES = ["Month", "OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType", "Weekend"]
FOLDS = 5

Scores = Callable[[pd.DataFrame, np.ndarray, pd.DataFrame], np.ndarray]
"""Training rows, their labels, test rows → scores of the test rows."""


def boosted_trees(train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    model = lightgbm.LGBMClassifier(n_estimators=200, learning_rate=0.03, num_threads=1, verbose=-1)
    return np.asarray(model.fit(train, target).predict_proba(test))[:, 1]


def on_quantile_normal(estimator: MLPClassifier | LogisticRegression) -> Scores:
    """Numbers as quantile-normal scores, the rest one-hot."""

    def scores(train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame) -> np.ndarray:
        numbers = [name for name in train if name not in CODES]
        columns = make_column_transformer(
            (QuantileTransformer(output_distribution="normal", random_state=0), numbers),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), CODES),
        )
        return np.asarray(make_pipeline(columns, estimator).fit(train, target).predict_proba(test))[:, 1]

    return scores


BASELINES: dict[str, Scores] = {
    "LightGBM, 200 × 0.03, native categories": boosted_trees,
    "scikit-learn MLP(64), quantile-normal": on_quantile_normal(
        MLPClassifier((64,), early_stopping=True, max_iter=200, random_state=0)
    ),
    "scikit-learn LogisticRegression, quantile-normal": on_quantile_normal(LogisticRegression(max_iter=2000)),
}


def baseline_figures(path: Path, scores: Scores) -> list[dict[str, float]]:
    """AUROC and average precision of a baseline on every fold."""
    table = pd.read_csv(path)
    target = table.pop(TARGET).to_numpy(int)
    table[CODES] = table[CODES].astype(str).astype("category")
    rows = []
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(table, target):
        start = time.perf_counter()
        found = scores(table.iloc[train], target[train], table.iloc[test])
        rows.append(
            {
                "auroc": float(roc_auc_score(target[test], found)),
                "average_precision": float(average_precision_score(target[test], found)),
                "seconds": time.perf_counter() - start,
            }
        )
    return rows


def shopkit_figures(path: Path, model: str, overrides: list[str], folder: Path) -> list[dict[str, float]]:
    """The same of the file that shopkit exports."""
    rows = []
    for fold in range(FOLDS):
        chosen = [f"source.path={path}", "split=kfold", f"split.fold={fold}", f"model={model}", *overrides]
        start = time.perf_counter()
        run = shopkit.run("online_shoppers", chosen, folder=folder / f"{model}-{fold}")
        seconds = time.perf_counter() - start
        test, validation = run.metrics["metrics"]["test"], run.metrics["metrics"]["validation"]
        rows.append(
            {
                "auroc": test["auroc"]["value"],
                "average_precision": test["average_precision"]["value"],
                "validation_auroc": validation["auroc"]["value"],
                "validation_average_precision": validation["average_precision"]["value"],
                "seconds": seconds,
            }
        )
    return rows


def line(name: str, rows: list[dict[str, float]]) -> str:
    column = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    text = f"{name:50} {column['auroc'].mean():.4f} ± {column['auroc'].std():.4f}   {column['average_precision'].mean():.4f}"
    text += f"   {column['seconds'].mean():7.1f}"
    if "validation_auroc" in column:
        text += f"   (validation {column['validation_auroc'].mean():.4f} / {column['validation_average_precision'].mean():.4f})"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--models", nargs="*", default=["mlp", "linear"])
    parser.add_argument("--override", action="append", default=[], help="a Hydra override for the shopkit runs, may be repeated")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--json", type=Path, help="write the figures and the machine to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    print(f"{'':50} {'AUROC':15}   AP       seconds a fold")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for model in arguments.models:
            name = f"shopkit {model}, exported file"
            results[name] = shopkit_figures(arguments.path.resolve(), model, arguments.override, Path(folder))
            print(line(name, results[name]), flush=True)
    if not arguments.no_baselines:
        for name, scores in BASELINES.items():
            results[name] = baseline_figures(arguments.path, scores)
            print(line(name, results[name]), flush=True)
    if arguments.json:
        machine = of_this_machine("shopkit", "torch", "onnxruntime", "lightgbm", "scikit-learn")
        report = {"machine": machine, "overrides": arguments.override, "folds": results}
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
