"""`shopkit init`: what it writes is right, and runs as written."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import shopkit
from shopkit.cli import main
from shopkit.config import compose
from shopkit.errors import DataError
from shopkit.registry import load_registry
from shopkit.starter import look, propose, settle
from shopkit.starter.write import scalar
from tests.shop import QUICK, visits


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOPKIT_PLUGINS", "")
    return tmp_path


def returns(n_rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """Orders as a German shop's system gives them out: decimal commas, its own dates, codes, an answer that comes later."""
    rng = np.random.default_rng(seed)
    at = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 200 * 86_400, n_rows)), "s")
    price = rng.lognormal(3, 0.5, n_rows)
    is_returned = rng.random(n_rows) < 1 / (1 + np.exp(-(price - 20) / 10))
    form = "%d.%m.%Y %H:%M"
    return pd.DataFrame(
        {
            "order_id": np.arange(n_rows) + 1,
            "customer_id": rng.integers(1, 60, n_rows),
            "bestellt am": at.strftime(form),
            "geliefert am": (at + pd.to_timedelta(rng.integers(1, 9, n_rows), "D")).strftime(form),
            "preis": [f"{value:.2f}".replace(".", ",") for value in price],
            "zahlart": rng.choice(["Rechnung", "Käuferschutz"], n_rows),
            "plz": rng.integers(10_000, 10_030, n_rows),
            "leer": "",
            "status ${x}": np.where(is_returned, "zurück", "behalten"),
            "retoure": is_returned.astype(int),
        }
    )


def proposed(frame: pd.DataFrame, target: str, path: str = "data.csv"):  # type: ignore[no-untyped-def]
    frame.to_csv(path, index=False) if path.endswith(".csv") else frame.to_parquet(path)
    seen = look(path, target)
    return seen, propose(seen)


def test_a_table_with_everything_runs_as_written(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    returns().to_csv("orders 2024.csv", sep=";", index=False, encoding="cp1252")
    assert main(["init", "orders 2024.csv", "--target", "retoure"]) == 0
    out, _ = capfd.readouterr()
    assert out.endswith("\nconf/experiment/orders_2024.yaml\nRun it:  shopkit run +experiment=orders_2024\n")
    text = Path("conf/experiment/orders_2024.yaml").read_text(encoding="utf-8")
    for line in (
        "# shopkit run +experiment=orders_2024",
        "  - override /split: time  # trained on the past, tested on the latest by 'bestellt am'",
        "  encoding: cp1252  # it is not UTF-8: byte 0xfc at ",
        "  decimal: ','  # as 'preis' writes its numbers",
        "  timestamp_format: '%d.%m.%Y %H:%M'  # as 'bestellt am' writes its times",
        "  keys: [order_id]  # every row has a value of its own",
        "  group: customer_id  # names who it is, ",
        "    plz: string  # whole numbers that look like codes, 30 of them",
        "    - leer  # all values are missing",
        "    - geliefert am  # it lies after 'bestellt am' in 100% of the rows, so it is not known by then",
        "    - status \\${x}  # each of its values says the target; take it in only if it is known beforehand",
    ):
        assert f"\n{line}" in text
    run = shopkit.run("orders_2024", ["model=linear", *QUICK])
    assert run.metrics["metrics"]["test"]["auroc"]["value"] > 0.5


def test_it_never_overwrites_without_force(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    visits(200).to_csv("visits.csv", index=False)
    file = here / "conf" / "experiment" / "visits.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    assert main(["init", "visits.csv", "--target", "bought"]) == 2
    assert "conf/experiment/visits.yaml is there already. Give another --name, or --force" in capfd.readouterr().err
    assert file.read_text() == "mine"
    assert main(["init", "visits.csv", "--target", "bought", "--name", "other"]) == 0
    assert main(["init", "visits.csv", "--target", "bought", "--force"]) == 0
    assert file.read_text() != "mine"
    assert main(["init", "visits.csv", "--target", "bought", "--name", "../x"]) == 2
    assert "--name must be letters" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("target", "task", "why"),
    [
        (["no", "yes", "no", "no"], "binary", "two values, no and yes; the rarer has 25.0% of the rows"),
        ([True, False], "binary", "two values, False and True; the rarer has 50.0% of the rows"),
        ([0.0, 1.0, 1.0, 1.0], "binary", "two values, 0.0 and 1.0; the rarer has 25.0% of the rows"),
        (["a", "b", "c"], "multiclass", "text with 3 values"),
        ([1, 2, 3, 4, 5], "multiclass", "whole numbers with 5 values, 1 to 5; for an amount take task=regression"),
        (list(range(40)), "regression", "a number with 40 values, 0 to 39"),
        ([x / 4 for x in range(40)], "regression", "a number with 40 values, 0 to 9.75"),
    ],
)
def test_the_task_follows_from_the_target(target: list[object], task: str, why: str) -> None:
    n = 120
    frame = pd.DataFrame({"x": np.random.default_rng(0).normal(size=n), "y": [target[i % len(target)] for i in range(n)]})
    _, proposal = proposed(frame, "y", "data.parquet")
    assert (proposal.task, proposal.task_why) == (task, why)


def test_a_long_tail_is_learnt_on_a_log_scale() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=200), "y": rng.lognormal(2, 2, 200)})
    assert proposed(frame, "y")[1].target_scale.startswith("a long tail: the mean is ")
    assert proposed(frame.assign(y=frame["x"] * 2 + 1), "y")[1].target_scale == ""


