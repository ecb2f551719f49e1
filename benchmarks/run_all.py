"""Every benchmark, one after the other; results go to `benchmarks/results/`.

    python benchmarks/run_all.py [--online-shoppers FILE] [--only NAME ...]

Without the Online Shoppers table (UCI 468), those that need its rows run on made ones of the same shape, and the table of
published comparisons is left out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"
TAKE_TABLE = ("inference", "features", "gbdt", "online_shoppers")
NEED_TABLE = ("online_shoppers",)
NAMES = ("startup", "load_checks", "inference", "features", "training_overhead", "block_shuffle", "gbdt", "online_shoppers")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--online-shoppers", type=Path, metavar="FILE", help="online_shoppers_intention.csv, also as .gz")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="run these only")
    parsed = parser.parse_args()

    RESULTS.mkdir(exist_ok=True)
    failed = []
    for name in parsed.only:
        if name in NEED_TABLE and parsed.online_shoppers is None:
            print(f"== {name}: left out, it needs --online-shoppers FILE")
            continue
        print(f"== {name}", flush=True)
        table = [str(parsed.online_shoppers)] if name in TAKE_TABLE and parsed.online_shoppers else []
        command = [sys.executable, str(HERE / f"{name}.py"), *table, "--json", str(RESULTS / f"{name}.json")]
        done = subprocess.run(command, env={"OMP_NUM_THREADS": "1", **os.environ}, check=False)
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"Failed, or missed an aim: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
