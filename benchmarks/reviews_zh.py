"""Chinese product reviews, favourable or not: networks that read the characters, joined with character TF-IDF.

    python benchmarks/reviews_zh.py PATH [--model lstm|bert] [--override KEY=VALUE …] [--json FILE]

PATH is online_shopping_10_cats as Parquet or CSV (`label`, `review`; https://github.com/SophonPlus/ChineseNlpCorpus), split as in
reviews_zh_linear.py, whose scikit-learn reference (character 1–2-gram TF-IDF and logistic regression) is fitted beside it. `lstm`
is bidirectional over characters, and learns for six epochs to foretell the next one and the one before, then to judge; `bert` is
a small Transformer from scratch over word pieces learned from the training part. Each stands beside terms fitted as `linear` fits
them, weighed against each other on the validation part. Neither has seen any other text. shopkit's figures are those of the
exported file.
Exits with 1 if the file's accuracy is below 0.945.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from figures import answers, options, show, write
from reviews_zh_linear import READ, THREE, reviews, scikit_learn, scores
from timing import of_this_machine

import shopkit

GOAL = 0.945
COMMON = [
    "view=table", "view.target=label", "task=binary", "split=given", "split.column=part", "evaluation.baselines=[]",
    "evaluation.permutation_repeats=0", "evaluation.latency_seconds=0.2", "trainer.threads=1",
    "model.terms=fitted", "model.linear.prior=naive_bayes",
    "trainer.schedule=cosine", "trainer.warmup=0.05", "trainer.gradient_clip=1", "trainer.batch_size=64",
]  # fmt: skip
MODELS = {
    "lstm": [
        "model=lstm", READ.format(f"{{name: characters, max_length: 160}}, {THREE}"),
        "model.bidirectional=true", "model.pooling=concat", "model.hidden_dim=256", "model.token_dim=128",
        "model.dropout=0.3", "model.token_dropout=0.1", "model.head.hidden=[64]", "model.pretrain_epochs=6",
        "trainer.lr=2e-3", "trainer.max_epochs=10", "trainer.patience=0", "trainer.ema_decay=0.998",
    ],
    "bert": [
        "model=bert", "model.encoder=scratch",
        READ.format(f"{{name: wordpiece, vocabulary: scratch, max_length: 160}}, {THREE}"),
        "model.hidden_dim=128", "model.layers=2", "model.dropout=0.2", "trainer.lr=4e-3", "trainer.max_epochs=6",
    ],
}  # fmt: skip


def exported_file(table: pd.DataFrame, overrides: list[str], folder: Path) -> dict[str, float]:
    start = time.perf_counter()
    run = shopkit.run(None, overrides, data=table, folder=folder / "run")
    seconds = time.perf_counter() - start
    print((run.path / "history.csv").read_text(encoding="utf-8"), flush=True)
    test = table[table["part"] == "test"]
    found = scores(test["label"].to_numpy(), answers(run, test[["review"]], "probability"))
    shares = {f"share of the {part}": share for part, share in (run.facts("train") or {})["shares"].items()}
    return {**found, **shares, "seconds": seconds, "bytes": run.model_path.stat().st_size}


def main() -> int:
    parser = options(__doc__ or "", "path")
    parser.add_argument("--model", choices=sorted(MODELS), default="lstm")
    parser.add_argument("--no-reference", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = reviews(arguments.path)
    print(f"{len(table):,} reviews: {table['part'].value_counts().to_dict()}", flush=True)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        overrides = [*COMMON, *MODELS[arguments.model], *arguments.override]
        found = results[f"shopkit {arguments.model}, exported file"] = exported_file(table, overrides, Path(folder))
    if not arguments.no_reference:
        results["scikit-learn, TfidfVectorizer + LogisticRegression"] = scikit_learn(table, (10.0,))
    show(results)
    write(
        arguments.json,
        {"results": results, "machine": of_this_machine("shopkit", "onnxruntime", "scikit-learn", "torch", "transformers")},
    )
    return int(found["accuracy"] < GOAL)


if __name__ == "__main__":
    sys.exit(main())
