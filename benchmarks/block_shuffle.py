"""Does training from shuffled blocks of a file end as well as training from rows shuffled in memory?

    python benchmarks/block_shuffle.py [--seeds 3] [--epochs 8] [--json FILE]

`purchase_intent` on the made-up shop (made_shop.py, 1×), whose examples stand in order of time: blocks are moments. The same
features are trained on in four ways: every row drawn from memory; blocks of 1,024 rows, 16 of them shuffled at a time; blocks of
128, 16 at a time (4 % of the rows); and, to show that order matters, a block at a time in order of time. Each with several seeds;
metrics are of the validation part at the best epoch.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from made_shop import source, write
from timing import of_this_machine

WAYS = ("rows in memory", "blocks of 1,024, windows of 16", "blocks of 128, windows of 16", "in order of time")
METRICS = ("auroc", "average_precision", "log_loss")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--factor", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = compare(Path(folder), asked)
    base = found[WAYS[0]]["average_precision"]["mean"]
    for way, metrics in found.items():
        shown = "  ".join(f"{name} {value['mean']:.4f} ± {value['spread']:.4f}" for name, value in metrics.items())
        print(f"{way:<32}{shown}   {metrics['average_precision']['mean'] - base:+.4f}")
    if asked.json:
        about = of_this_machine("torch")
        results = {"about": about, "seeds": asked.seeds, "epochs": asked.epochs, "factor": asked.factor, "ways": found}
        asked.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def compare(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    from shopkit import pipeline
    from shopkit.fitting import fit_model
    from shopkit.registry import load_registry
    from shopkit.runs import Run

    registry = load_registry()
    settings = [*source(write(folder / "shop", asked.factor)), f"trainer.max_epochs={asked.epochs}", "trainer.patience=0"]
    settings += ["trainer.accelerator=cpu", "trainer.threads=1"]
    experiment, target = pipeline.from_python("purchase_intent", settings, registry, None, folder / "run")
    tables = pipeline.open_tables(experiment, registry)
    values: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with pipeline.way(experiment, target, registry, tables, lambda *told: None) as going:
        assert not isinstance(going, Run)
        going.reach("features")
        for seed in range(asked.seeds):
            for way in WAYS:
                rows = _in_the_way_of(way, going.rows)
                place = folder / f"{WAYS.index(way)}-{seed}"
                fitted = fit_model(experiment.model, registry, going.features, rows, going.task, experiment.trainer, place, seed)
                best = fitted.result.history[fitted.result.best_epoch]
                values[way].append({name: best[f"validation_{name}"] for name in METRICS})
    return {
        way: {
            name: {"mean": float(np.mean([one[name] for one in of_way])), "spread": float(np.std([one[name] for one in of_way]))}
            for name in METRICS
        }
        for way, of_way in values.items()
    }


def _in_the_way_of(way: str, rows: Any) -> Any:
    """The examples to train on, and the constants of the shuffle set for that way."""
    from shopkit.training import batches

    batches.BLOCK_ROWS = 128 if "128" in way else 1024
    batches.LEAST_BLOCKS, batches.WINDOW_BYTES = 16, 1
    if way == WAYS[-1]:
        batches.shuffled_blocks = lambda n, window, rng: _in_order(n, rng)
    else:
        batches.shuffled_blocks = SHUFFLED
    return rows if way == WAYS[0] else replace(rows, memory=0)


def _in_order(n: int, rng: np.random.Generator) -> np.ndarray:
    return np.concatenate([start + rng.permutation(min(1024, n - start)) for start in range(0, n, 1024)])


if __name__ == "__main__":
    from shopkit.training.batches import shuffled_blocks as SHUFFLED  # noqa: N812

    raise SystemExit(main())
