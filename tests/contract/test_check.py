"""The contract, through the view to the run: what is put aside, what stops it, what is refused."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shopkit
from shopkit import provenance
from shopkit.contract.check import enforce
from shopkit.contract.settings import ColumnRules, ContractSettings
from shopkit.errors import ConfigError, DataError
from shopkit.reproduce import reproduce
from shopkit.settings import build, plain
from shopkit.stages.way import WORK
from shopkit.views.materialise import Materialised, materialise
from shopkit.views.settings import TableSettings
from shopkit.views.table import TableView
from tests.data import as_tables
from tests.shop import TABLE, visits


def table(n_rows: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": np.arange(n_rows),
            "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n_rows), "h"),
            "first": pd.Timestamp("2023-01-01"),
            "price": rng.uniform(1, 100, n_rows).round(2),
            "code": rng.choice(["A1", "B2", "C3"], n_rows).astype(object),
            "text_number": [str(i) for i in range(n_rows)],
            "target": rng.integers(0, 2, n_rows),
        }
    )


def made(frame: pd.DataFrame, folder: Path, **contract: object) -> Materialised:
    view = TableView(TableSettings(table="frame", keys=["id"], time="at"))
    examples = view.examples(as_tables({"frame": frame}))
    rules = build(ContractSettings, contract, "contract")
    return materialise(examples, {}, folder / "examples.parquet", contract=view.contract().extended(rules))


def put_aside(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "quarantine.parquet")


def test_clean_rows_leave_no_quarantine(tmp_path: Path) -> None:
    done = made(
        table(), tmp_path, columns={"price": {"min": 0, "max": 1e5, "missing": 0}, "code": {"allowed": ["A1", "B2", "C3"]}}
    )
    assert (done.n_rows, dict(done.left_out)) == (200, {})
    assert not (tmp_path / "quarantine.parquet").exists()


CASES = {
    "price below 0": ({"price": -1.0}, {"columns": {"price": {"min": 0}}}),
    "price above 100000": ({"price": 1e6}, {"columns": {"price": {"max": 1e5}}}),
    "code not one of A1, B2, C3": ({"code": "Z9"}, {"columns": {"code": {"allowed": ["A1", "B2", "C3"]}}}),
    "code not like [A-C]\\d": ({"code": "A11"}, {"columns": {"code": {"pattern": r"[A-C]\d"}}}),
    "text_number is not a whole number": ({"text_number": "4.5"}, {"columns": {"text_number": {"type": "whole"}}}),
    "text_number is not a number": ({"text_number": "four"}, {"columns": {"text_number": {"type": "number"}}}),
    "text_number above 500": ({"text_number": "501"}, {"columns": {"text_number": {"max": 500}}}),
    "target not one of 0, 1": ({"target": 7}, {"target": {"allowed": [0, 1]}}),
    "at in the future": ({"at": pd.Timestamp("2199-01-01")}, {}),
    "at after 2024-06-01": ({"at": pd.Timestamp("2025-01-01")}, {"latest": "2024-06-01"}),
    "first after at": ({"first": pd.Timestamp("2024-12-31")}, {"order": [["first", "at"]]}),
    "at below 2024-01-01": ({"at": pd.Timestamp("2020-01-01")}, {"columns": {"at": {"min": "2024-01-01"}}}),
}


@pytest.mark.parametrize("rule", CASES)
def test_a_row_that_breaks_a_rule_is_put_aside_under_its_name(rule: str, tmp_path: Path) -> None:
    values, contract = CASES[rule]
    frame = table()
    for column, value in values.items():
        frame[column] = frame[column].astype(object) if isinstance(value, str) else frame[column]
        frame.loc[17, column] = value
    done = made(frame, tmp_path, limit=0.05, **contract)
    assert done.n_rows == 199
    assert dict(done.left_out) == {f"in quarantine.parquet: {rule}": 1}
    aside = put_aside(tmp_path)
    assert (aside["id"].tolist(), aside["broken_rule"].tolist()) == ([17], [rule])
    for column, value in values.items():
        assert aside[column][0] == value
    assert 17 not in pd.read_parquet(tmp_path / "examples.parquet")["id"].astype(int).to_numpy()


def test_a_row_is_counted_once_and_names_all_it_breaks(tmp_path: Path) -> None:
    frame = table()
    frame.loc[3, ["price", "code"]] = [-5.0, "Z9"]
    frame.loc[4, "code"] = "Z9"
    done = made(frame, tmp_path, limit=0.05, columns={"price": {"min": 0}, "code": {"pattern": "[A-C].*"}})
    assert dict(done.left_out) == {
        "in quarantine.parquet: price below 0": 1,
        "in quarantine.parquet: code not like [A-C].*": 1,
    }
    assert put_aside(tmp_path)["broken_rule"].tolist() == ["price below 0; code not like [A-C].*", "code not like [A-C].*"]


def test_rows_of_a_quarantine_may_be_put_aside_again(tmp_path: Path) -> None:
    frame = table().assign(Broken_Rule="price below 0", row=7)
    frame.loc[3, "price"] = -5.0
    made(frame, tmp_path, limit=0.05, columns={"price": {"min": 0, "max": 1000}})
    found = put_aside(tmp_path)
    assert set(found.columns) == {*frame.columns, "broken_rule"} - {"Broken_Rule"}
    assert found["broken_rule"].tolist() == ["price below 0"]


def test_all_rows_of_a_repeated_key_are_put_aside(tmp_path: Path) -> None:
    frame = table()
    frame.loc[7, ["id", "at"]] = [6, frame["at"][6]]
    assert made(frame, tmp_path, limit=0.05).n_rows == 198
    assert put_aside(tmp_path)["broken_rule"].tolist() == ["the key occurs twice"] * 2
    with pytest.raises(DataError, match=r"The key is not unique: 2 examples have id=6"):
        made(frame, tmp_path, keys="any")


def test_unique_columns(tmp_path: Path) -> None:
    frame = table()
    frame["serial"] = np.arange(200.0)
    frame.loc[:50, "serial"] = np.nan
    frame.loc[100, "serial"] = 101
    frame["serial"] = frame["serial"].astype("Int64")
    assert made(frame, tmp_path, limit=0.05, columns={"serial": {"unique": True}}).n_rows == 198
    assert put_aside(tmp_path)["broken_rule"].tolist() == ["serial occurs twice"] * 2


def test_steps_of_sequences(tmp_path: Path) -> None:
    frame = table()
    frame["prices"] = [[1.0, 2.0]] * 199 + [[1.0, -2.0]]
    assert made(frame, tmp_path, limit=0.05, columns={"prices": {"min": 0}}).n_rows == 199
    assert put_aside(tmp_path)["broken_rule"].tolist() == ["prices below 0"]


def test_missing_values_break_no_rule_but_that_of_missing_values(tmp_path: Path) -> None:
    frame = table()
    frame.loc[:49, "price"] = np.nan
    frame.loc[:49, "code"] = None
    assert made(frame, tmp_path, columns={"price": {"min": 0}, "code": {"allowed": ["A1", "B2", "C3"]}}).n_rows == 200
    with pytest.raises(
        DataError, match=r"'price' is missing in 25\.0% of 200 examples; contract\.columns\.price\.missing allows 20\.0%"
    ):
        made(frame, tmp_path, columns={"price": {"missing": 0.2}})


def test_too_many_broken_rows_stop_the_run_and_are_kept(tmp_path: Path) -> None:
    frame = table()
    frame.loc[:9, "price"] = -1
    with pytest.raises(
        DataError,
        match=r"broken by 10 of 200 examples \(5\.0%, contract\.limit is 1\.0%\): price below 0 \(10\)\. The rows",
    ):
        made(frame, tmp_path, columns={"price": {"min": 0}})
    assert len(put_aside(tmp_path)) == 10
    assert not (tmp_path / "examples.parquet").exists()


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        (
            {"columns": {"prise": {"min": 0}}},
            r"names the column 'prise', which the examples do not have\. Did you mean 'price'\?",
        ),
        ({"columns": {"price": {"mim": 0}}}, r"contract\.columns\.price has no setting 'mim'\. Did you mean 'min'\?"),
        ({"columns": {"price": {"min": "2024-01-01"}}}, r"'2024-01-01' is a date, but the column is DOUBLE"),
        ({"columns": {"at": {"min": 5}}}, r"5 is a number, but the column is TIMESTAMP"),
        ({"columns": {"price": {"type": "time"}}}, r"type is time, but the column is DOUBLE\. Declare it in source\.types"),
        ({"columns": {"price": {"type": "string"}}}, r"type is string, but the column is DOUBLE"),
        ({"columns": {"at": {"type": "number"}}}, r"type is number, but the column is TIMESTAMP"),
        ({"columns": {"code": {"pattern": "(?=A)"}}}, r"a rule cannot be applied: .*invalid perl operator"),
        ({"order": [["first", "price"]]}, r"contract\.order names 'price', which is DOUBLE, not a time"),
        ({"order": [["first", "code"]]}, r"contract\.order names 'code', which is VARCHAR, not a time"),
        ({"order": [["at"]]}, r"\['at'\] names fewer than two columns"),
        ({"columns": {"price": {"min": 3, "max": 1}}}, r"min is 3, which is above max, 1"),
        ({"columns": {"price": {"min": 3, "max": "2024-01-01"}}}, r"both must be numbers, or both dates"),
        ({"columns": {"price": {"min": "soon"}}}, r"min is 'soon', which is not a date"),
        ({"columns": {"price": {"missing": 2}}}, r"missing is 2; it is a share"),
        ({"columns": {"price": {"allowed": []}}}, r"allowed is empty"),
        ({"columns": {"code": {"pattern": "("}}}, r"pattern '\(' is no regular expression"),
        ({"limit": 3}, r"contract\.limit is 3; it is a share"),
        ({"latest": "soon"}, r"contract\.latest is 'soon', which is not a date"),
        ({"keys": "unik"}, r"contract\.keys: must be one of 'unique', 'any' or null, got 'unik'"),
    ],
)
def test_what_is_refused(contract: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        made(table(20), tmp_path, **contract)


@pytest.mark.parametrize("kind", ["text", "seconds"])
@pytest.mark.parametrize(("contract", "broken"), [({}, "at in the future"), ({"latest": "2024-12-31"}, "at after 2024-12-31")])
def test_the_time_may_be_text_or_seconds(kind: str, contract: dict[str, str], broken: str, tmp_path: Path) -> None:
    frame = table()
    frame.loc[17, "at"] = pd.Timestamp("2199-01-01")
    seconds = frame["at"].astype("datetime64[s]").astype("int64")
    frame["at"] = frame["at"].astype(str) if kind == "text" else seconds
    assert dict(made(frame, tmp_path, limit=0.05, **contract).left_out) == {f"in quarantine.parquet: {broken}": 1}
    assert put_aside(tmp_path)["id"].tolist() == [17]
    frame["first"] = pd.Timestamp("2000-01-01")
    with pytest.raises(DataError, match=r"at after first \("):
        made(frame, tmp_path, latest="", order=[["at", "first"]])


def test_now_is_when_the_run_was_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resumed, or made again, a year later it puts the same rows aside."""
    at_first, later = dt.datetime(2024, 6, 1), dt.datetime(2025, 6, 1)
    frame = visits(200)
    frame.loc[7, "at"] = pd.Timestamp("2024-06-03")
    frame.to_csv(tmp_path / "visits.csv", index=False)
    overrides = [
        *TABLE, "source=files", f"source.path={tmp_path / 'visits.csv'}", "model=linear", "evaluation.baselines=[]",
        "evaluation.n_bootstrap=2", "evaluation.latency_seconds=0.001", "view.time=at", "trainer.threads=1", "contract.limit=1",
    ]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(provenance, "_now", lambda: at_first)
        patch.setitem(WORK, "examples", broken_off)
        with pytest.raises(KeyboardInterrupt):
            shopkit.run(overrides=overrides, folder=tmp_path / "it")
    monkeypatch.setattr(provenance, "_now", lambda: later)
    done = shopkit.run(overrides=[*overrides, "resume=true"], folder=tmp_path / "it")
    assert done.manifest["began"] == "2024-06-01T00:00:00"
    assert pd.read_parquet(done.path / "quarantine.parquet")["broken_rule"].tolist() == ["at in the future"]
    again, differing = reproduce(done.path)
    assert (again.manifest["began"], differing) == ("2024-06-01T00:00:00", [])
    assert not (shopkit.run(overrides=overrides, folder=tmp_path / "new").path / "quarantine.parquet").exists()


