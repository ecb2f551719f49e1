"""Peak memory of training a recommender on ten times the interactions.

    python benchmarks/recommend_memory.py [--model sasrec] [--json FILE]

Made-up histories (made_sequences.py) of 12,101 items: 22,363 customers with about 200,000 interactions, and ten times as many.
Each is run in a process of its own, from the file of sequences through examples, split, features and an epoch of training with
its full-ranking validation. Peak is the largest resident set of the process up to the end of training, less that of a process
that has only imported what training needs, and less the items' matrix with its gradient, the optimiser's two moments and the
average.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

N_ITEMS, N_CUSTOMERS, DIM = 12_101, 22_363, 64
MATRICES = 5
"""Copies of the items' matrix that training holds: itself, its gradient, two moments, and the average."""
AIM = 2.0


def peak() -> int:
    """Bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def train(folder: Path, model: str, times: int) -> None:
    """In a process of its own: prints the peak once training is done, and the interactions."""
    import pytorch_lightning  # noqa: F401
    from made_sequences import write

    import shopkit

    before = peak()
    n = write(folder / "made.parquet", N_CUSTOMERS * times, N_ITEMS)
    changes = [f"source.path={folder / 'made.parquet'}", f"model={model}", "trainer.max_epochs=1", "trainer.batch_size=128"]

    def announce(stage: str, line: str, seconds: float) -> None:
        if stage == "train":
            print(json.dumps({"interactions": n, "imported": before, "peak": peak()}), flush=True)
            os._exit(0)

    shopkit.run("next_item_sequences", [*changes, "trainer.threads=1"], folder=folder / "run", announce=announce)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sasrec")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "TIMES"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        train(Path(asked.child[0]), asked.model, int(asked.child[1]))
        return 0
    matrices = MATRICES * N_ITEMS * DIM * 4
    results: dict[str, Any] = {"matrices": matrices}
    for times in (1, 10):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--model", asked.model, "--child", folder, str(times)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.strip().splitlines()[-1])
        found["beyond"] = found["peak"] - found["imported"] - matrices
        results[f"{times}×"] = found
        print(f"{times}×: {found['interactions']:,} interactions, {found['peak'] / 2**20:.0f} MiB, "
              f"{found['beyond'] / 2**20:.0f} MiB beyond imports and items", flush=True)  # fmt: skip
    ratio, whole = (results["10×"][key] / results["1×"][key] for key in ("beyond", "peak"))
    results |= {"ratio": ratio, "ratio_of_process": whole, "aim": AIM, "reached": ratio <= AIM}
    print(f"ten times the interactions: {ratio:.2f} times the memory (of the whole process {whole:.2f}); aim {AIM}")
    if asked.json:
        about = {"machine": platform.machine(), "python": platform.python_version(), "torch": version("torch")}
        asked.json.write_text(json.dumps({"about": about, "model": asked.model, "results": results}, indent=1) + "\n")
    return 0 if results["reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
