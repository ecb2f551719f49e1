"""What is typed into the page of a `web` export becomes what `Predictor` makes of it, or is refused: tried in Node."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shopkit.runtime.canonical import canonical_value
from shopkit.schema import MISSING_TIME, Column
from tests.runtimes.conftest import HERE, absent

pytestmark = pytest.mark.runtimes

Typed = Callable[[str, Sequence[tuple[Any, str]]], list[dict[str, Any]]]


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    """What a function of the page makes of texts: {value} or {error} for each."""
    node = shutil.which("node") or absent("node", "Node is not installed")

    def typed(function: str, cases: Sequence[tuple[Any, str]]) -> list[dict[str, Any]]:
        path = tmp_path / "cases.json"
        path.write_text(json.dumps([[function, about, text] for about, text in cases]), encoding="utf-8")
        page = resources.files("shopkit.exporters") / "web_page" / "values.js"
        done = subprocess.run([node, HERE / "values.mjs", str(page), path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    return typed


def test_numbers(typed: Typed) -> None:
    taken = {
        "7": 7.0, "  7 ": 7.0, "-0.5": -0.5, ".5": 0.5, "5.": 5.0, "+1e3": 1000.0, "2E-2": 0.02, "": None, " ": None,
        "true": 1.0, "False": 0.0, "3.4028234e38": 3.4028234e38, "1e-60": 0.0,
    }  # fmt: skip
    refused = (
        "1,234",
        "1,5",
        "1,234.5",
        "1 234",
        "0x1F",
        "0b1",
        "1e39",
        "-1e39",
        "1e400",
        "Infinity",
        "NaN",
        "six",
        "1_000",
        "١٢",
        "--1",
    )
    price = asdict(Column("price", "number"))
    found = typed("tensor", [(price, text) for text in (*taken, *refused)])
    for (text, value), answer in zip(taken.items(), found, strict=False):
        assert answer == {"value": None if value is None else float(np.float32(value))}, text
    for text, answer in zip(refused, found[len(taken) :], strict=True):
        assert answer["error"].startswith(f"price: “{text}” is "), text
    assert "is not a number: write it with a point before its fraction" in found[len(taken)]["error"]
    assert "is too large a number" in found[len(taken) + refused.index("1e39")]["error"]
    double = asdict(Column("price", "number", double=True))
    assert typed("tensor", [(double, "1e39"), (double, "1e400")]) == [
        {"value": 1e39},
        {"error": "price: “1e400” is too large a number."},
    ]


def test_ids_that_are_whole_numbers(typed: Typed) -> None:
    texts = ("3", "3.0", "3.", "-3.00", "+3.0", "3.5", "03.0", " 3.0", "red", "", "٣.0", "3.0.0", " 3", "+3 ", "+-3", "007")
    for column in (Column("zip", "string", integer=True), Column("zip", "string")):
        found = typed("tensor", [(asdict(column), text) for text in texts])
        assert found == [{"value": canonical_value(text, column)[0]} for text in texts]


ZONES = (
    "", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Shanghai", "Pacific/Apia",
    "America/Sao_Paulo", "Africa/Casablanca", "Etc/GMT+5",
)  # fmt: skip


def times(zone: str) -> list[str]:
    """Around the hours when clocks are moved, and anywhere."""
    chance = random.Random(zone)
    days = [
        "2024-03-31", "2024-10-27", "2024-03-10", "2024-11-03", "2024-04-07", "2024-10-06", "2011-12-29", "2011-12-30",
        "2011-12-31", "2018-11-04", "2018-02-18",
    ]  # fmt: skip
    around = [f"{day}T{hour:02}:{minute}:59" for day in days for hour in (0, 1, 2, 3, 23) for minute in ("00", "30")]
    anywhere = [
        f"{chance.randrange(1950, 2037)}-{month:02}-{chance.randrange(1, 29):02}T{chance.randrange(24):02}:15:00"
        for month in range(1, 13)
        for _ in range(20)
    ]
    return around + anywhere


@pytest.mark.parametrize("zone", ZONES)
def test_times_of_a_zone(zone: str, typed: Typed) -> None:
    column = Column("at", "time", unit=zone)
    texts = times(zone)
    found = typed("tensor", [(asdict(column), text) for text in texts])
    for text, answer in zip(texts, found, strict=True):
        assert answer == {"value": str(canonical_value(text, column)[0])}, text


def test_how_times_are_written(typed: Typed) -> None:
    column = Column("at", "time", unit="Europe/Berlin")
    taken = (
        "2024-07-01", "2024-07-01T12:00", "2024-07-01 12:00:05", "2024-07-01T12:00:00.750", "1924-07-01T12:00",
        "0101-01-01T00:00:00Z",
        "2024-7-1", "2024-7-1 9:5", "2024-07-01 9:05:7.25", "2024-07-01 12:00:00 UTC", "2024-07-01 12:00+02",
        "2024-07-01T12:00Z", "2024-07-01T12:00:00+02:00", "2024-07-01T12:00:00-0930", "2024-02-29", "1969-12-31T23:59:59.500Z",
    )  # fmt: skip
    refused = (
        "July 1 2024", "1/7/2024", "2024-02-30", "2023-02-29", "2024-13-01", "2024-07-01T24:00", "2024-07-01T12:60", "0000-01-01",
        "12024-07-01T00:00", "today", "20240701", "12:00",
    )  # fmt: skip
    found = typed("tensor", [(asdict(column), text) for text in ("", *taken, *refused)])
    assert found[0] == {"value": str(MISSING_TIME)}
    assert found[1 : len(taken) + 1] == [{"value": str(canonical_value(text, column)[0])} for text in taken]
    for text, answer in zip(refused, found[len(taken) + 1 :], strict=True):
        assert answer == {"error": f"at: “{text}” is not a time such as 2024-06-30T18:00:00."}
    nowhere = asdict(Column("at", "time", unit="Moon/Base"))
    (unknown,) = typed("tensor", [(nowhere, "2024-07-01")])
    assert "at: this browser does not know the time zone Moon/Base" in unknown["error"]


def test_options(typed: Typed) -> None:
    def option(dtype: str) -> dict[str, str]:
        return {"name": "k", "dtype": dtype}

    cases = [
        ("int64", "20"),
        ("int64", "2.5"),
        ("int64", ""),
        ("bool", "True"),
        ("bool", "0"),
        ("bool", "yes"),
        ("float32", "1e39"),
    ]
    assert typed("values", [(option(dtype), text) for dtype, text in cases]) == [
        {"value": "20"},
        {"error": "k: “2.5” is not a whole number."},
        {"error": "k: “” is not a whole number."},
        {"value": True},
        {"value": False},
        {"error": "k: “yes” is neither true nor false."},
        {"error": "k: “1e39” is too large a number."},
    ]