def broken_off(way: object) -> None:
    raise KeyboardInterrupt


def test_a_limit_of_time_without_a_time_is_refused() -> None:
    engine = duckdb.connect()
    engine.execute("CREATE VIEW examples AS SELECT 1 AS price, 0 AS file_row_number")
    with pytest.raises(ConfigError, match=r"contract\.latest is given, and the examples have no time"):
        enforce(engine, ContractSettings(latest="2024-01-01"), {}, Path("none.parquet"))
    assert enforce(engine, ContractSettings(), {}, Path("none.parquet")) == {}


def test_what_a_view_states_is_taken_back(tmp_path: Path) -> None:
    stated = {
        "price": ColumnRules(min=1e9, max=2e9),
        "code": ColumnRules(pattern="none"),
        "at": ColumnRules(min="2199-01-01"),
    }
    back = {
        "price": ColumnRules(min=-math.inf, max=math.inf),
        "code": ColumnRules(pattern="(?s).*"),
        "at": ColumnRules(min=-math.inf),
    }
    over = ContractSettings(columns=stated).extended(ContractSettings(columns=back))
    assert made(table(), tmp_path, columns=plain(over)["columns"]).n_rows == 200


def test_an_experiment_adds_to_what_the_view_states() -> None:
    stated = ContractSettings(columns={"a": ColumnRules(min=0, max=9)}, keys="any", latest="", limit=0.2, order=[["x", "y"]])
    added = ContractSettings(columns={"a": ColumnRules(max=5), "b": ColumnRules(unique=True)}, target=ColumnRules(min=1))
    both = stated.extended(added)
    assert both.columns == {"a": ColumnRules(min=0, max=5), "b": ColumnRules(unique=True)}
    assert (both.keys, both.latest, both.limit, both.order, both.target) == ("any", "", 0.2, [["x", "y"]], ColumnRules(min=1))
    over = both.extended(ContractSettings(keys="unique", latest="now", limit=0.0, target=ColumnRules(max=2)))
    assert (over.keys, over.latest, over.limit, over.target) == ("unique", "now", 0.0, ColumnRules(min=1, max=2))


