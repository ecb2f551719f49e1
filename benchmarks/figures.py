"""What the accuracy benchmarks share: their options, figures printed and written, and answers of a file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import shopkit


def options(about: str, place: str) -> argparse.ArgumentParser:
    """`place`, where the data is; `--override` and `--json`."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(place, type=Path)
    parser.add_argument("--override", action="append", default=[], help="a Hydra override for the shopkit runs, may be repeated")
    parser.add_argument("--json", type=Path, help="write the figures and the machine to this file")
    return parser


def show(results: Mapping[str, Mapping[str, float]]) -> None:
    width = max(map(len, results))
    for name, found in results.items():
        print(f"{name:{width}}  " + "  ".join(f"{key} {value:,.4f}" for key, value in found.items()))


def write(path: Path | None, report: Mapping[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def answers(run: shopkit.Run, rows: pd.DataFrame, output: str, batch: int = 256) -> np.ndarray:
    """One output of the run's exported file, (N,)."""
    predictor = shopkit.Predictor(run.model_path)
    return np.concatenate([predictor(rows.iloc[at : at + batch])[output] for at in range(0, len(rows), batch)])
