"""What a split takes for each example, whatever the names in it: in a process of its own, as a peak never falls."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

SIZES = (200_000, 1_000_000)
SCRIPT = """
import resource, sys
from pathlib import Path
from shopkit.registry import load_registry
from shopkit.schema import Column, Schema
from shopkit.split import Rows, assign

schema = Schema((Column("customer", "string", "group"), Column("at", "time", "time"), Column("bought", "string", "target")))
registry = load_registry("")
split = registry.build(registry.choice("split", sys.argv[1], "split"))
peaks = []
for n_rows in map(int, sys.argv[2:]):
    assign(split, Rows.of_file(schema, n_rows, Path(f"{n_rows}.parquet")))
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
print(peaks[1] - peaks[0])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    with duckdb.connect() as engine:
        for n_rows in SIZES:
            engine.sql(
                "SELECT sha256((i % 50000)::VARCHAR) AS customer, i * 60 AS at, if(i % 10 = 0, 'yes, gladly', 'no') AS bought "
                f"FROM range({n_rows}) AS t(i)"
            ).to_parquet(str(folder / f"{n_rows}.parquet"), row_group_size=65_536)
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="there is no resource module")
@pytest.mark.parametrize(("name", "most"), [("group", 150), ("stratified", 110), ("leave_last_out", 200)])
def test_bytes_an_example(name: str, most: int, folder: Path) -> None:
    """A name has 64 letters: 113 bytes as Python's text, 256 as numpy's. Sorting all took 880 a row, and of short classes 166."""
    command = [sys.executable, "-c", SCRIPT, name, *map(str, SIZES)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert 0 <= int(done.stdout) / (SIZES[1] - SIZES[0]) < most
