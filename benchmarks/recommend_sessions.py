"""Next click in sessions, Diginetica and Yoochoose 1/64 with their given test beginnings: from the exported files.

    python benchmarks/recommend_sessions.py FOLDER [--data diginetica …] [--models session_knn …] [--json FILE]

FOLDER holds `sessions_diginetica` and `sessions_yoochoose1_64`, each with `train_sessions.parquet` and `test_prefixes.parquet` as
released with SR-GNN and GCE-GNN. All items are ranked for every test beginning. The neighbour models have no epochs to choose and
are fitted on all training sessions, as published figures are.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import shopkit

AIMS = {"diginetica": (0.5158, 0.1823), "yoochoose1_64": (0.6847, 0.2714)}
"""P@20 and MRR@20 of V-SKNN by sparse products outside of any file."""
MODELS = {"session_knn": [], "markov": ["model.exclude_seen=false"], "item_knn": ["model.exclude_seen=false", "model.decay=0.7"]}
OF_DATA = {("diginetica", "session_knn"): ["model.aging=1", "model.neighbours=150"]}
"""Chosen on the latest 2 % of the training sessions: those of Diginetica span five months, and what is old counts less."""


def figures(folder: Path, model: str, overrides: list[str], runs: Path) -> dict[str, Any]:
    tables = [f"source.tables.{name}={folder / f'{name}.parquet'}" for name in ("train_sessions", "test_prefixes")]
    chosen = [
        *tables,
        f"model={model}",
        "view.train_on_validation=true",
        "evaluation.baselines=[]",
        "trainer.threads=1",
        *overrides,
    ]
    run = shopkit.run("session_next_click", chosen, folder=runs / model)
    test, latency = run.metrics["metrics"]["test"], (run.facts("evaluate") or {})["latency"]
    return {
        "test": {name: found["value"] for name, found in test.items()},
        "interval_recall_20": [test["recall_20"][end] for end in ("low", "high")],
        "one_row_ms": latency["batches"][0]["median_ms"],
        "file_bytes": latency["file_bytes"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", nargs="*", choices=AIMS, default=list(AIMS))
    parser.add_argument("--models", nargs="*", choices=MODELS, default=list(MODELS))
    parser.add_argument("--json", type=Path, help="write the figures and the machine to this file; those not run are kept in it")
    arguments = parser.parse_args()
    report: dict[str, Any] = {}
    if arguments.json and arguments.json.is_file():
        report = json.loads(arguments.json.read_text(encoding="utf-8"))
    found = report.get("data", {})
    print(f"{'':28} P@20   MRR@20   one row")
    for data in arguments.data:
        for model in arguments.models:
            with tempfile.TemporaryDirectory() as runs:
                chosen = [*MODELS[model], *OF_DATA.get((data, model), [])]
                figure = figures(arguments.folder.resolve() / f"sessions_{data}", model, chosen, Path(runs))
            found.setdefault(data, {"aim": AIMS[data]})[model] = figure
            test = figure["test"]
            shown = f"{100 * test['recall_20']:5.2f}   {100 * test['mrr_20']:5.2f}  {figure['one_row_ms']:6.2f} ms"
            print(f"{data:14} {model:12} {shown}", flush=True)
            if arguments.json:
                packages = ("shopkit", "shopkit-recommend", "onnxruntime", "numpy", "scipy")
                machine = {"machine": platform.machine(), "system": platform.system(), "python": platform.python_version()}
                whole = {**machine, "versions": {package: version(package) for package in packages}, "data": found}
                arguments.json.parent.mkdir(parents=True, exist_ok=True)
                arguments.json.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
        print(f"{data:14} {'V-SKNN, aim':12} {100 * AIMS[data][0]:5.2f}   {100 * AIMS[data][1]:5.2f}", flush=True)


if __name__ == "__main__":
    main()
