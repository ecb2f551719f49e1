"""A password in a database URL is in nothing that a run writes, prints or raises."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import ibis
import pytest

from shopkit.cli import main
from shopkit.errors import DataError
from shopkit.secrecy import blotted, without_secrets
from tests.plugins import place
from tests.shop import QUICK, TABLE, visits

PASSWORD = "corr3ct-h0rse"
URL = f"postgres://shop:{PASSWORD}@db.example/shop?password={PASSWORD}"
RUN = [
    "run",
    "source=database",
    "view=table",
    "view.table=visits",
    *TABLE[1:4],
]
FEW = [*QUICK, "evaluation.baselines=[]", "model=linear", "features.ignore=[amount]"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    tracker = Path(__file__).parents[1] / "plugins" / "shopkit-example-tracker"
    place(shutil.copytree(tracker, tmp_path / "site"), monkeypatch)
    monkeypatch.setenv("SHOPKIT_TRACKER_FILE", str(tmp_path / "tracker.jsonl"))
    argv = sys.argv
    yield tmp_path
    sys.argv = argv


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A database that is reached by a URL with a password."""

    def connect(url: str) -> ibis.BaseBackend:
        assert PASSWORD in url
        return ibis.sqlite.connect(tmp_path / "server.sqlite")

    with closing(sqlite3.connect(tmp_path / "server.sqlite")) as database:
        visits().drop(columns="at").to_sql("visits", database, index=False)
    monkeypatch.setattr("shopkit.sources.database.ibis.connect", connect)


def assert_nowhere(folder: Path, *printed: str) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    found = [str(path) for path in files if PASSWORD.encode() in path.read_bytes()]
    assert not found
    assert not any(PASSWORD in text for text in printed)


