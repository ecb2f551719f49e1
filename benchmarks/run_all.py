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
    Benchmark("bert", minutes=2),
    Benchmark("cnn", minutes=2),
    Benchmark("sasrec"),
    Benchmark("gpu"),
    Benchmark("rechub", (ONLINE_SHOPPERS, "--torch-rechub", "peer:torch-rechub"), can_make_rows=True),
    Benchmark("gbdt", (ONLINE_SHOPPERS,), can_make_rows=True),
    Benchmark("online_shoppers", (ONLINE_SHOPPERS,), minutes=4),
    Benchmark("behaviour_lstm", minutes=15),
    Benchmark("intents_linear", (INTENTS,), minutes=2),
    Benchmark("reviews_zh_linear", (CHINESE,), minutes=4),
    Benchmark("review_recommend", (ENGLISH,), minutes=10),
    Benchmark("text_experiments", (INTENTS,), minutes=30),
