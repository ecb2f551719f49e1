"""Will this household buy within a week: does the sequence of its baskets tell what aggregates of the same history do not?

    python benchmarks/behaviour_lstm.py [--seeds 3] [--override OVERRIDE ...] [--json FILE]

The shipped experiment as a user runs it, `shopkit.run("behaviour_lstm")` on completejourney: the GRU that joins both, and on the
same rows `mlp` on the aggregates and the GRU on the sequences alone. Then again on the same rows with fewer aggregates beside the
same sequences: the totals of the longest window only (no recency, gaps, shorter windows and trends), and nothing of what was
bought. What the sequence adds to each tells how much of it the aggregates hold already.

The joined model's figures are those of the exported file. Intervals, also of the paired differences, are those of the report:
resamples of whole households, the same for all models of a run. All is trained once for each seed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures import write
from timing import of_this_machine

import shopkit

FACTS = ("age", "income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count")
CAMPAIGNS = ("n_campaigns", "n_campaigns_type_a", "n_campaigns_type_b", "n_campaigns_type_c", "days_since_campaign_start")
KEPT: dict[str, Callable[[str], bool]] = {
    "all aggregates": lambda column: True,
    "totals of the longest window": lambda column: (
        (column.endswith("_112d") and "trend" not in column) or column in FACTS + CAMPAIGNS
    ),
    "nothing of what was bought": lambda column: column in FACTS + CAMPAIGNS,
}
"""Which plain columns there are beside the sequences."""
FEWER = ["evaluation.baselines=[mlp]", "evaluation.permutation_repeats=0", "evaluation.latency_seconds=0.1", "evaluation.cases=0"]
SHOWN = {"model": "joined", "mlp": "aggregates alone", "sequences_alone": "sequences alone"}


def measured(run: shopkit.Run) -> dict[str, Any]:
    """AUROC of each model of the run, and by how much the joined one is above the others: value, low, high."""

    def numbers(estimate: Mapping[str, Any]) -> list[float]:
        return [estimate["value"], estimate["low"], estimate["high"]]

    metrics = run.metrics
    others = {name: found for name, found in metrics["baselines"].items() if name in SHOWN}
    auroc = {"joined": numbers(metrics["metrics"]["test"]["auroc"])}
    auroc |= {SHOWN[name]: numbers(found["metrics"]["auroc"]) for name, found in others.items()}
    return {
        "auroc": auroc,
        "joined minus": {SHOWN[name]: numbers(found["difference"]["auroc"]) for name, found in others.items()},
    }


def over_seeds(of_seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean of each value over the seeds; of how many of them the whole interval of the difference is above 0."""
    first = of_seeds[0]
    return {
        "auroc": {name: float(np.mean([one["auroc"][name][0] for one in of_seeds])) for name in first["auroc"]},
        "joined minus": {
            name: {
                "mean": float(np.mean([one["joined minus"][name][0] for one in of_seeds])),
                "above 0": sum(one["joined minus"][name][1] > 0 for one in of_seeds),
                "below 0": sum(one["joined minus"][name][2] < 0 for one in of_seeds),
            }
            for name in first["joined minus"]
        },
    }


def verdict(results: Mapping[str, Any], seeds: int) -> str:
    """What the figures say of the sequence, in a sentence or two."""
    found = {name: result["joined minus"]["aggregates alone"] for name, result in results.items()}
    whole, *fewer = found.items()
    added = "; ".join(f"beside {name} it adds {difference['mean']:+.4f}" for name, difference in fewer)
    mean, n_told = whole[1]["mean"], whole[1]["above 0"]
    if n_told == seeds:
        return f"The sequence adds {mean:+.4f} to all aggregates; {added}."
    return (
        f"The sequence adds next to nothing to all aggregates ({mean:+.4f}, which can be told from chance in {n_told} of {seeds} "
        "trainings), for they hold what it says: recency, gaps between baskets and their spread, four windows, trends. Of the "
        f"same rows {added}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how often all is trained")
    parser.add_argument("--override", action="append", default=[], help="a Hydra override for the runs, may be repeated")
    parser.add_argument("--json", type=Path, help="write the figures and the machine to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    of_seeds: dict[str, list[dict[str, Any]]] = {name: [] for name in KEPT}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            columns: list[str] = []
            for name, is_kept in KEPT.items():
                ignored = ",".join(column for column in columns if not is_kept(column))
                fewer = [f"features.ignore=[{ignored}]", *FEWER] if columns else []
                overrides = [f"seed={seed}", "trainer.threads=1", *fewer, *arguments.override]
                run = shopkit.run("behaviour_lstm", overrides, folder=Path(folder) / f"{seed}-{len(ignored)}")
                columns = columns or [c for c in shopkit.Predictor(run.model_path).inputs.names if not c.startswith("past_")]
                of_seeds[name].append(found := measured(run))
                for model, (value, low, high) in found["auroc"].items():
                    print(f"seed {seed}, {name:30} {model:18} AUROC {value:.4f} [{low:.4f}, {high:.4f}]", flush=True)
                for model, (value, low, high) in found["joined minus"].items():
                    print(f"seed {seed}, {name:30} joined − {model}: {value:+.4f} [{low:+.4f}, {high:+.4f}]", flush=True)
    results = {name: over_seeds(found) for name, found in of_seeds.items()}
    print(said := verdict(results, arguments.seeds))
    machine = of_this_machine("shopkit", "onnxruntime", "torch")
    report = {"verdict": said, "results": results, "of each seed: value, low, high": of_seeds}
    write(arguments.json, {**report, "overrides": arguments.override, "machine": machine})


if __name__ == "__main__":
    main()
