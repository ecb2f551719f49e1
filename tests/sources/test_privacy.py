"""Identifiers hashed with a key at the source: joins still work, and nothing of a run holds one."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shopkit
from shopkit.errors import ConfigError, DataError
from shopkit.runtime.privacy import DIGITS, keyed_hash, read_key
from shopkit.sources.base import Tables
from shopkit.sources.database import DatabaseSource
from shopkit.sources.dataframe import DataFrameSource
from shopkit.sources.files import FilesSource
from shopkit.sources.privacy import with_hashed_keys
from shopkit.sources.settings import DatabaseSettings, DataFrameSettings, FilesSettings, PrivacySettings
from tests.shop import TABLE, visits

KEY = "a key that is long enough"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPKIT_HASH_KEY", KEY)


def expected(identifier: str, key: str = KEY) -> str:
    return hmac.new(key.encode(), identifier.encode(), hashlib.sha256).hexdigest()[:DIGITS]


def opened(frames: dict[str, pd.DataFrame], *columns: str) -> Tables:
    return with_hashed_keys(DataFrameSource(DataFrameSettings(), frames).open(), PrivacySettings(hash_keys=[*columns]))


def test_tables_join_as_before_and_the_hash_is_hmac_sha256() -> None:
    orders = pd.DataFrame({"customer": [7, 8, 7, 9], "price": [1.0, 2.0, 3.0, 4.0]})
    people = pd.DataFrame({"customer": [7.0, 9.0, np.nan], "age": [30, 40, 50]})
    texts = pd.DataFrame({"customer": ["7", "", None], "mail": ["a", "b", "c"]})
    tables = opened({"orders": orders, "people": people, "texts": texts}, "customer")
    joined = tables["orders"].join(tables["people"], "customer").select("customer", "price", "age").to_pandas()
    assert sorted(zip(joined["price"], joined["age"], strict=True)) == [(1.0, 30), (3.0, 30), (4.0, 40)]
    assert set(joined["customer"]) == {expected("7"), expected("9")}
    assert tables["texts"]["customer"].to_pyarrow().to_pylist() == [expected("7"), "", None]
    assert tables["people"]["customer"].to_pyarrow().to_pylist()[2] is None
    assert tables["orders"]["price"].to_pyarrow().to_pylist() == [1.0, 2.0, 3.0, 4.0]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1),
    st.binary(min_size=16, max_size=90),
)
def test_any_text_and_any_key(identifiers: list[str], key: bytes) -> None:
    from shopkit.sources import privacy

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(privacy, "read_key", lambda *_: key)
        tables = opened({"orders": pd.DataFrame({"customer": pd.array(identifiers, "str")})}, "customer")
    assert tables["orders"]["customer"].to_pyarrow().to_pylist() == [keyed_hash(text, key) for text in identifiers]


@pytest.mark.parametrize(
    ("type_", "values", "texts"),
    [
        (pa.float64(), [3.0, -0.0, 2.5, float("nan"), None, 2.0**70, 1e300], ["3", "0", "2.5", None, None, str(2**70), "1e+300"]),
        (pa.float64(), [float("inf")], ["inf"]),
        (pa.float32(), [3.0, float("nan"), 2.0**70], ["3", None, str(2**70)]),
        (pa.decimal128(20, 0), [Decimal(12345678901234567890), None], ["12345678901234567890", None]),
        (pa.decimal128(38, 2), [Decimal("3.00"), Decimal("3.25"), Decimal(10**35)], ["3", "3.25", str(10**35)]),
        (pa.uint64(), [2**64 - 1], [str(2**64 - 1)]),
    ],
)
def test_identifiers_of_any_number_type(tmp_path: Path, type_: pa.DataType, values: list, texts: list) -> None:
    pq.write_table(pa.table({"customer": pa.array(values, type_)}), tmp_path / "orders.parquet")
    tables = FilesSource(FilesSettings(path=str(tmp_path / "orders.parquet"))).open()
    hashed = with_hashed_keys(tables, PrivacySettings(hash_keys=["customer"]))
    (table,) = hashed.values()
    assert table["customer"].to_pyarrow().to_pylist() == [None if text is None else expected(text) for text in texts]


def test_another_key_gives_other_hashes_and_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = {"orders": pd.DataFrame({"customer": ["a", "b"]})}
    first = opened(frames, "customer")
    assert opened(frames, "customer").fingerprint == first.fingerprint
    monkeypatch.setenv("SHOPKIT_HASH_KEY", KEY[::-1])
    second = opened(frames, "customer")
    assert second.fingerprint != first.fingerprint
    assert second["orders"]["customer"].to_pyarrow().to_pylist() == [expected("a", KEY[::-1]), expected("b", KEY[::-1])]
    assert KEY not in repr(first)


def test_another_database_is_copied_batch_by_batch(tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE orders (customer TEXT, price REAL)")
        connection.executemany("INSERT INTO orders VALUES (?, ?)", [("ann", 2.5), (None, 1.0)])
    source = DatabaseSource(DatabaseSettings(url=f"sqlite://{path}")).open()
    tables = with_hashed_keys(source, PrivacySettings(hash_keys=["customer"]))
    assert tables.connection.name == "duckdb"
    assert tables["orders"].to_pyarrow().to_pylist() == [
        {"customer": expected("ann"), "price": 2.5}, {"customer": None, "price": 1.0},
    ]  # fmt: skip


def test_no_identifier_is_in_a_run(tmp_path: Path) -> None:
    frame = visits(200)
    frame["customer"] = [f"customer-{number}" for number in range(200)]
    run = shopkit.run(
        data=frame,
        overrides=[*TABLE, "privacy.hash_keys=[customer]", "trainer.max_epochs=1", "model=linear"],
        folder=tmp_path / "run",
    )
    predictions = pd.read_parquet(run.predictions_path)
    assert set(predictions["customer"]) <= {expected(name) for name in frame["customer"]}
    for path in run.path.rglob("*"):
        if path.suffix == ".parquet":
            assert not pd.read_parquet(path).astype(str).stack().str.contains("customer-").any(), path
        elif path.is_file():
            assert b"customer-1" not in path.read_bytes(), path
            assert KEY.encode() not in path.read_bytes(), path
    assert "hashed with HMAC-SHA256, key " in run.report_path.read_text(encoding="utf-8")


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = {"orders": pd.DataFrame({"customer": ["a"]})}
    with pytest.raises(DataError, match=r"privacy\.hash_keys: .* has no column 'custmer'\. Did you mean 'customer'\?"):
        opened(frames, "custmer")
    with pytest.raises(ConfigError, match="names a column twice"):
        PrivacySettings(hash_keys=["a", "a"])
    monkeypatch.delenv("SHOPKIT_HASH_KEY")
    with pytest.raises(ConfigError, match="the environment variable SHOPKIT_HASH_KEY is not set"):
        opened(frames, "customer")
    (tmp_path / "key").write_text("short\n")
    with pytest.raises(ConfigError, match="has 5 bytes; it needs at least 16"):
        read_key("X", str(tmp_path / "key"))
    with pytest.raises(ConfigError, match=r"privacy\.key_file .* cannot be read: No such file"):
        read_key("X", str(tmp_path / "none"))
    (tmp_path / "key").write_text(KEY + "\n")
    assert read_key("X", str(tmp_path / "key")) == KEY.encode()
