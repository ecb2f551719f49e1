"""Databases by URL."""

from __future__ import annotations

import sqlite3

import duckdb
import ibis
import pytest

import shopkit
from shopkit.errors import ConfigError, DataError
from shopkit.sources.database import DatabaseSource, _in_local_time
from shopkit.sources.settings import DatabaseSettings
from tests.data import shop
from tests.views.shops import SMALL


@pytest.fixture
def duck(tmp_path):
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE orders AS SELECT range AS id, TIMESTAMPTZ '2024-01-01 12:00:00+00' AS at FROM range(5)")
        connection.execute("CREATE TABLE products AS SELECT 1 AS id")
    return f"duckdb://{path}"


@pytest.fixture
def sqlite(tmp_path):
    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER, price REAL, name TEXT, at TIMESTAMP)")
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, ?)", [(1, 2.5, "a", "2024-01-01 10:00:00"), (2, None, None, None)]
        )
    connection.close()
    return f"sqlite://{path}"


def opened(url: str, **settings: object):
    return DatabaseSource(DatabaseSettings(url=url, **settings)).open()


def test_duckdb_read_only_and_in_local_time(duck):
    tables = opened(duck, time_zone="Europe/Berlin")
    assert set(tables) == {"orders", "products"}
    assert tables["orders"]["at"].max().to_pyarrow().as_py().hour == 13
    assert set(opened(duck, tables=["orders"])) == {"orders"}


def test_sqlite(sqlite):
    assert opened(sqlite)["orders"].to_pyarrow().to_pylist()[0]["price"] == 2.5


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("kind", ["duck", "sqlite"])
def test_the_fingerprint_is_of_all_rows_whatever_their_order(kind, copy, tmp_path):
    """Counts, sums, least and greatest values of all columns are equal in the three that differ."""

    def fingerprint(rows):
        path = tmp_path / f"f.{kind}"
        path.unlink(missing_ok=True)
        connection = duckdb.connect(path) if kind == "duck" else sqlite3.connect(path)
        connection.execute('CREATE TABLE orders ("t" INTEGER, "rows" INTEGER, note VARCHAR)')
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
        connection.commit()
        connection.close()
        return opened(f"{'duckdb' if kind == 'duck' else 'sqlite'}://{path}", copy=copy).fingerprint

    rows = [(i, i % 2, None if i % 3 else "x") for i in range(20)]
    assert fingerprint(rows) == fingerprint(rows[::-1])
    turned = [(i, 1 - paid if 4 <= i < 16 else paid, note) for i, paid, note in rows]
    swapped = [(i, paid, "x" if i == 1 else None if i == 3 else note) for i, paid, note in rows]
    assert len({fingerprint(rows), fingerprint(turned), fingerprint(swapped)}) == 3


def test_a_table_whose_values_are_not_of_its_types_is_named(sqlite):
    connection = sqlite3.connect(sqlite.partition("//")[2])
    connection.execute("CREATE TABLE notes (price REAL)")
    connection.executemany("INSERT INTO notes VALUES (?)", [(1.5,), ("n/a",)])
    connection.commit()
    connection.close()
    with pytest.raises(DataError, match=r"table 'notes' cannot be read: .*Name those that are needed in source\.tables"):
        opened(sqlite)
    assert opened(sqlite, tables=["orders"]).fingerprint


@pytest.mark.parametrize("kind", ["duck", "sqlite"])
def test_the_fingerprint_changes_with_the_data(kind, request):
    url = request.getfixturevalue(kind)
    first = opened(url).fingerprint
    assert opened(url).fingerprint == first
    path = url.partition("//")[2]
    connection = duckdb.connect(path) if kind == "duck" else sqlite3.connect(path)
    connection.execute("UPDATE orders SET id = 77 WHERE id = 2")
    connection.commit()
    connection.close()
    assert opened(url).fingerprint != first


def test_what_cannot_be_opened(duck, tmp_path):
    with pytest.raises(ConfigError, match=r"set source\.url"):
        opened("")
    with pytest.raises(DataError, match=r"There is no file .*shap\.duckdb\. Did you mean 'shop\.duckdb'\?"):
        opened(duck.replace("shop.duckdb", "shap.duckdb"))
    with pytest.raises(DataError, match="There is no file"):
        opened(f"sqlite://{tmp_path}/none.sqlite")
    with pytest.raises(DataError, match=r"has no table 'order'\. Did you mean 'orders'\?"):
        opened(duck, tables=["order"])
    (tmp_path / "text.duckdb").write_text("no database " * 1000)
    with pytest.raises(DataError, match="cannot be opened"):
        opened(f"duckdb://{tmp_path}/text.duckdb")
    with pytest.raises(DataError, match="cannot connect: "):
        opened("nosuch://host/shop")
    duckdb.connect(tmp_path / "empty.duckdb").close()
    with pytest.raises(DataError, match="has no tables"):
        opened(f"duckdb://{tmp_path}/empty.duckdb")


def test_passwords_are_never_shown(monkeypatch):
    import ibis

    def refuse(url: str) -> None:
        raise OSError(f"could not connect with {url} and p@ss")

    monkeypatch.setattr(ibis, "connect", refuse)
    with pytest.raises(DataError, match=r"source database postgres://me@host/shop: cannot connect") as error:
        opened("postgres://me:p%40ss@host/shop")
    assert "p@ss" not in str(error.value)
    assert "p%40ss" not in str(error.value)


def test_a_missing_driver_names_the_extra(monkeypatch):
    import ibis

    def refuse(url: str) -> None:
        raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")

    monkeypatch.setattr(ibis, "connect", refuse)
    with pytest.raises(DataError, match=r'not installed \(psycopg\).*pip install "ibis-framework\[postgres\]"'):
        opened("postgres://host/shop")


def test_a_view_that_a_database_cannot_compute_runs_on_a_copy(tmp_path):
    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as connection:
        for name, table in shop().items():
            table.to_sql(name, connection, index=False)
    connection.close()
    chosen = [
        *(f"view.{name}={value}" for name, value in SMALL.items()),
        "task=binary",
        "model=linear",
        "evaluation.baselines=[]",
    ]
    overrides = ["view=purchase_within", "source=database", f"source.url=sqlite://{path}", *chosen]
    with pytest.raises(DataError, match=r"shop\.sqlite cannot compute the view: .* is not defined\. Set source\.copy=true"):
        shopkit.run(overrides=overrides, folder=tmp_path / "in place")
    run = shopkit.run(overrides=[*overrides, "source.copy=true"], folder=tmp_path / "copied")
    assert run.metrics["n_rows"]["test"] > 0


def test_times_with_a_zone_are_read_in_place_by_two_databases_only():
    table = ibis.table({"at": "timestamp('UTC')"}, name="orders")
    with pytest.raises(DataError, match=r"column 'at' of table 'orders' has times with a zone.*Set source\.copy=true"):
        _in_local_time("source database mysql://shop", "mysql", "orders", table, "UTC")
