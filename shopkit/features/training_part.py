"""The training part in an engine of its own, for extractors to fit on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import ibis
import numpy as np
import pyarrow as pa

from shopkit.features.base import FitContext
from shopkit.sources.engine import bound

ROW, TARGET, WEIGHT = "shopkit_row", "shopkit_target", "shopkit_weight"


@contextmanager
def training_part(
    examples: Path,
    is_train: np.ndarray,
    target: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    n_classes: int = 0,
    seed: int = 0,
    folder: Path | None = None,
    classes: Sequence[str] = (),
    memory: int = 2 << 30,
) -> Iterator[FitContext]:
    """The training rows of a Parquet file as a table on DuckDB, on disk, so that they need not fit in memory.

    Args:
        examples: Parquet of canonical columns, N rows.
        is_train: (N,) bool.
        target: (N,) or (training rows,) encoded target.
        weight: the same for sample weights.
        n_classes: classes of a multiclass target, else 0.
        seed: for extractors that draw folds.
        classes: names of the classes.
        memory: bytes that queries may take before they go on in files.
        folder: where to keep the table meanwhile; a temporary folder of the system if None.
    """
    rows = np.flatnonzero(is_train)
    extra = {"shopkit_place": pa.array(rows), ROW: pa.array(np.arange(len(rows)))}
    for name, values in ((TARGET, target), (WEIGHT, weight)):
        if values is not None:
            extra[name] = pa.array(np.asarray(values[rows] if len(values) == len(is_train) else values, np.float64))
    with TemporaryDirectory(dir=folder) as temporary:
        # One thread: sums of floats depend on the order in which threads meet, and equal runs must be equal to the last bit.
        connection = ibis.duckdb.connect(Path(temporary) / "train.duckdb", threads=1)
        try:
            engine: duckdb.DuckDBPyConnection = connection.con
            bound(engine, memory, Path(temporary))
            engine.register("shopkit_extra", pa.table(extra))
            engine.execute(
                "CREATE TABLE train AS SELECT examples.* EXCLUDE file_row_number, extra.* EXCLUDE shopkit_place "
                "FROM read_parquet(?, file_row_number=true) AS examples "
                "JOIN shopkit_extra AS extra ON file_row_number = shopkit_place ORDER BY shopkit_place",
                [str(examples)],
            )
            engine.unregister("shopkit_extra")
            del extra, rows
            table = connection.table("train")
            yield FitContext(
                table=table,
                target=None if target is None else table[TARGET],
                weight=None if weight is None else table[WEIGHT],
                n_classes=n_classes,
                seed=seed,
                row=ROW,
                classes=tuple(classes),
            )
        finally:
            connection.disconnect()
