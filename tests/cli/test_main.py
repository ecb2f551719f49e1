"""The dispatcher, and help texts against snapshots, so that the README can quote them.

`SHOPKIT_SNAPSHOTS=write pytest tests/cli/test_main.py` writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import shopkit as package
from shopkit.cli import VERBS
from tests.cli.conftest import Shopkit

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("help", ["--help"]),
        ("help", []),
        ("help", ["help"]),
        *((verb, [verb, "--help"]) for verb in VERBS),
        ("list-models", ["list", "models"]),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value) or "nothing",
)
def test_what_is_printed(name: str, arguments: list[str], shopkit: Shopkit, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        code, out, err = shopkit(*arguments)
    except SystemExit as end:  # argparse ends the process after --help
        code, (out, err) = int(str(end.code)), shopkit.capfd.readouterr()  # type: ignore[attr-defined]
    assert (code, err) == (0, "")
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("SHOPKIT_SNAPSHOTS") == "write":
        path.write_text(out, encoding="utf-8")
    assert out == path.read_text(encoding="utf-8")
    assert "\x1b" not in out


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(flag: str, shopkit: Shopkit) -> None:
    assert shopkit(flag) == (0, f"shopkit {package.__version__}\n", "")


def test_an_unknown_verb(shopkit: Shopkit) -> None:
    code, out, err = shopkit("rnu")
    assert (code, out) == (2, "")
    assert err == f"Error: There is no verb 'rnu'. Did you mean 'run'? Verbs: {', '.join(VERBS)}.\n"


def test_a_reader_that_goes_away_is_no_error(shopkit: Shopkit, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    def gone(arguments: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("shopkit.cli.list.main", gone)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert shopkit("list")[0] == 0
