"""How soon shopkit answers: on the command line, beside `python -c "import hydra"`, and from an exported file, beside bare
onnxruntime and numpy. And what ten installed plugins cost.

    python benchmarks/startup.py [--repeats N] [--model FILE] [--json FILE]

The console script of this environment is started afresh each time, without the plugins that are installed in it, and all modules
compiled beforehand, as pip leaves them. Contestants take turns, each figure is a median. The aims: at most 2 times the time of
the import, for a config error on the command line, with `+` and in an experiment file alike; and `shopkit list` with ten plugins
at most 1.5 times its time with none.

Of a file, the time from the start of a process to its first answer: both read the same file and the same row, a dict of plain
values. The bare process builds the arrays by the graph's own types and knows the missing value of each; it checks nothing. The
aim: at most 1.3 times its time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from timing import of_this_machine

from shopkit.runtime import Predictor

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
AIM = 1.3
LIST = "shopkit list"
TEN = "list, ten plugins"
N_PLUGINS = 10
EXPERIMENTS = {"misspelt": "hiden: 3", "out_of_range": "dropout: 2"}
"""Experiment → the line in it that is wrong."""
GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "v1" / "plain.onnx"
BARE, PREDICTOR = "onnxruntime and numpy", "shopkit.runtime"
FIRST_ANSWER = {
    BARE: """
import json, sys
import numpy as np
import onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
with open(sys.argv[2]) as stream:
    row = json.load(stream)
types = {"tensor(float)": (np.float32, np.nan), "tensor(int64)": (np.int64, -(2**63)), "tensor(string)": (object, "")}
feed = {}
for value in session.get_inputs():
    dtype, missing = types[value.type]
    feed[value.name] = np.array([missing if row[value.name] is None else row[value.name]], dtype)
names = [value.name for value in session.get_outputs()]
print({name: answer.tolist()[0] for name, answer in zip(names, session.run(names, feed))}, flush=True)
""",
    PREDICTOR: """
import json, sys
from shopkit.runtime import Predictor
model = Predictor(sys.argv[1])
with open(sys.argv[2]) as stream:
    row = json.load(stream)
print(model(row), flush=True)
""",
}
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


def compiled(folder: Path) -> dict[str, str]:
    """The environment in which Python keeps what it compiled, in a folder beside this one."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder.parent / "compiled")}


def seconds(command: list[str], folder: Path, plugins: Path | None = None) -> float:
    kept = {key: value for key, value in compiled(folder).items() if key != "PYTHONPATH"}
    names = ",".join(f"tiny_{number}" for number in range(N_PLUGINS)) if plugins else ""
    environment = {**kept, "SHOPKIT_PLUGINS": names, **({"PYTHONPATH": str(plugins)} if plugins else {})}
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - start
    assert not plugins or done.stdout.count("A tiny model") == N_PLUGINS, done.stdout + done.stderr
    return taken


def until_answer(code: str, model: Path, row: Path) -> tuple[float, str]:
    """Seconds from the start of a process to the line that it prints, and that line."""
    start = time.perf_counter()
    command = [sys.executable, "-c", code, model, row]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=compiled(row)) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        return time.perf_counter() - start, line.strip()


def first_answer(model: Path, repeats: int, folder: Path) -> dict[str, float]:
    """Median seconds of each; they must answer the same."""
    row = folder / "row.json"
    example: dict[str, Any] = {"number": 1.5, "string": "mail", "time": 1_700_000_000}
    row.write_text(json.dumps({column.name: example[column.kind] for column in Predictor(model).inputs}))
    times: dict[str, list[float]] = {name: [] for name in FIRST_ANSWER}
    for repeat in range(repeats + 1):
        answers = set()
        for name, code in FIRST_ANSWER.items():
            taken, answer = until_answer(code, model, row)
            answers.add(answer)
            if repeat:
                times[name].append(taken)
        assert len(answers) == 1, answers
    return {name: statistics.median(values) for name, values in times.items()}


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
    parser.add_argument("--model", type=Path, default=GOLDEN, metavar="FILE", help="an exported file of plain columns")
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

        answers = first_answer(parsed.model, parsed.repeats, Path(made))

    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{'':18} {'ms':>7} {'ratio':>6}")
    for name, median in medians.items():
        print(f"{name:18} {median * 1000:7.0f} {median / medians[BASELINE]:6.2f}")
    print(f"{TEN} / {LIST}: {medians[TEN] / medians[LIST]:.2f}")
    for name, median in answers.items():
        print(f"first answer, {name:22} {median * 1000:7.0f} ms {median / answers[BARE]:6.2f}")
    if parsed.json is not None:
        result = {
            "seconds": medians,
            "ratio": {name: median / medians[BASELINE] for name, median in medians.items()},
            "list_with_ten_plugins": medians[TEN] / medians[LIST],
            "first_answer": {
                "seconds": answers,
                "ratio": answers[PREDICTOR] / answers[BARE],
                "aim": AIM,
                "reached": answers[PREDICTOR] <= AIM * answers[BARE],
                "bytes": parsed.model.stat().st_size,
            },
            "repeats": parsed.repeats,
            "machine": of_this_machine("shopkit", "hydra-core", "pluggy", "onnxruntime", "numpy"),
        }
        parsed.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
