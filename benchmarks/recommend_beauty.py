"""Amazon Beauty 5-core (22,363 customers, 12,101 items): all recommenders in one table, from their exported files.

    python benchmarks/recommend_beauty.py PATH [--models item_knn sasrec …] [--json FILE]

PATH is `sequences.parquet` of the S3-Rec release: a row each customer, `items` the oldest first. Of everyone's items the last is
tested, the one before validates, the rest train; the whole catalogue is ranked, what was seen left out. Beside each line stands
what a peer or a plain implementation reached on the same rows. Of `two_tower`, the approximate index of its items' vectors is
compared with the exact search as well. Seconds are processor time of fitting the model, the validation of
each epoch included, on one thread.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import shopkit
from shopkit import fitting

NETWORK = ["trainer.batch_size=128", "trainer.lr=1e-3", "trainer.weight_decay=0", "trainer.patience=6"]
MODELS: dict[str, tuple[list[str], str, tuple[float, float] | None]] = {
    "popular": ([], "counted", (0.0110, 0.0053)),
    "markov": ([], "counted, popularity back-off", (0.0665, 0.0438)),
    "item_knn": ([], "cosine, 0.6^k, shrink 50", (0.0715, 0.0418)),
    "ease": ([], "EASE, λ=50, all steps alike", (0.0699, 0.0386)),
    "mf": ([*NETWORK, "trainer.max_epochs=20"], "implicit BPR, 128 factors", (0.0364, 0.0183)),
    "als": ([], "implicit ALS, 128 factors", (0.0536, 0.0276)),
    "two_tower": ([*NETWORK, "trainer.max_epochs=20", "exporter=item_index"], "", None),
    "gru4rec": ([*NETWORK, "trainer.max_epochs=20"], "published GRU4Rec", (0.0283, 0.0137)),
    "sasrec": ([*NETWORK, "trainer.max_epochs=22"], "lean hand-written SASRec, full cross-entropy", (0.0808, 0.0478)),
}
"""Model → overrides, and whose figures, recall@10 and nDCG@10, stand beside it."""


def timed(seconds: dict[str, float]) -> None:
    """Write the processor time of each fit into `seconds`."""
    fit, fit_estimator = fitting.training.fit, fitting.training.fit_estimator

    def clocked(call: Any) -> Any:
        def run(*arguments: Any, **settings: Any) -> Any:
            start = time.process_time()
            try:
                return call(*arguments, **settings)
            finally:
                seconds["fit"] = time.process_time() - start

        return run

    fitting.training.fit, fitting.training.fit_estimator = clocked(fit), clocked(fit_estimator)


def figures(path: Path, model: str, overrides: list[str], folder: Path, seconds: dict[str, float]) -> dict[str, Any]:
    chosen = [f"source.path={path}", f"model={model}", "evaluation.baselines=[]", "trainer.threads=1", *overrides]
    run = shopkit.run("next_item_sequences", chosen, folder=folder / model)
    metrics = run.metrics["metrics"]
    facts = run.facts("evaluate") or {}
    index = run.path / "index.json"
    return {
        "test": {name: found["value"] for name, found in metrics["test"].items()},
        "interval": [metrics["test"]["recall_10"][end] for end in ("low", "high")],
        "validation": {name: metrics["validation"][name]["value"] for name in ("recall_10", "ndcg_10")},
        "fit_cpu_seconds": seconds["fit"],
        "one_row_ms": facts["latency"]["batches"][0]["median_ms"],
        "file_bytes": facts["latency"]["file_bytes"],
        **({"index": json.loads(index.read_text(encoding="utf-8"))} if index.is_file() else {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--json", type=Path, help="write the figures and the machine to this file; models not run are kept in it")
    arguments = parser.parse_args()
    seconds: dict[str, float] = {}
    timed(seconds)
    report: dict[str, Any] = {}
    if arguments.json and arguments.json.is_file():
        report = json.loads(arguments.json.read_text(encoding="utf-8"))
    found = report.get("models", {})
    print(f"{'':12} recall@10  nDCG@10  coverage  fit cpu s   one row   beside it")
    with tempfile.TemporaryDirectory() as folder:
        for model in arguments.models:
            overrides, whose, aims = MODELS[model]
            figure = figures(arguments.path.resolve(), model, overrides, Path(folder), seconds)
            found[model] = {**figure, "beside": {"who": whose, "recall_10": aims[0], "ndcg_10": aims[1]} if aims else {}}
            test = figure["test"]
            beside = f"{whose}: {aims[0]:.4f} {aims[1]:.4f}" if aims else ""
            print(
                f"{model:12} {test['recall_10']:9.4f} {test['ndcg_10']:8.4f} {test['coverage']:9.3f} "
                f"{figure['fit_cpu_seconds']:10.1f} {figure['one_row_ms']:7.2f} ms   {beside}",
                flush=True,
            )
            if "index" in figure:
                print(f"{'':12} its index: {figure['index']}", flush=True)
            if arguments.json:
                packages = ("shopkit", "shopkit-recommend", "torch", "onnxruntime", "numpy", "scipy")
                machine = {"machine": platform.machine(), "system": platform.system(), "python": platform.python_version()}
                whole = {**machine, "versions": {package: version(package) for package in packages}, "models": found}
                arguments.json.parent.mkdir(parents=True, exist_ok=True)
                arguments.json.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
