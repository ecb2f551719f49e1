"""A column's values as numbers, in the order of the values, without all of them in memory at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np

BATCH_ROWS = 65_536


class Coded:
    """A column of a Parquet file and the table of its different values; made by `coded`."""

    def __init__(self, engine: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
        self._engine = engine
        self._file, self._column = str(path), '"' + name.replace('"', '""') + '"'
        engine.execute(
            "CREATE TABLE places AS SELECT value, (row_number() OVER (ORDER BY value) - 1)::INTEGER AS place "
            f"FROM (SELECT DISTINCT {self._column} AS value FROM read_parquet(?))",
            [self._file],
        )

    @property
    def n_distinct(self) -> int:
        return int(self._engine.execute("SELECT count(*) FROM places").fetchall()[0][0])

    def distinct(self) -> np.ndarray:
        """The different values, sorted (n_distinct,): texts by their characters' code points, NaN last."""
        values = self._engine.sql("SELECT value FROM places ORDER BY place").to_arrow_table()["value"]
        return np.asarray(values.to_numpy())

    def codes(self, n_rows: int) -> np.ndarray:
        """The place of each row's value among them, int32 (n_rows,), in the order of the file."""
        codes = np.full(n_rows, -1, np.int32)
        # Threads hand rows over in any order.
        found = self._engine.sql(
            "SELECT examples.file_row_number AS row, places.place FROM read_parquet(?, file_row_number=true) AS examples "
            f"JOIN places ON examples.{self._column} IS NOT DISTINCT FROM places.value",
            params=[self._file],
        )
        for batch in found.to_arrow_reader(BATCH_ROWS):
            codes[batch["row"].to_numpy()] = batch["place"].to_numpy()
        assert (codes >= 0).all()
        return codes


@contextmanager
def coded(path: Path, name: str, memory: int = 2 << 30) -> Iterator[Coded]:
    """A column of a Parquet file, its different values in an engine that takes so many bytes, and then goes on in files."""
    work = path.parent / "work"
    with TemporaryDirectory(prefix="shopkit-", dir=work if work.is_dir() else None) as folder:
        limits: dict[str, Any] = {"memory_limit": f"{memory} B", "temp_directory": folder, "enable_external_file_cache": False}
        with duckdb.connect(config=limits) as engine:
            yield Coded(engine, path, name)