def test_without_a_time_the_group_then_chance_decides(here: Path) -> None:
    frame = visits(300)
    frame["customer_id"] = np.arange(300) // 3
    registry = load_registry("")
    for dropped, expected in ((["at"], "group"), (["at", "customer_id"], "stratified"), ([], "time")):
        seen, proposal = proposed(frame.drop(columns=dropped), "bought")
        assert settle(seen, proposal, registry)[0] == expected


def test_a_split_that_does_not_work_gives_way_to_the_next(here: Path) -> None:
    frame = visits(300)
    # Only the earliest rows were bought: a test part of the latest has one class.
    frame["bought"] = np.where(np.arange(300) < 60, "yes", "no")
    seen, proposal = proposed(frame.drop(columns="customer"), "bought")
    split, why, counts = settle(seen, proposal, load_registry(""))
    assert split == "stratified"
    assert "split=time did not work: The validation part has one class only" in why
    assert sum(counts.values()) == 300


def test_rows_without_a_target_are_counted(here: Path) -> None:
    frame = visits(200)
    frame.loc[:19, "bought"] = None
    frame.to_csv("visits.csv", index=False)
    assert main(["init", "visits.csv", "--target", "bought"]) == 0
    assert "# 20 rows lack the target, and are left out." in Path("conf/experiment/visits.yaml").read_text()
    assert compose("visits").task.name == "binary"


def test_several_identifiers_and_times(here: Path) -> None:
    frame = visits(200).assign(uuid=[f"u{i:04}" for i in range(200)], registered=pd.Timestamp("2020-01-01"))
    frame["registered"] += pd.to_timedelta(np.arange(200) % 50, "D")
    seen, proposal = proposed(frame.rename(columns={"customer": "visit_id"}), "bought")
    assert proposal.keys == {"visit_id": "every row has a value of its own"}
    assert proposal.ignore["uuid"] == "an identifier, as 'visit_id' is"
    assert proposal.time == "at"
    assert proposal.watch == {"registered": "another time: leave it out if it is known only later"}
    assert seen.n_rows == 200


@pytest.mark.parametrize(
    ("dates", "form", "reason"),
    [
        (["25/12/2024", "01/02/2024", "03/04/2024"], "%d/%m/%Y", "as 'day' writes its times"),
        (["12/25/2024", "01/02/2024", "03/04/2024"], "%m/%d/%Y", "as 'day' writes its times"),
        (["1/2/2024", "3/4/2024", "5/6/2024"], "%d/%m/%Y", "as 'day' writes its times; %m/%d/%Y fits as well, so look at it"),
    ],
)
def test_how_days_are_written(here: Path, dates: list[str], form: str, reason: str) -> None:
    frame = pd.DataFrame({"day": dates * 40, "x": range(120), "y": [0, 1] * 60})
    seen, _ = proposed(frame, "y")
    assert seen.source == {"timestamp_format": form}
    assert seen.reasons == {"timestamp_format": reason}


