"""Made-up histories with an order to learn: item i is mostly followed by item i + 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shopkit
from shopkit.runs import Run

QUICK = [
    "evaluation.n_bootstrap=20",
    "evaluation.latency_seconds=0.01",
    "evaluation.latency_batch_sizes=[1]",
]
"""Changes that leave little to be measured."""


def sequences(n: int = 150, n_items: int = 12, seed: int = 0) -> list[list[int]]:
    """Steps around a ring of items, with a jump now and then; ids begin at 101."""
    rng = np.random.default_rng(seed)
    rows = []
    for length in rng.integers(4, 9, n):
        steps = np.where(rng.random(length) < 0.15, rng.integers(0, n_items, length), 1)
        rows.append((101 + (rng.integers(0, n_items) + np.cumsum(steps)) % n_items).tolist())
    return rows


def recommend(folder: Path, rows: Sequence[Sequence[Any]], *overrides: str) -> Run:
    """A run over sequences, with little measured."""
    table = pd.DataFrame({"items": list(rows)})
    changes = ["evaluation.baselines=[]", *QUICK, *overrides]
    return shopkit.run("next_item_sequences", changes, data={"data": table}, folder=folder / "run")
