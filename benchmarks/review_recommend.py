"""Women's clothing reviews: do text and table together tell better than either alone who recommends the garment?

    python benchmarks/review_recommend.py PATH [--model linear] [--folds 5] [--json FILE]

PATH is the table of Women's E-Commerce Clothing Reviews (Kaggle, nicapotato) as CSV or Parquet; rows without a text are left out.
By `shopkit.run("review_recommend", …)` on the same stratified folds (scikit-learn's `StratifiedKFold(5, shuffle=True,
random_state=0)`, 10 % of the rest to choose and calibrate by): title and text, age and department, and all four. Beside them
scikit-learn's word 1–2-gram TF-IDF of title and text with a balanced logistic regression, on all rows outside the fold.
shopkit's figures are those of the exported file. Intervals: 500 resamples of the rows of each fold, the same for all.
Exits with 1 if the four together do not beat either alone by an interval above zero, in AUROC and macro F1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from timing import of_this_machine

import shopkit

TARGET, TEXTS, TABLE = "Recommended IND", ["Title", "Review Text"], ["Age", "Department Name"]
LEFT_OUT = {"text and table": [], "text alone": TABLE, "table alone": TEXTS}
QUIET = ["evaluation.baselines=[]", "evaluation.cases=0", "evaluation.permutation_repeats=0", "evaluation.n_bootstrap=0",
         "evaluation.latency_seconds=0.1", "trainer.threads=1"]  # fmt: skip
SCIKIT_LEARN = "scikit-learn, TF-IDF of words 1–2, balanced"
METRICS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "AUROC": lambda target, score, label: float(roc_auc_score(target, score)),
    "macro F1": lambda target, score, label: float(f1_score(target, label, average="macro")),
    "accuracy": lambda target, score, label: float(accuracy_score(target, label)),
}
Answers = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of a fold's rows: target (1 recommends), score, label."""


def of_file(
    path: Path, model: str, fold: int, left_out: list[str], overrides: list[str], folder: Path
) -> tuple[Answers, shopkit.Run]:
    """What the exported file answers for the fold."""
    ignored = ",".join(f'"{name}"' for name in left_out)
    chosen = [f"source.path={path}", f"model={model}", f"features.ignore=[{ignored}]", "split=kfold", f"split.fold={fold}",
              "split.validation_fraction=0.1", *QUIET, *overrides]  # fmt: skip
    run = shopkit.run("review_recommend", chosen, folder=folder)
    found = pd.read_parquet(run.predictions_path)
    # The file gives the probability of the rarer answer, no.
    return (found["target"].to_numpy(int), -found["probability"].to_numpy(), found["label"].to_numpy(int)), run


def of_scikit_learn(run: shopkit.Run) -> Answers:
    """Its answers for the same fold."""
    rows = pd.read_parquet(run.examples_path)
    is_test = (pd.read_parquet(run.split_path)["part"] == "test").to_numpy()
    texts = rows["Title"].fillna("") + " " + rows["Review Text"]
    vectorizer = TfidfVectorizer(ngram_range=(1, 2))
    model = LogisticRegression(class_weight="balanced", max_iter=2000)
    target = rows[TARGET].to_numpy(int)
    model.fit(vectorizer.fit_transform(texts[~is_test]), target[~is_test])
    terms = vectorizer.transform(texts[is_test])
    return target[is_test], model.predict_proba(terms)[:, 1], model.predict(terms)


def measured(folds: list[Answers], rows: list[np.ndarray] | None = None) -> dict[str, float]:
    """The mean over the folds, each of these rows."""
    chosen = folds if rows is None else [tuple(values[i] for values in fold) for fold, i in zip(folds, rows, strict=True)]
    return {name: float(np.mean([metric(*fold) for fold in chosen])) for name, metric in METRICS.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--model", default="linear")
    parser.add_argument("--folds", type=int, default=5, help="how many of the five folds")
    parser.add_argument("--override", action="append", default=[], help="a Hydra override for the shopkit runs, may be repeated")
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--json", type=Path, help="write the figures and the machine to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    answers: dict[str, list[Answers]] = {name: [] for name in [*LEFT_OUT, SCIKIT_LEARN]}
    with tempfile.TemporaryDirectory() as folder:
        for fold in range(arguments.folds):
            for name, left_out in LEFT_OUT.items():
                place = Path(folder) / f"{fold}-{name}"
                found, run = of_file(arguments.path.resolve(), arguments.model, fold, left_out, arguments.override, place)
                answers[name].append(found)
                if name == "text and table":
                    answers[SCIKIT_LEARN].append(of_scikit_learn(run))
                print(f"fold {fold}, {name}: AUROC {METRICS['AUROC'](*found):.4f}", flush=True)
    rng = np.random.default_rng(0)
    draws = [[rng.integers(0, len(fold[0]), len(fold[0])) for fold in answers["text alone"]] for _ in range(arguments.resamples)]
    figures = {name: measured(folds) for name, folds in answers.items()}
    samples = {name: [measured(folds, rows) for rows in draws] for name, folds in answers.items()}
    beaten = True
    for name, found in figures.items():
        print(f"{name:48} " + "  ".join(f"{metric} {value:.4f}" for metric, value in found.items()))
    differences: dict[str, dict[str, list[float]]] = {}
    for name in list(answers)[1:]:
        differences[name] = {}
        for metric in METRICS:
            drawn = [
                joined[metric] - other[metric] for joined, other in zip(samples["text and table"], samples[name], strict=True)
            ]
            low, high = (float(np.quantile(drawn, share)) for share in (0.025, 0.975))
            value = figures["text and table"][metric] - figures[name][metric]
            differences[name][metric] = [value, low, high]
            beaten &= low > 0 or metric == "accuracy" or name == SCIKIT_LEARN
            print(f"text and table − {name}, {metric}: {value:+.4f} [{low:+.4f}, {high:+.4f}]")
    if arguments.json:
        machine = of_this_machine("shopkit", "onnxruntime", "scikit-learn", "torch")
        about = {"model": arguments.model, "folds": arguments.folds, "overrides": arguments.override, "machine": machine}
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        report = {**about, "figures": figures, "text and table minus": differences}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0 if beaten else 1


if __name__ == "__main__":
    sys.exit(main())
