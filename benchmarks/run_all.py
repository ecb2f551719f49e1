"""Every benchmark, one after the other; results go to `benchmarks/results/`, and the table of them to `benchmarks/README.md`.

    python benchmarks/run_all.py [--data FOLDER] [--peers FOLDER] [--only NAME ...] [--quick]

FOLDER of --data holds a folder for each data set: `online_shoppers`, `bitext_intents`, `reviews_zh_10cats`,
`womens_clothing_reviews`, `fashion_mnist`, `amazon_beauty_5core`, `sessions_diginetica` and `sessions_yoochoose1_64`. What a
benchmark lacks, it makes up if it can (those of speed alone), else it is left out. --peers is where environments of other
libraries are made, or found; those that need one are left out without it. --quick leaves out what takes more than five minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from timing import missed

HERE = Path(__file__).parent
RESULTS = HERE / "results"
QUICK_MINUTES = 5.0


@dataclass(frozen=True)
class Benchmark:
    """One script of this folder."""

    name: str
    arguments: tuple[str, ...] = ()
    """`data:PATH` is a path within --data, `peer:NAME` an environment within --peers, `scratch` a folder of its own."""
    can_make_rows: bool = False
    """Runs on made rows where the data are not there."""
    minutes: float = 1.0
    """About, on two cores."""
    script: str = ""
    """The name of the script where it is not that of the result."""


ONLINE_SHOPPERS = "data:online_shoppers/online_shoppers_intention.csv.gz"
BEAUTY = "data:amazon_beauty_5core/sequences.parquet"
CHINESE, ENGLISH = "data:reviews_zh_10cats/online_shopping_10_cats.parquet", "data:womens_clothing_reviews/reviews.parquet"
INTENTS = "data:bitext_intents"
EVERY = (
    Benchmark("startup"),
    Benchmark("load_checks"),
    Benchmark("inference", (ONLINE_SHOPPERS,), can_make_rows=True),
    Benchmark("session_settings"),
    Benchmark("features", (ONLINE_SHOPPERS,), can_make_rows=True, minutes=2),
    Benchmark("text_features", ("--zh", CHINESE, "--en", ENGLISH), minutes=2),
    Benchmark("wordpiece", (ENGLISH, CHINESE), minutes=2),
    Benchmark("training_overhead", minutes=3),
    Benchmark("lstm"),
    Benchmark("lstm_training", minutes=2),
    Benchmark("bert", minutes=2),
    Benchmark("cnn", minutes=2),
    Benchmark("sasrec"),
    Benchmark("gpu"),
    Benchmark("rechub", (ONLINE_SHOPPERS, "--torch-rechub", "peer:torch-rechub"), can_make_rows=True),
    Benchmark("gbdt", (ONLINE_SHOPPERS,), can_make_rows=True),
    Benchmark("estimator_memory", minutes=3),
    Benchmark("online_shoppers", (ONLINE_SHOPPERS,), minutes=4),
    Benchmark("behaviour_lstm", minutes=15),
    Benchmark("intents_linear", (INTENTS,), minutes=2),
    Benchmark("reviews_zh_linear", (CHINESE,), minutes=4),
    Benchmark("review_recommend", (ENGLISH,), minutes=10),
    Benchmark("text_experiments", (INTENTS,), minutes=30),
    Benchmark("next_item", minutes=15),
    Benchmark("recommend_beauty", (BEAUTY,), minutes=20),
    Benchmark("recommend_sessions", ("data:.",), minutes=30),
    Benchmark("bert_int8", (INTENTS,), minutes=10),
    Benchmark("bert_intents", (INTENTS,), minutes=10),
    Benchmark("bert_intents_few_shot", (INTENTS, "--few-shot"), minutes=10, script="bert_intents"),
    Benchmark("predict_rows", minutes=30),
    Benchmark("block_shuffle", minutes=20),
    Benchmark("scale", ("scratch",), minutes=120),
    Benchmark("sasrec_accuracy", ("data:.",), minutes=60),
    Benchmark("sasrec_epoch", (BEAUTY, "--rectools", "peer:rectools"), minutes=15),
    Benchmark("fashion_mnist", ("data:fashion_mnist",), minutes=25),
)

BY_HAND = ("recommend_memory", "reviews_zh")
"""Scripts that are called by hand, for one model at a time."""


class LackingError(Exception):
    """A benchmark lacks its data or its peer's environment."""


def arguments_of(benchmark: Benchmark, data: Path | None, peers: Path | None) -> list[str]:
    """What to call it with.

    Raises:
        LackingError: says what is missing.
    """
    found = []
    for argument in benchmark.arguments:
        if argument.startswith("peer:"):
            if peers is None:
                raise LackingError("it needs --peers FOLDER")
            found.append(str(peers / argument.removeprefix("peer:")))
        elif argument == "scratch":
            found.append(str(Path(tempfile.gettempdir()) / f"shopkit-{benchmark.name}"))
        elif argument.startswith("data:"):
            place = argument.removeprefix("data:")
            path = None if data is None else data / place
            if path is None or not path.exists():
                if benchmark.can_make_rows:
                    continue
                raise LackingError(f"it needs {place} in --data FOLDER")
            found.append(str(path))
        else:
            found.append(argument)
    return found


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="a folder for each data set")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="environments of other libraries")
    parser.add_argument("--only", nargs="+", choices=[one.name for one in EVERY], metavar="NAME", help="run these only")
    parser.add_argument("--quick", action="store_true", help=f"leave out what takes more than {QUICK_MINUTES:g} minutes")
    parsed = parser.parse_args(given)

    RESULTS.mkdir(exist_ok=True)
    failed = []
    for one in EVERY:
        if parsed.only and one.name not in parsed.only:
            continue
        if parsed.quick and one.minutes > QUICK_MINUTES:
            print(f"== {one.name}: left out, it takes about {one.minutes:g} minutes")
            continue
        try:
            arguments = arguments_of(one, parsed.data, parsed.peers)
        except LackingError as what:
            print(f"== {one.name}: left out, {what}")
            continue
        print(f"== {one.name}", flush=True)
        script = HERE / f"{one.script or one.name}.py"
        command = [sys.executable, str(script), *arguments, "--json", str(RESULTS / f"{one.name}.json")]
        done = subprocess.run(command, env={"OMP_NUM_THREADS": "1", **os.environ}, check=False)
        result = RESULTS / f"{one.name}.json"
        short = missed(json.loads(result.read_text(encoding="utf-8"))) if result.is_file() else []
        if done.returncode or short:
            failed.append(f"{one.name} ({'; '.join(short)})" if short else one.name)
    subprocess.run([sys.executable, str(HERE / "table.py")], check=True)
    if failed:
        print(f"Failed, or missed an aim: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
