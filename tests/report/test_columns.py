from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopkit.raw import image_structs
from shopkit.report import render
from shopkit.report.columns import MIN_COUNT, summarise
from shopkit.runs import Run
from shopkit.schema import MISSING_TIME, Column
from shopkit.sources import engine


def test_summaries_agree_with_numpy(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    price = rng.normal(size=101).astype(np.float32)
    price[:7] = np.nan
    times = rng.integers(1_000, 2_000, 101)
    times[:3] = MISSING_TIME
    # From numpy, so that NaN stays NaN as in a run and does not become null.
    table = pa.table({'a "price"': price, "colour": ["red"] * 60 + ["blue"] * 37 + [""] * 4, "seen": times})
    pq.write_table(table, tmp_path / "examples.parquet")
    columns = [Column('a "price"', "number"), Column("colour", "string"), Column("seen", "time"), Column("gone", "number")]

    found = summarise(tmp_path / "examples.parquet", columns)

    assert list(found) == ['a "price"', "colour", "seen"]
    number, text, time = found.values()
    known = np.sort(price[7:])
    assert (number.missing, number.distinct) == (1 - 94 / 101, len(np.unique(known)))
    assert (number.low, number.median, number.high) == (known[0], known[46], known[-1])
    assert (text.missing, text.distinct, text.top, text.top_share) == (4 / 101, 2, "red", 60 / 101)
    assert (time.missing, time.low, time.high) == (1 - 98 / 101, times[3:].min(), times[3:].max())


def test_a_rare_text_is_not_shown(tmp_path: Path) -> None:
    names = [f"customer {i // (MIN_COUNT - 1)}" for i in range(90)]
    pd.DataFrame({"name": names}).to_parquet(tmp_path / "examples.parquet")
    assert summarise(tmp_path / "examples.parquet", [Column("name", "string")])["name"].top == ""


def test_a_column_without_any_value_has_no_typical_one(tmp_path: Path) -> None:
    pd.DataFrame({"x": np.full(20, np.nan, np.float32), "s": [""] * 20}).to_parquet(tmp_path / "e.parquet")
    found = summarise(tmp_path / "e.parquet", [Column("x", "number"), Column("s", "string")])
    assert (found["x"].missing, found["x"].typical, found["s"].typical) == (1.0, None, "")


def test_no_file_gives_no_summaries(tmp_path: Path) -> None:
    assert summarise(tmp_path / "none.parquet", [Column("x", "number")]) == {}


def test_images_are_summed_up_by_their_size(tmp_path: Path) -> None:
    sizes = [(28, 20)] * 3 + [(1, 1)] + [(9, 9)] * 2
    images = [np.full((*size, 3), i % 2, np.uint8) for i, size in enumerate(sizes)]
    pq.write_table(pa.table({"photo": image_structs(images)}), tmp_path / "examples.parquet")
    found = summarise(tmp_path / "examples.parquet", [Column("photo", "image", channels=3)])["photo"]
    assert (found.missing, found.distinct, found.top, found.top_share) == (1 / 6, 5, "28 × 20 pixels", 0.5)
    assert found.typical == (28, 20)


def test_queries_stay_within_the_runs_memory(make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []
    monkeypatch.setattr(engine, "bound", lambda connection, memory, folder: limits.append(memory))
    run = make_run()
    run.config_path.write_text(run.config_path.read_text() + "memory: 300MB\n")
    render(run)
    assert limits == [300_000_000]