def test_times_in_two_forms(here: Path) -> None:
    """One format is told; what is written in another is read as text, and that is said."""
    days = pd.date_range("2024-01-01", periods=120)
    frame = pd.DataFrame({"born": days.strftime("%d.%m.%Y"), "at": days.strftime("%d.%m.%Y %H:%M"), "x": range(120)})
    seen, proposal = proposed(frame.assign(y=[0, 1] * 60), "y")
    assert seen.source == {"timestamp_format": "%d.%m.%Y"}
    told = "read as text, and its values look like times, %d.%m.%Y %H:%M: write all times of the table in one form"
    assert proposal.watch["at"] == told


def test_encodings(here: Path) -> None:
    frame = pd.DataFrame({"stadt": ["Köln", "Bonn"] * 30, "y": [0, 1, 1] * 20})
    frame.to_csv("wide.csv", index=False, encoding="utf-16")
    assert look("wide.csv", "y").source == {"encoding": "utf-16"}
    with gzip.open("narrow.csv.gz", "wb") as out:
        out.write(frame.to_csv(index=False).encode("cp1252"))
    assert look("narrow.csv.gz", "y").source == {"encoding": "cp1252"}
    frame.to_csv("plain.csv", index=False)
    assert look("plain.csv", "y").source == {}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"x": [1, 2], "z": [1, 2]}, r"data\.csv has no column 'y'\. Columns: x, z\."),
        ({"x": [1, 2], "y": [None, None]}, r"data\.csv: the target 'y' is missing in all 2 rows\."),
        ({"x": [1, 2], "y": [3, 3]}, r"data\.csv: the target 'y' is 3 in every row: there is nothing to learn\."),
        (
            {"x": [1, 2, 3], "y": ["2024-01-01", "2024-01-02", "2024-01-03"]},
            r"The target 'y' is a time \(TIMESTAMP\); give a number",
        ),
        ({"x": [1, 2] * 60, "y": [f"t{i}" for i in range(120)]}, r"the target 'y' is text with 120 different values in 120 rows"),
        ({"x": [7] * 60, "y": [0, 1] * 30}, r"has no column to learn 'y' from\. x: constant: every row has the same value\."),
        ({"x": [1, 2, 3], "y": [0, 1, 0]}, r"data\.csv: "),
    ],
)
def test_tables_that_cannot_be_learnt_from(here: Path, frame: dict[str, list[object]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        settle(*proposed(pd.DataFrame(frame), "y"), load_registry(""))


def test_a_file_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "no.csv", "--target", "y"]) == 1
    assert capfd.readouterr().err == "Error: There is no file no.csv.\n"
    Path("broken.csv.gz").write_bytes(b"no gzip")
    assert main(["init", "broken.csv.gz", "--target", "y"]) == 1
    assert "is not a whole gzip file" in capfd.readouterr().err


def test_values_are_written_as_yaml() -> None:
    assert [scalar(value) for value in ("plain", "a: b", "yes", "007", ",", "${x}")] == [
        "plain", "'a: b'", "'yes'", "'007'", "','", "\\${x}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "example"),
    [
        ([f"{999 + 7 * (i % 90):,}" for i in range(200)], "1,006"),
        ([f"{i % 90}%" for i in range(200)], "0%"),
        ([f"\u20ac {i % 90}.50" for i in range(200)], "\u20ac 0.50"),
    ],
)
def test_numbers_with_marks_are_told_and_not_guessed(values: list[str], example: str) -> None:
    """1,006 is a thousand to some and a fraction to others."""
    seen, proposal = proposed(visits(200).assign(marked=values)[["marked", "pages", "bought"]], "bought")
    assert "decimal" not in seen.source
    told = f"read as text, and its values look like numbers, e.g. {example}: for their size, write them without marks"
    assert proposal.watch == {"marked": told}


def test_numbers_with_marks_that_are_all_different_are_told_too() -> None:
    _, proposal = proposed(
        visits(200).assign(marked=[f"{999 + 7 * i:,}" for i in range(200)])[["marked", "pages", "bought"]], "bought"
    )
    assert proposal.ignore["marked"].startswith("an identifier: nearly every row has a value of its own; read as text, and its")


def test_codes_and_decimal_commas_are_no_marked_numbers() -> None:
    frame = visits(200)[["pages", "bought"]].assign(code=[f"{i:04}" for i in range(200)], price=[f"{i},5" for i in range(200)])
    seen, proposal = proposed(frame, "bought")
    assert seen.source == {"decimal": ","}
    assert "code" not in proposal.watch
    assert "price" not in proposal.watch
