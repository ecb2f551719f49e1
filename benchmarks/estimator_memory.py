"""What models that are not trained by gradients hold in memory for each training row, or interaction, while they are fitted.

    python benchmarks/estimator_memory.py [--only MODEL ...] [--json FILE]

Made-up features lie on disk as `transform` leaves them: of a table 14 numbers and 6 columns of 50 categories; of texts 20 terms
of 5,000; of histories the items, about 9 in each. Each model is fitted in a process of its own, on so many rows and on four times
as many, and its peak of anonymous memory, which nobody can take back, is seen from outside (as in scale.py). What it holds for
each is the difference of the two peaks over that of their numbers: what it takes whatever they are, such as LightGBM's sample for
bins, is left out. Beside it stands what the model itself says, by which a run warns. LightGBM that is given the same rows as one
float32 matrix is there to compare `gbdt` with.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import scale

MORE = 4
ROWS, N_DENSE, N_IDS, N_CATEGORIES = 1_500_000, 14, 6, 50
TEXTS, TERMS, N_TERMS = 200_000, 20, 5000
HISTORIES, N_ITEMS, MEAN_LENGTH = 150_000, 500, 8.9
MATRIX = "LightGBM, a matrix"
OF_TABLE, OF_TEXTS, OF_HISTORIES = "row of 20 columns", "row of 20 terms", "interaction"
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "gbdt": (OF_TABLE, {"name": "gbdt", "n_trees": 3, "n_threads": 1}),
    MATRIX: (OF_TABLE, {}),
    "hist_gbdt": (OF_TABLE, {"name": "hist_gbdt", "n_trees": 3}),
    "linear": (OF_TABLE, {"name": "linear", "max_iterations": 2, "l2": 1.0}),
    "linear, texts": (OF_TEXTS, {"name": "linear", "max_iterations": 2, "l2": 1.0, "prior": "naive_bayes"}),
    "popular": (OF_HISTORIES, {"name": "popular"}),
    "markov": (OF_HISTORIES, {"name": "markov"}),
    "item_knn": (OF_HISTORIES, {"name": "item_knn"}),
    "session_knn": (OF_HISTORIES, {"name": "session_knn"}),
    "ease": (OF_HISTORIES, {"name": "ease"}),
    "als": (OF_HISTORIES, {"name": "als", "iterations": 2}),
    "blend": (
        OF_HISTORIES,
        {
            "name": "blend",
            "neighbour_weights": [0.1],
            "follower_weights": [0.2],
            "trainer": {"max_epochs": 1, "max_steps": 1, "batch_size": 32},
        },
    ),
}
"""Model → what is counted, and its settings."""


def write(folder: Path, times: int) -> None:
    """The training parts of a table, of texts and of histories."""
    from shopkit.features.blocks import written

    rng = np.random.default_rng(0)
    n_rows, n_texts, n_histories = ROWS * times, TEXTS * times, HISTORIES * times
    with (
        written(folder / "train_dense.arrow", np.float32, (n_rows, N_DENSE)) as dense,
        written(folder / "train_ids.arrow", np.int64, (n_rows, N_IDS)) as ids,
    ):
        for start in range(0, n_rows, 1 << 16):
            n = min(1 << 16, n_rows - start)
            dense.add(rng.standard_normal((n, N_DENSE), np.float32))
            ids.add(rng.integers(2, N_CATEGORIES + 2, (n, N_IDS)))
    lengths = rng.geometric(1 / MEAN_LENGTH, n_histories)
    arrays = {
        "bag_ids": rng.integers(0, N_TERMS, n_texts * TERMS, np.int32),
        "bag_weights": np.full(n_texts * TERMS, TERMS**-0.5, np.float32),
        "sequence_ids": (N_ITEMS * rng.random((lengths.sum(), 1)) ** 3).astype(np.int32) + 2,
    }
    of_texts, of_histories = np.arange(n_texts + 1) * TERMS, np.concatenate([[0], np.cumsum(lengths)])
    for name, values in arrays.items():
        np.save(folder / f"train_{name}.npy", values)
        np.save(folder / f"train_{name}.offsets.npy", of_histories if name == "sequence_ids" else of_texts)


def problem(kind: str, folder: Path) -> tuple[Any, Any, Any]:
    """Features, task and training part."""
    from shopkit.features.base import FeatureBlock, FeatureSpec
    from shopkit.features.transform import load
    from shopkit.models.base import Arrays
    from shopkit.registry import load_registry

    registry, rng = load_registry(), np.random.default_rng(0)
    task = registry.build(registry.choice("tasks", "next_item" if kind == OF_HISTORIES else "binary"))
    if kind == OF_HISTORIES:
        task.state = {"classes": [f"item {i}" for i in range(N_ITEMS)], "counts": [1] * N_ITEMS}
        sequences = load(folder, "train", "sequence_ids")
        features = {"sequence_ids": sequences, "lengths": sequences.lengths}
        blocks = [FeatureBlock("history", "catalogue", "sequence_ids", 0, 1, ("history",), N_ITEMS + 2)]
        return FeatureSpec(tuple(blocks)), task, Arrays(features, rng.integers(0, N_ITEMS, len(sequences)))
    task.fit_target(np.array([0.0, 1.0]), None)
    if kind == OF_TEXTS:
        names = tuple(f"term {i}" for i in range(N_TERMS))
        blocks = [FeatureBlock("text", "tfidf", "bag", 0, N_TERMS, names, N_TERMS)]
    else:
        blocks = [FeatureBlock(f"x{i}", "identity", "dense", i, 1, (f"x{i}",)) for i in range(N_DENSE)]
        blocks += [FeatureBlock(f"c{i}", "vocabulary", "ids", i, 1, (f"c{i}",), N_CATEGORIES + 2) for i in range(N_IDS)]
    features = {name: load(folder, "train", name) for name in FeatureSpec(tuple(blocks)).shapes}
    n_rows = len(next(iter(features.values())))
    return FeatureSpec(tuple(blocks)), task, Arrays(features, rng.integers(0, 2, n_rows).astype(np.float32))


def fit(name: str, folder: Path) -> dict[str, int]:
    """In a process of its own: on how many rows or interactions it has been fitted, and what it said that it would hold."""
    from shopkit.features.tensors import Ragged
    from shopkit.models.base import Arrays, Estimator
    from shopkit.registry import load_registry

    kind, chosen = CASES[name]
    spec, task, train = problem(kind, folder)
    counted = len(train) + (int(np.sum(train.features["lengths"])) if kind == OF_HISTORIES else 0)
    if name == MATRIX:
        _fit_matrix(train)
        return {"counted": counted}

    def none_of(values: Any) -> Any:
        return Ragged(values.values[:0], values.offsets[:1], values.dtype) if isinstance(values, Ragged) else values[:0]

    nobody = Arrays({each: none_of(values) for each, values in train.features.items()}, train.target[:0])
    registry = load_registry()
    estimator: Estimator = registry.build(registry.choice("models", chosen), spec, task)
    held = estimator.holds(train, nobody)
    estimator.fit(train, nobody, 0)
    return {"counted": counted, "said": held}


def _fit_matrix(train: Any) -> None:
    import lightgbm as lgb

    def matrix() -> np.ndarray:
        return np.concatenate([np.asarray(train.features[each], np.float32) for each in ("dense", "ids")], axis=1)

    data = lgb.Dataset(matrix(), train.target, categorical_feature=list(range(N_DENSE, N_DENSE + N_IDS)))
    lgb.train({"objective": "binary", "num_threads": 1, "force_col_wise": True, "verbose": -1}, data, 3)


def measured(name: str, folder: Path) -> dict[str, int]:
    """Peak of anonymous memory of fitting, in bytes, and what `fit` says."""
    command = [sys.executable, __file__, "--child", name, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    memory = scale.Memory(process.pid)
    watcher = threading.Thread(target=memory.watch, daemon=True)
    watcher.start()
    said = process.communicate()[0]
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{name} stopped with exit code {process.returncode}.")
    return {**json.loads(said.splitlines()[-1]), "peak": int(memory.peak("anonymous") * 2**20)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="MODEL")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--child", nargs=2, metavar=("MODEL", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(fit(asked.child[0], Path(asked.child[1]))), flush=True)
        return 0
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    scale.EVERY = 0.005
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folders = {times: Path(scratch) / str(times) for times in (1, MORE)}
        for times, folder in folders.items():
            folder.mkdir()
            write(folder, times)
        for name in asked.only:
            few, many = (measured(name, folder) for folder in folders.values())

            def for_each(what: str, few: dict[str, int] = few, many: dict[str, int] = many) -> float:
                return round((many[what] - few[what]) / (many["counted"] - few["counted"]), 1)

            results[name] = {"of each": CASES[name][0], "few": few, "many": many, "bytes": for_each("peak")}
            if "said" in few:
                results[name]["bytes said"] = for_each("said")
            print(f"{name:<20}{few['peak'] / 2**20:>7,.0f} MiB, {many['peak'] / 2**20:>7,.0f} MiB with {MORE} times as many: "
                  f"{results[name]['bytes']:.0f} bytes for each {CASES[name][0]}, {results[name].get('bytes said', 0):.0f} said",
                  flush=True)  # fmt: skip
    if asked.json:
        from timing import of_this_machine  # not where memory is measured

        about = of_this_machine("numpy", "torch", "lightgbm", "scikit-learn")
        asked.json.write_text(json.dumps({"about": about, "more": MORE, "models": results}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
