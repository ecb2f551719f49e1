"""How soon shopkit answers, beside `python -c "import hydra"`, and what ten installed plugins cost.

    python benchmarks/startup.py [--repeats N] [--json FILE]

The console script of this environment is started afresh each time, without the plugins that are installed in it. Contestants
take turns, each figure is a median. The aims: at most 2 times the time of the import, for a config error on the command line,
with `+` and in an experiment file alike; and `shopkit list` with ten plugins at most 1.5 times its time with none.
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
    "out of range": [SHOPKIT, "run", "+experiment=purchase_intent", "model.dropout=2"],
    "misspelt with +": [SHOPKIT, "run", "+experiment=purchase_intent", "+model.hiden=3"],
    "misspelt in file": [SHOPKIT, "run", "+experiment=misspelt"],
    "range in file": [SHOPKIT, "run", "+experiment=out_of_range"],
}
LIST = "shopkit list"
TEN = "list, ten plugins"
N_PLUGINS = 10
EXPERIMENTS = {"misspelt": "hiden: 3", "out_of_range": "dropout: 2"}
"""Experiment → the line in it that is wrong."""
HOOKS = """
from dataclasses import dataclass
from pathlib import Path
from shopkit import hookimpl
from shopkit.component import Component

shopkit_api_version = 1

@dataclass
class Settings:
    depth: int = 3
    '''Layers.'''
    dropout: float = 0.1
    '''Share of units dropped while training.'''

@hookimpl
def shopkit_models():
    return [Component("tiny_{number}", Settings, "shopkit_tiny_{number}.model:Model", "A tiny model")]

@hookimpl
def shopkit_config_paths():
    return [Path(__file__).parent]
"""


def seconds(command: list[str], folder: Path, plugins: Path | None = None) -> float:
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    names = ",".join(f"tiny_{number}" for number in range(N_PLUGINS)) if plugins else ""
    environment = {**kept, "SHOPKIT_PLUGINS": names, **({"PYTHONPATH": str(plugins)} if plugins else {})}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - start
    assert not plugins or done.stdout.count("A tiny model") == N_PLUGINS, done.stdout + done.stderr
    return taken


def install(folder: Path) -> None:
    """Ten plugins, each a package with the record that pip leaves."""
    for number in range(N_PLUGINS):
        module, record = folder / f"shopkit_tiny_{number}", folder / f"shopkit_tiny_{number}-1.0.dist-info"
        module.mkdir(parents=True)
        record.mkdir()
        (module / "__init__.py").touch()
        (module / "hooks.py").write_text(HOOKS.replace("{number}", str(number)))
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: shopkit-tiny-{number}\nVersion: 1.0\n")
        (record / "entry_points.txt").write_text(f"[shopkit]\ntiny_{number} = shopkit_tiny_{number}.hooks\n")


def write_experiments(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, line in EXPERIMENTS.items():
        text = f"# @package _global_\ndefaults:\n  - override /model: mlp\nname: {name}\nmodel:\n  {line}\n"
        (folder / f"{name}.yaml").write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="starts of each contestant (15)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result here")
    parsed = parser.parse_args()

    times: dict[str, list[float]] = {name: [] for name in [*CONTESTANTS, TEN]}
    with tempfile.TemporaryDirectory() as made:
        folder, plugins = Path(made) / "here", Path(made) / "plugins"
        write_experiments(folder / "conf" / "experiment")
        install(plugins)
        for repeat in range(parsed.repeats + 1):
            for name in times:
                taken = seconds(CONTESTANTS.get(name, CONTESTANTS[LIST]), folder, plugins if name == TEN else None)
                if repeat:  # the first fills caches
                    times[name].append(taken)

    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{'':18} {'ms':>7} {'ratio':>6}")
    for name, median in medians.items():
        print(f"{name:18} {median * 1000:7.0f} {median / medians[BASELINE]:6.2f}")
    print(f"{TEN} / {LIST}: {medians[TEN] / medians[LIST]:.2f}")
    if parsed.json is not None:
        result = {
            "seconds": medians,
            "ratio": {name: median / medians[BASELINE] for name, median in medians.items()},
            "list_with_ten_plugins": medians[TEN] / medians[LIST],
            "repeats": parsed.repeats,
            "machine": {"platform": platform.platform(), "cpus": os.cpu_count(), "python": platform.python_version()},
            "versions": {name: version(name) for name in ("shopkit", "hydra-core", "pluggy")},
        }
        parsed.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