def test_a_whole_run(server: None, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = main([*RUN, *QUICK, "evaluation.baselines=[]", f"source.url='{URL}'", "hydra.run.dir=out", "trainer.max_epochs=1"])
    printed = capfd.readouterr()
    assert code == 0, printed.err
    assert "postgres://•••@db.example/shop" in (here / "out" / "config.yaml").read_text(encoding="utf-8")
    assert (here / "out" / ".hydra" / "overrides.yaml").is_file()
    assert (here / "tracker.jsonl").is_file()
    assert_nowhere(here, printed.out, printed.err)


def test_a_search(server: None, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "conf" / "hparams_search").mkdir(parents=True)
    (here / "conf" / "hparams_search" / "one.yaml").write_text("space: {model.l2: {low: 0.1, high: 10.0}}\n", encoding="utf-8")
    typed = [*RUN[1:], *FEW, f"source.url='{URL}'", "hparams_search=one", "n_trials=1"]
    code = main(["search", *typed, "-o", "out"])
    printed = capfd.readouterr()
    assert code == 0, printed.err
    assert "postgres://•••@db.example/shop" in (here / "out" / "search.json").read_text(encoding="utf-8")
    assert_nowhere(here, printed.out, printed.err)


def test_a_sweep_of_cross_validations_over_urls(server: None, here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    urls = f"source.url='{URL}','{URL}&x=1'"
    code = main([*RUN, *FEW, "-m", urls, "cv=2", "hydra.sweep.dir=runs"])
    printed = capfd.readouterr()
    assert code == 0, printed.err
    assert (here / "runs" / "sweep.html").is_file()
    assert_nowhere(here, printed.out, printed.err)


def test_what_a_sweep_says_of_a_driver_that_fails(
    server: None, here: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from shopkit.stages import examples

    work = examples.materialise

    def sometimes(*given: Any, **named: Any) -> Any:
        if (here / "runs" / "2.partial").is_dir():
            raise RuntimeError(f"lost {URL}")
        return work(*given, **named)

    monkeypatch.setattr(examples, "materialise", sometimes)
    code = main([*RUN, *FEW, "-m", f"source.url='{URL}'", "seed=1,2,3", "hydra.sweep.dir=runs"])
    printed = capfd.readouterr()
    assert code == 1
    assert "lost postgres://shop:•••@db.example" in (here / "runs" / "sweep.html").read_text(encoding="utf-8")
    assert_nowhere(here, printed.out, printed.err)


def test_a_sweep_over_a_url_from_a_file_that_fails(
    here: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(url: str) -> None:
        raise ConnectionError(f"connection to {url} failed: no password={PASSWORD}")

    monkeypatch.setattr("shopkit.sources.database.ibis.connect", connect)
    settings = Path("settings", "experiment", "mine.yaml")
    settings.parent.mkdir(parents=True)
    settings.write_text(f"# @package _global_\nsource:\n  url: {URL}\n", encoding="utf-8")
    (here / "runs").mkdir()
    (here / "runs" / "of_another").touch()  # so that the folder is kept, with what Hydra wrote down
    code = main([*RUN, "-m", "--config-dir=settings", "+experiment=mine", "seed=1,2", "hydra.sweep.dir=runs"])
    printed = capfd.readouterr()
    assert code == 1
    assert "cannot connect" in printed.err
    assert (here / "runs" / "multirun.yaml").is_file()
    assert_nowhere(here / "runs", printed.out, printed.err)
    code = main([*RUN, "--config-dir=settings", "+experiment=mine", "--cfg", "job"])
    printed = capfd.readouterr()
    assert "•••" in printed.out
    assert_nowhere(here / "runs", printed.out, printed.err)


@pytest.mark.parametrize(
    "arguments",
    [
        [f"source.urll={URL}"],
        [f"source.url={URL}", "source.url2=3"],
        [f"source.time_zone={URL}"],
        [f"model={URL}"],
        [f"{URL}"],
        [f"source.url=[{URL}"],
    ],
)
def test_a_message_about_a_configuration(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*RUN, *arguments]) == 2
    printed = capfd.readouterr()
    assert printed.err.startswith("Error: ")
    assert PASSWORD not in printed.out + printed.err


def test_a_driver_that_fails_in_mid_read(
    server: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], here: Path
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise RuntimeError(f"lost {URL}")

    monkeypatch.setattr("shopkit.stages.examples.materialise", gone)
    assert main([*RUN, f"source.url='{URL}'", "hydra.run.dir=out"]) == 1
    printed = capfd.readouterr()
    assert "RuntimeError: lost postgres://shop:•••@db.example" in printed.err
    assert_nowhere(here, printed.out, printed.err)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgres://u:p@h/d and mail me@x.org", "postgres://u:•••@h/d and mail me@x.org"),
        ("s3://bucket/a@b.csv", "s3://bucket/a@b.csv"),
        ("postgres://user@host", "postgres://user@host"),
        ("u:p@ss/w@h", "u:p@ss/w@h"),
        ("db://u:p@ss/w@h", "db://u:•••@h"),
        ("md:shop?motherduck_token=abc", "md:shop?motherduck_token=•••"),
        ("features.tokens: 3, a=b", "features.tokens: 3, a=b"),
        ("db://h?sslmode=on&password=a%20b&x=1", "db://h?sslmode=on&password=•••&x=1"),
        ("mysql://u:p w@h/d", "mysql://u:•••@h/d"),
        ("mysql://u:p'w@h and mail me@x.org", "mysql://u:•••@h and mail me@x.org"),
        ("mysql://u:1 2@h", "mysql://u:•••@h"),
        ("http://localhost:8080 is gone, mail me@x.org", "http://localhost:8080 is gone, mail me@x.org"),
        ("http://localhost:8080/x, mail me@x.org", "http://localhost:8080/x, mail me@x.org"),
        ("source.db_pass='a b' seed=1", "source.db_pass=••• seed=1"),
        ("source.url='db://h?pwd=abc'", "source.url='db://h?pwd=•••'"),
        ("connect(host=h, PGPASSWORD=it's)", "connect(host=h, PGPASSWORD=•••"),
        ("{'host': 'h', 'passphrase': 'a, b'}", "{'host': 'h', 'passphrase': •••}"),
        ("sent Authorization: Bearer ab.c-d back", "sent Authorization: ••• back"),
        ("fs.s3a.secret.key=abc", "fs.s3a.secret.key=•••"),
    ],
)
def test_texts(text: str, clean: str) -> None:
    assert without_secrets(text) == clean
    assert str(DataError(text)) == clean


SECRET = """
password db_password PGPASSWORD passwd pwd pass db_pass passphrase secret client_secret secretKey private_key api_key apiKey
aws_secret_access_key access_key_id token authToken motherduck_token authorization proxy-authorization bearer credentials
spark.hadoop.fs.s3a.secret.key
"""
NOT_SECRET = "tokenizer tokens max_tokens bypass compass key keys items_key key_file hash_keys passes password_column secretary"


def test_settings_named_as_secrets() -> None:
    assert {name for name in SECRET.split() if blotted({name: "x"}) != {name: "•••"}} == set()
    assert {name for name in NOT_SECRET.split() if blotted({name: "x"}) != {name: "x"}} == set()
    assert blotted({"token": "", "pad_token": 0, "password": 1234, "pass": True}) == {
        "token": "", "pad_token": 0, "password": "•••", "pass": True,
    }  # fmt: skip
    assert blotted({"credentials": {"user": "u", "keys": ["k"]}}) == {"credentials": {"user": "•••", "keys": ["•••"]}}
    assert blotted(["db://u:a b/c@d e@h", "https://token@h", "s3://b/a@b"]) == ["db://•••@h", "https://•••@h", "s3://b/a@b"]
    assert blotted(["source.url='db://u:p@h'", "source.pwd=x"]) == ["source.url='db://•••@h'", "source.pwd=•••"]
