"""TF-IDF in the graph beside scikit-learn's `TfidfVectorizer`: are they equal, and how fast is each?

    python benchmarks/text_features.py --zh PATH --en PATH [--json FILE]

PATHs are tables of reviews, Parquet or CSV: online_shopping_10_cats (`review`, https://github.com/SophonPlus/ChineseNlpCorpus)
and Women's E-Commerce Clothing Reviews (`Review Text`, CC0). Both learn from the first 20,000 distinct reviews; 1,000 others are
compared, weight by weight. Both begin with an array of strings; shopkit's graph runs in ONNX Runtime on one thread and gives
padded ids and weights, scikit-learn a sparse matrix. They take turns, each figure is a median. Exits with 1 if the vocabularies
differ, or any weight by more than 1e-5.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from timing import medians, of_this_machine

from shopkit.features.graph import fit
from shopkit.features.plan import resolve
from shopkit.features.settings import FeaturePlan
from shopkit.features.training_part import training_part
from shopkit.features.transform import session
from shopkit.registry import load_registry
from shopkit.schema import INPUT_PREFIX, Column, Schema

N_TRAIN, N_COMPARED = 20_000, 1000
MOST_DIFFERENCE = 1e-5
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Chinese, characters 1–2": ("zh", "review", {"analyzer": "char", "ngram_range": [1, 2]}),
    "Chinese, characters 1–3, sublinear": ("zh", "review", {"analyzer": "char", "ngram_range": [1, 3], "sublinear_tf": True}),
    "English, words 1–2": ("en", "Review Text", {"analyzer": "word", "ngram_range": [1, 2]}),
    "English, characters 2–4 within words": ("en", "Review Text", {"analyzer": "char_wb", "ngram_range": [2, 4]}),
}


def texts(path: Path, column: str) -> np.ndarray:
    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    return table[column].dropna().drop_duplicates().to_numpy(object)[: N_TRAIN + N_COMPARED]


def graph(train: np.ndarray, settings: Mapping[str, Any]) -> tuple[Callable[[np.ndarray], list[np.ndarray]], list[str], int]:
    """The fitted graph as a function, its terms, and its size."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "examples.parquet"
        pq.write_table(pa.table({"x": pa.array(train.tolist())}), path)
        plan = FeaturePlan(columns={"x": {"name": "tfidf", "min_df": 1, **settings}})
        with training_part(path, np.ones(len(train), bool)) as context:
            schema = Schema((Column("x", "string"),))
            fitted = fit(resolve(plan, schema, context, {"features:bags"}, load_registry("")), context)
    run = session(fitted.model)
    terms = [name.removeprefix("x: ") for name in fitted.spec.blocks[0].names]
    size = fitted.model.ByteSize()
    return lambda rows: run.run(["bag_ids", "bag_weights"], {f"{INPUT_PREFIX}x": rows}), terms, size


def sparse(ids: np.ndarray, weights: np.ndarray, width: int) -> csr_matrix:
    there = weights != 0
    rows = np.nonzero(there)[0]
    return csr_matrix((weights[there].astype(np.float64), (rows, ids[there])), (len(ids), width))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zh", type=Path, required=True)
    parser.add_argument("--en", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=6.0, help="of measuring, for each line")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures: dict[str, dict[str, Any]] = {}
    equal = True
    for case, (language, column, settings) in CASES.items():
        found = texts(getattr(arguments, language), column)
        train, others = found[:N_TRAIN], found[-N_COMPARED:]
        start = time.process_time()
        ours, terms, size = graph(train, settings)
        fitted = time.process_time()
        theirs = TfidfVectorizer(**{**settings, "ngram_range": tuple(settings["ngram_range"])}).fit(train)
        done = time.process_time()
        difference = float(abs(sparse(*ours(others), len(terms)) - theirs.transform(others)).max())
        same = list(theirs.get_feature_names_out()) == terms
        equal &= same and difference <= MOST_DIFFERENCE
        figures[case] = {
            "terms": len(terms),
            "same vocabulary": same,
            "largest difference": difference,
            "bytes": size,
            "fit, processor seconds": fitted - start,
            "scikit-learn's fit": done - fitted,
        }
        verdict = "equal" if same else "NOT equal"
        print(f"{case}: {len(terms):,} terms, {size / 1e6:.1f} MB; vocabularies are {verdict}, weights differ")
        print(f"  by {difference:.1e} at most; fitted in {fitted - start:.1f} s, scikit-learn {done - fitted:.1f} s")
        for n_rows in (1, N_COMPARED):
            rows = others[:n_rows]
            calls = {"graph": partial(ours, rows), "scikit-learn": partial(theirs.transform, rows)}
            found = medians(calls, arguments.seconds, spread := {}, warm_up=1)
            times = {name: micro / 1e3 for name, micro in found.items()}
            figures[case][f"spread in microseconds, {n_rows} rows"] = spread
            figures[case][f"milliseconds, {n_rows} rows"] = times
            ratio = times["scikit-learn"] / times["graph"]
            shown = "  ".join(f"{name} {value:9.3f} ms" for name, value in times.items())
            print(f"  {n_rows:5} rows: {shown}  {ratio:.2f}× as fast", flush=True)
    if arguments.json:
        machine = of_this_machine("shopkit", "onnxruntime", "scikit-learn", "numpy")
        arguments.json.write_text(json.dumps({"cases": figures, "machine": machine}, indent=2, ensure_ascii=False) + "\n")
    return int(not equal)


if __name__ == "__main__":
    sys.exit(main())
