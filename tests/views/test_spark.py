"""The same view, unchanged, on Spark."""

from __future__ import annotations

import math

import ibis
import pyarrow.parquet as pq
import pytest

from shopkit.sources.base import Tables
from shopkit.views.basket_value import BasketValueView
from shopkit.views.customer_history import CustomerHistoryView
from shopkit.views.materialise import materialise
from shopkit.views.purchase_within import PurchaseWithinView
from shopkit.views.settings import BasketValueSettings, CustomerHistorySettings
from tests.data import as_tables, shop
from tests.views.shops import SMALL, settings

pyspark = pytest.importorskip("pyspark", reason="PySpark is not installed")
pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def spark():
    session = (
        pyspark.sql.SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.fixture(scope="module")
def on_spark(spark) -> Tables:
    frames = shop()
    for name, frame in frames.items():
        rows = frame.astype(object).where(frame.notna(), None) if frame.isna().any(axis=None) else frame
        spark.createDataFrame(rows).createOrReplaceTempView(name)
    connection = ibis.pyspark.connect(spark)
    return Tables({name: connection.table(name) for name in frames}, connection, "Spark", "fingerprint")


@pytest.mark.parametrize(
    "view",
    [
        PurchaseWithinView(settings()),
        CustomerHistoryView(CustomerHistorySettings(**SMALL, max_steps=4)),
        PurchaseWithinView(settings(department="FUEL", horizon_days=14, every_days=5)),
        BasketValueView(BasketValueSettings(**SMALL)),
    ],
    ids=["purchase_within", "customer_history", "department", "basket_value"],
)
def test_the_rows_are_those_of_duckdb(view, on_spark, tmp_path):
    here, there = as_tables(shop()), on_spark
    on_duckdb = materialise(view.examples(here), {}, tmp_path / "duckdb.parquet")
    spark = materialise(view.examples(there), {}, tmp_path / "spark.parquet")
    assert spark.left_out == on_duckdb.left_out
    assert spark.schema.names == on_duckdb.schema.names
    expected, found = (pq.read_table(tmp_path / f"{name}.parquet").to_pylist() for name in ("duckdb", "spark"))
    assert len(found) == len(expected) > 50
    for row, (left, right) in enumerate(zip(expected, found, strict=True)):
        for name, value in left.items():
            same = math.isclose(value, right[name], rel_tol=1e-6) if isinstance(value, float) else value == right[name]
            assert same or (value != value and right[name] != right[name]), (row, name, value, right[name])
