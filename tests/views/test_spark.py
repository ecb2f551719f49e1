"""The same view, unchanged, on Spark."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from shopkit.registry import load_registry
from shopkit.sources.dataframe import DataFrameSource
from shopkit.sources.settings import DataFrameSettings, EngineSettings
from shopkit.views.base import View
from shopkit.views.basket_value import BasketValueView
from shopkit.views.customer_history import CustomerHistoryView
from shopkit.views.materialise import materialise
from shopkit.views.purchase_within import PurchaseWithinView
from shopkit.views.settings import BasketValueSettings, CustomerHistorySettings
from tests.data import shop
from tests.views.shops import SMALL, assert_same, settings

pytest.importorskip("pyspark", reason="PySpark is not installed")
pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore")]
SHIPPED = sorted(load_registry().families["views"])
"""Those of the plugins that are installed included."""


@pytest.fixture(scope="module")
def spark():
    from shopkit.sources.spark import Spark

    found = Spark(EngineSettings("spark", "local[2]", {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "2"}))
    yield found
    found.session.stop()


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_view_gives_the_same_examples_on_both(name, spark, tmp_path):
    registry = load_registry()
    chosen = registry.choice("views", name)
    example = registry.build(chosen).example(chosen.settings)
    assert example is not None, f"view {name} has no example"
    view, frames = example
    same_examples(view, dict(frames), spark, tmp_path)


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
def test_the_rows_are_those_of_duckdb(view, spark, tmp_path):
    assert same_examples(view, shop(), spark, tmp_path) > 50


def same_examples(view: View, frames: dict[str, pd.DataFrame], spark, folder: Path) -> int:
    """Hold the examples of one engine against those of the other; returns their number."""
    source = DataFrameSource(DataFrameSettings(), frames)
    here = materialise(view.examples(source.open()), {}, folder / "duckdb.parquet")
    there = materialise(view.examples(source.on_spark(spark)), {}, folder / "spark.parquet")
    assert there.left_out == here.left_out
    assert there.schema == here.schema
    expected, found = (pq.read_table(folder / f"{name}.parquet").to_pylist() for name in ("duckdb", "spark"))
    assert_same(expected, found)
    return len(found)