@settings(max_examples=20, deadline=None)
@given(prices=st.lists(st.one_of(st.none(), st.floats(-10, 10, width=32)), min_size=3, max_size=40), low=st.floats(-10, 10))
def test_what_is_kept_and_what_is_put_aside_are_all_rows(
    prices: list[float | None], low: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("law")
    frame = table(len(prices)).assign(price=np.array([np.nan if price is None else price for price in prices]))
    done = made(frame, folder, limit=1.0, columns={"price": {"min": low}})
    broken = {row for row, price in enumerate(prices) if price is not None and price < low}
    aside = put_aside(folder)["id"].tolist() if broken else []
    assert set(aside) == broken
    kept = pd.read_parquet(folder / "examples.parquet")["id"].astype(int) if done.n_rows else []
    assert set(kept) == set(range(len(prices))) - broken


def test_a_run_counts_seals_and_reports_what_it_put_aside(tmp_path: Path) -> None:
    frame = visits(300)
    frame.loc[5, "price"] = -3.0
    said: list[str] = []
    run = shopkit.run(
        data=frame,
        overrides=[*TABLE, "model=linear", "trainer.max_epochs=1", "contract.columns.price={min: 0, missing: 0.1}"],
        folder=tmp_path / "run",
        announce=lambda stage, line, seconds: said.append(line),
    )
    assert said[0] == "299 examples with 6 columns, 1 left out, 1 of them in quarantine.parquet"
    assert "quarantine.parquet" in run.manifest["files"]
    assert "in quarantine.parquet: price below 0" in run.report_path.read_text()
    run.verify()
