"""Raw rows to ask a file about: of a run's test part, of a table, or made from the file's own schema."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from shopkit.errors import DataError
from shopkit.predict.files import first_rows
from shopkit.raw import Raw, read_columns
from shopkit.runs import Run
from shopkit.runtime import Predictor
from shopkit.runtime.images import of_one_size
from shopkit.schema import Column

MADE_ROWS = 256
STEPS = 8
"""Of a sequence that is made up."""
SIDE = 64
"""Of an image that is made up."""
NOW = 1_700_000_000


@dataclass(frozen=True)
class Rows:
    """Canonical raw columns, and where they are from."""

    raw: Raw
    origin: str

    def __len__(self) -> int:
        return len(next(iter(self.raw.values())))

    def take(self, n_rows: int) -> Raw:
        """So many rows, from the first on, and again from the first where there are not as many."""
        places = np.arange(n_rows) % len(self)
        return {name: values[places] for name, values in self.raw.items()}


def of_run(run: Run, predictor: Predictor, most: int) -> Rows:
    """The first rows of the test part.

    Raises:
        DataError: there are none.
    """
    is_test = read_columns(run.split_path, ["part"])["part"] == "test"
    chosen = np.zeros(len(is_test), bool)
    chosen[np.flatnonzero(is_test)[:most]] = True
    if not chosen.any():
        raise DataError(f"{run.path} has no test rows to ask about. Give rows with --data FILE.")
    return Rows(
        _of_like_images(read_columns(run.examples_path, predictor.inputs.names, chosen), predictor), "the run's test part"
    )


def of_table(path: Path, predictor: Predictor, most: int) -> Rows:
    """The first rows of a CSV, TSV or Parquet file.

    Raises:
        DataError: the file cannot be read, has no rows, or lacks a column.
    """
    rows = Rows(first_rows(predictor, path, most), path.name)
    if not len(rows):
        raise DataError(f"{path} has a header but no rows.")
    return Rows(_of_like_images(rows.raw, predictor), rows.origin)


def made(predictor: Predictor) -> Rows:
    """Rows of the right kinds that mean nothing: how long a call takes hardly depends on them."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 2 * STEPS, MADE_ROWS)
    raw = {}
    for column in predictor.inputs:
        if not column.sequence:
            raw[column.name] = _made(column, MADE_ROWS, rng)
            continue
        steps = _made(column, int(lengths.sum()), rng)
        raw[column.name] = np.array([*np.split(steps, np.cumsum(lengths)[:-1]), None], object)[:-1]
    return Rows(raw, "made from the file's schema")


def _made(column: Column, n: int, rng: np.random.Generator) -> np.ndarray:
    if column.kind == "number":
        return rng.lognormal(size=n).astype(np.float64 if column.double else np.float32)
    if column.kind == "time":
        return rng.integers(NOW - 10_000_000, NOW, n)
    if column.kind == "image":
        images = np.empty(n, object)
        for i in range(n):
            images[i] = rng.integers(0, 256, (SIDE, SIDE, column.channels), np.uint8)
        return images
    texts = np.array([f"{column.name} {code}" for code in rng.integers(0, 20, n)], object)
    return np.array([str(code) for code in rng.integers(0, 20, n)], object) if column.integer else texts


def _of_like_images(raw: Raw, predictor: Predictor) -> Raw:
    """Only images of one size go in one call: those of the commonest."""
    if all(column.kind != "image" for column in predictor.inputs):
        return raw
    rows = max(of_one_size(raw, predictor.inputs.columns), key=len)
    return {name: values[rows] for name, values in raw.items()}


def as_frame(raw: Raw) -> pd.DataFrame:
    """As a person holds them; sequences and images as objects."""
    return pd.DataFrame({name: pd.Series(list(values) if values.dtype == object else values) for name, values in raw.items()})
