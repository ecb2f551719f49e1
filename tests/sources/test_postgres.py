"""A real PostgreSQL, started for the tests: the views in place, copied, and what it cannot do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import shopkit
from shopkit.errors import DataError
from shopkit.sources.database import DatabaseSource
from shopkit.sources.dataframe import DataFrameSource
from shopkit.sources.settings import DatabaseSettings, DataFrameSettings
from shopkit.views.base import View
from shopkit.views.basket_value import BasketValueView
from shopkit.views.customer_history import CustomerHistoryView
from shopkit.views.materialise import materialise
from shopkit.views.purchase_within import PurchaseWithinView
from shopkit.views.settings import BasketValueSettings, CustomerHistorySettings
from tests.data import shop
from tests.views.shops import SMALL, assert_same, settings

pytestmark = pytest.mark.postgres
PASSWORD = "s3cret-word"
ZONE = "America/New_York"


def programs() -> Path | None:
    """The folder of PostgreSQL's server programs."""
    folders = [Path(found).parent for found in [shutil.which("initdb")] if found]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "pg_ctl").is_file()), None)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database with the tables of the made-up shop."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL's server is not installed")
    # Its server refuses to run as root.
    user = {"user": "nobody"} if os.geteuid() == 0 else {}
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True, **user).strip())

    def call(*command: str) -> None:
        subprocess.run([str(found / command[0]), *command[1:]], check=True, cwd=folder, stdout=subprocess.DEVNULL, **user)

    secret = folder / "secret"
    subprocess.run(["tee", str(secret)], input=PASSWORD, text=True, check=True, stdout=subprocess.DEVNULL, **user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call("initdb", "-D", str(folder / "data"), "-U", "me", "-A", "scram-sha-256", "--pwfile", str(secret))
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c timezone=Asia/Tokyo"
    call("pg_ctl", "-D", str(folder / "data"), "-l", str(folder / "log"), "-w", "-o", options, "start")
    try:
        url = f"postgres://me:{PASSWORD}@127.0.0.1:{port}/postgres"
        with psycopg.connect(url.replace("postgres://", "postgresql://")) as connection:
            for name, table in shop().items():
                _load(connection, name, table)
        yield url
    finally:
        call("pg_ctl", "-D", str(folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(folder)


def _load(connection, name: str, table: pd.DataFrame, zone: str = "") -> None:
    def typed(column: str) -> str:
        kind = table[column].dtype.kind
        return {"i": "bigint", "f": "double precision", "M": "timestamptz" if zone else "timestamp"}.get(kind, "text")

    columns = ", ".join(f'"{column}" {typed(column)}' for column in table)
    if zone:
        table = table.assign(**{name: table[name].dt.tz_localize(zone) for name in table.select_dtypes("datetime")})
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE TABLE "{name}" ({columns})')
        with cursor.copy(f'COPY "{name}" FROM STDIN (FORMAT csv)') as rows:
            rows.write(table.to_csv(index=False, header=False))
    connection.commit()


def examples(view: View, tables, path: Path) -> list[dict]:
    materialise(view.examples(tables), {}, path, tables.time_zone)
    return pq.read_table(path).to_pylist()


def opened(url: str, **chosen: object):
    return DatabaseSource(DatabaseSettings(url=url, **chosen)).open()


VIEWS = {
    "purchase_within": PurchaseWithinView(settings()),
    "department": PurchaseWithinView(settings(department="FUEL", horizon_days=14, every_days=5)),
    "basket_value": BasketValueView(BasketValueSettings(**SMALL)),
    "customer_history": CustomerHistoryView(CustomerHistorySettings(**SMALL, max_steps=4)),
}


@pytest.mark.parametrize(("name", "copy"), [*((name, True) for name in VIEWS), *((name, False) for name in list(VIEWS)[:3])])
def test_the_rows_are_those_of_duckdb(name: str, copy: bool, server: str, tmp_path: Path) -> None:
    expected = examples(VIEWS[name], DataFrameSource(DataFrameSettings(), shop()).open(), tmp_path / "duckdb.parquet")
    found = examples(VIEWS[name], opened(server, copy=copy), tmp_path / "postgres.parquet")
    assert_same(expected, found)


def test_times_with_a_zone_are_the_shops_own(server: str, tmp_path: Path) -> None:
    """Whatever the zone of the server, and in place as in a copy."""
    import psycopg

    orders = shop()["transactions"]
    with psycopg.connect(server.replace("postgres://", "postgresql://")) as connection:
        _load(connection, "zoned", orders, ZONE)
    view = PurchaseWithinView(replace(settings(), orders="zoned"))
    plain = examples(PurchaseWithinView(settings()), opened(server, time_zone=ZONE), tmp_path / "plain.parquet")
    for copy in (False, True):
        assert_same(plain, examples(view, opened(server, time_zone=ZONE, copy=copy), tmp_path / f"{copy}.parquet"))


def test_the_fingerprint_is_of_all_rows_whatever_their_order(server: str) -> None:
    import psycopg

    def fingerprint(paid: str, order: str = "i") -> str:
        rows = f"SELECT i AS t, {paid} AS paid, 'a, b' AS note FROM generate_series(0, 19) AS i ORDER BY {order}"
        with psycopg.connect(server.replace("postgres://", "postgresql://")) as connection:
            connection.execute("DROP TABLE IF EXISTS counted")
            connection.execute(f"CREATE TABLE counted AS {rows}")
            connection.execute("INSERT INTO counted VALUES (NULL, NULL, NULL)")
        return opened(server, tables=["counted"]).fingerprint

    assert fingerprint("i % 2") == fingerprint("i % 2", order="-i")
    assert fingerprint("i % 2") != fingerprint("CASE WHEN i BETWEEN 4 AND 15 THEN 1 - i % 2 ELSE i % 2 END")


def test_what_it_cannot_compute_says_how_to_go_on(server: str, tmp_path: Path) -> None:
    overrides = ["view=customer_history", "task=binary", "model=linear", "source=database", f"source.url={server}"]
    with pytest.raises(DataError, match=r"me@127\.0\.0\.1:\d+/postgres cannot compute the view: .*Set source\.copy=true"):
        shopkit.run(overrides=[*overrides, *(f"view.{name}={value}" for name, value in SMALL.items())], folder=tmp_path / "it")
    leaked = [path for path in tmp_path.rglob("*") if path.is_file() and PASSWORD in path.read_text(errors="ignore")]
    assert leaked == []


def test_a_wrong_password(server: str) -> None:
    with pytest.raises(DataError, match=r"cannot connect: .*password authentication failed") as error:
        opened(server.replace(PASSWORD, "wr0ng"))
    assert "wr0ng" not in str(error.value)
