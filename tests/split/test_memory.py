"""What a split takes for each example, whatever the names in it: in a process of its own, as a peak never falls."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys
from pathlib import Path
import duckdb
from shopkit.registry import load_registry
from shopkit.schema import Column, Schema
from shopkit.split import Rows, assign

schema = Schema((Column("customer", "string", "group"), Column("at", "time", "time"), Column("bought", "string", "target")))
registry = load_registry("")
split = registry.build(registry.choice("split", sys.argv[1], "split"))

def peak_after(n_rows):
    path = Path(f"{n_rows}.parquet")
    duckdb.sql(
        "SELECT sha256((i % 50000)::VARCHAR) AS customer, i * 60 AS at, if(i % 10 = 0, 'yes, gladly', 'no') AS bought "
        f"FROM range({n_rows}) AS t(i)"
    ).to_parquet(str(path), row_group_size=65536)
    assign(split, Rows.of_file(schema, n_rows, path))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

few, many = 200_000, 1_000_000
first = peak_after(few)
print((peak_after(many) - first) / (many - few))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
@pytest.mark.parametrize("name", ["group", "stratified", "leave_last_out"])
def test_bytes_an_example(name: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, name], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 120  # of names of 64 letters, which as Python texts take 113 each, and 256 as an array of numpy
