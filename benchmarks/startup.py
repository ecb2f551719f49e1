"""How soon shopkit answers, beside `python -c "import hydra"`.

    python benchmarks/startup.py [--repeats N] [--json FILE]

The console script of this environment is started afresh each time. Contestants take turns, each figure is a median.
The aim is at most 2 times the time of the import.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

SHOPKIT = str(Path(sys.executable).with_name("shopkit"))
BASELINE = "import hydra"
CONTESTANTS = {
    BASELINE: [sys.executable, "-c", "import hydra"],
    "shopkit --help": [SHOPKIT, "--help"],
    "shopkit list": [SHOPKIT, "list"],
    "misspelt setting": [SHOPKIT, "run", "+experiment=purchase_intent", "model.hiden=3"],
    "unknown component": [SHOPKIT, "run", "+experiment=purchase_intent", "model=mpl"],
    "wrong type": [SHOPKIT, "run", "+experiment=purchase_intent", "model.members=two"],
    # Known only once Hydra has composed; the others are answered before it is imported.
    "out of range": [SHOPKIT, "run", "+experiment=purchase_intent", "model.dropout=2"],
}


def seconds(command: list[str], folder: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="starts of each contestant (15)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result here")
    parsed = parser.parse_args()

    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as folder:
        for command in CONTESTANTS.values():
            seconds(command, folder)
        for _ in range(parsed.repeats):
            for name, command in CONTESTANTS.items():
                times[name].append(seconds(command, folder))

    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{'':18} {'ms':>7} {'ratio':>6}")
    for name, median in medians.items():
        print(f"{name:18} {median * 1000:7.0f} {median / medians[BASELINE]:6.2f}")
    if parsed.json is not None:
        result = {
            "seconds": medians,
            "ratio": {name: median / medians[BASELINE] for name, median in medians.items()},
            "repeats": parsed.repeats,
            "machine": {"platform": platform.platform(), "cpus": os.cpu_count(), "python": platform.python_version()},
            "versions": {name: version(name) for name in ("shopkit", "hydra-core", "pluggy")},
        }
        parsed.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
