"""Source, view and scoring on Spark, held against DuckDB and this process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
import pytest

import shopkit
from shopkit.errors import ConfigError, DataError, RunError
from shopkit.predict.files import predict_file
from shopkit.predict.on_spark import predict_on_spark
from shopkit.sources.catalog import CatalogSource
from shopkit.sources.completejourney import CompletejourneySource
from shopkit.sources.files import FilesSource
from shopkit.sources.settings import CatalogSettings, CompletejourneySettings, EngineSettings, FilesSettings
from tests.handmade import exported_file
from tests.predict.test_files import table
from tests.shop import TABLE, visits

pytest.importorskip("pyspark", reason="PySpark is not installed")
pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]
MASTER = "local[2]"


@pytest.fixture(scope="module")
def spark():
    from shopkit.sources.spark import Spark

    found = Spark(EngineSettings("spark", MASTER, {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2"}))
    yield found
    found.session.stop()


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return exported_file(tmp_path)


def written(frame: pd.DataFrame, path: Path) -> Path:
    """The frame as a folder of three files."""
    path.mkdir()
    for part, rows in enumerate(np.array_split(np.arange(len(frame)), 3)):
        if path.suffix == ".csv":
            frame.iloc[rows].to_csv(path / f"{part}.csv", index=False)
        else:
            frame.iloc[rows].to_parquet(path / f"{part}.parquet", row_group_size=200)
    return path


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_folder_is_scored_on_the_workers_as_a_file_is_here(spark, artifact: Path, tmp_path: Path, ending: str) -> None:
    frame = table(2000)
    frame.loc[7, "note"] = 'a "quoted"\ntext, of two lines'
    data = written(frame, tmp_path / f"in.{ending}")
    assert predict_on_spark(artifact, str(data), str(tmp_path / "out"), master=MASTER) == 2000
    whole = tmp_path / f"whole.{ending}"
    frame.to_csv(whole, index=False) if ending == "csv" else frame.to_parquet(whole)
    predict_file(artifact, whole, tmp_path / "here.parquet")
    answers = (pd.read_parquet(tmp_path / name) for name in ("here.parquet", "out"))
    here, there = (answer.sort_values("customer", ignore_index=True) for answer in answers)
    pd.testing.assert_frame_equal(there, here)
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".partial")]


def test_a_table_of_the_catalogue_is_scored(spark, artifact: Path, tmp_path: Path) -> None:
    rows = table(100)[["customer", "price", "color"]]
    spark.session.createDataFrame(rows.astype(object).where(rows.notna(), None)).createOrReplaceTempView("visits_of_today")
    assert predict_on_spark(artifact, "table:visits_of_today", str(tmp_path / "out"), master=MASTER) == 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("price,color\n1,red\ncheap,red\n", r"^Partition 0: Column 'price', row 1: 'cheap' is not a number\.$"),
        ("price,color\n1,red\n2,red\ninf,red\n", r"^Partition 0: Column 'price', row 2: inf is not a finite number"),
        ("prise,color\n1,red\n", r"has no column 'price', which model\.onnx needs\. Did you mean 'prise'\?"),
    ],
)
def test_a_bad_file_is_named_and_nothing_is_left(spark, artifact: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "in.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        predict_on_spark(artifact, str(tmp_path / "in.csv"), str(tmp_path / "out"), master=MASTER)
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "model.onnx"}


def test_a_table_without_rows_gives_an_answer_without_rows(spark, artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("price,color\n")
    assert predict_on_spark(artifact, str(tmp_path / "in.csv"), str(tmp_path / "out"), master=MASTER) == 0
    assert list(pd.read_parquet(tmp_path / "out").columns) == ["probability", "label"]


def test_unusable_places_are_named(spark, artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Spark cannot read .*none\.parquet: .*PATH_NOT_FOUND"):
        predict_on_spark(artifact, str(tmp_path / "none.parquet"), str(tmp_path / "out"), master=MASTER)
    data = written(table(10), tmp_path / "in")
    (tmp_path / "out").mkdir()
    with pytest.raises(RunError, match=r"out exists already\. Remove it, or name another folder"):
        predict_on_spark(artifact, str(data), str(tmp_path / "out"), master=MASTER)
    with pytest.raises(ConfigError, match=r"has a session on local\[2\] already, so it cannot have one on local\[1\]"):
        predict_on_spark(artifact, str(data), str(tmp_path / "more"), master="local[1]")


def test_a_whole_run_on_spark_is_that_on_duckdb(spark, tmp_path: Path) -> None:
    overrides = [*TABLE, "evaluation.baselines=[]", "trainer.threads=1"]
    here = shopkit.run(data=visits(), overrides=overrides, folder=tmp_path / "here")
    chosen = ["engine=spark", f"engine.master='{MASTER}'", "engine.options={spark.sql.shuffle.partitions:'2'}"]
    there = shopkit.run(data=visits(), overrides=[*overrides, *chosen], folder=tmp_path / "there")
    pd.testing.assert_frame_equal(pd.read_parquet(there.examples_path), pd.read_parquet(here.examples_path))
    pd.testing.assert_frame_equal(
        pd.read_parquet(there.path / "predictions.parquet"), pd.read_parquet(here.path / "predictions.parquet")
    )


def test_parquet_files_and_tables_of_the_catalogue_are_sources(spark, tmp_path: Path) -> None:
    frame = visits(50)
    folder = written(frame, tmp_path / "visits")
    files = FilesSource(FilesSettings(path=str(folder))).on_spark(spark)
    spark.session.read.parquet(str(folder)).createOrReplaceTempView("visits_view")
    catalog = CatalogSource(CatalogSettings(tables={"data": "visits_view"})).on_spark(spark)
    expected = FilesSource(FilesSettings(path=str(folder / "*.parquet"))).open()["data"].order_by("customer").to_pyarrow()
    for tables in (files, catalog):
        found = tables["data"].order_by("customer").to_pyarrow()
        assert found.to_pylist() == expected.to_pylist()
    assert files.fingerprint == catalog.fingerprint
    frame.loc[3, "price"] += 1
    shutil.rmtree(folder)
    changed = FilesSource(FilesSettings(path=str(written(frame, folder)))).on_spark(spark)
    assert changed.fingerprint != files.fingerprint
    with pytest.raises(DataError, match=r"Spark cannot read the table nowhere"):
        CatalogSource(CatalogSettings(tables={"data": "nowhere"})).on_spark(spark)
    shutil.rmtree(folder)
    with pytest.raises(DataError, match=r"Table 'data' has no rows"):
        FilesSource(FilesSettings(path=str(written(frame.iloc[:0], folder)))).on_spark(spark)


def test_a_fingerprint_tells_where_nothing_stands(spark) -> None:
    def fingerprint(kind: str, *rows: object) -> str:
        return spark.fingerprint({"data": spark.session.createDataFrame([(row,) for row in rows], f"a {kind}")})

    def distinct(kind: str, *values: object) -> bool:
        return len({fingerprint(kind, value) for value in values}) == len(values)

    both = "struct<x:int,y:int>"
    assert distinct(both, (1, None), (None, 1), (None, None), None)
    assert distinct("array<int>", [None, 1], [1, None], [1], [1, None, None], [], [None], None)
    assert distinct("array<array<int>>", [[1], []], [[], [1]], [[1]], [[1, None]], [None, [1]])
    assert distinct(f"array<{both}>", [(1, None)], [(None, 1)], [None])
    assert distinct("map<string,int>", {"a": 1}, {"a": None}, {}, None)
    assert distinct("string", "", None, "null")
    assert fingerprint(both, (1, None), (None, 1)) == fingerprint(both, (None, 1), (1, None))


def test_nothing_is_left_where_the_command_is_given(tmp_path: Path) -> None:
    """In a process of its own, as this one has a session."""
    for place, conf in (("ours", {}), ("theirs", {"spark.sql.warehouse.dir": (tmp_path / "warehouse").as_uri()})):
        (folder := tmp_path / place).mkdir()
        (folder / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in conf.items()))
        done = subprocess.run(
            [sys.executable, "-c", WAREHOUSE],
            cwd=folder,
            env=os.environ | {"SPARK_CONF_DIR": str(folder)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert [path.name for path in folder.iterdir()] == ["spark-defaults.conf"]
        used = Path(unquote(urlsplit(done.stdout.strip().splitlines()[-1]).path))
        assert (used == tmp_path / "warehouse") == (place == "theirs")
        assert not used.exists() or place == "theirs"


WAREHOUSE = """
from shopkit.sources.settings import EngineSettings
from shopkit.sources.spark import Spark

for _ in range(2):
    spark = Spark(EngineSettings("spark", "local[1]", {"spark.ui.enabled": "false"}))
spark.session.sql("CREATE DATABASE shop")
spark.session.sql("CREATE TABLE shop.it AS SELECT 1 AS one")
print(spark.session.conf.get("spark.sql.warehouse.dir"))
"""


def test_times_are_those_of_the_wall_clock_there_as_here(spark) -> None:
    source = CompletejourneySource(CompletejourneySettings())
    for table_name, column in (("transactions", "transaction_timestamp"), ("coupon_redemptions", "redemption_date")):
        here, there = (tables[table_name][column] for tables in (source.open(), source.on_spark(spark)))
        for measure in ("min", "max", "nunique"):
            found, expected = (getattr(values, measure)().to_pyarrow().as_py() for values in (there, here))
            assert found == expected
