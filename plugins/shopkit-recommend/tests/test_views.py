"""The views: what stands in a history and what came next, against a slow reference."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from shopkit.errors import ConfigError, DataError
from shopkit.sources.base import Tables
from shopkit.sources.dataframe import DataFrameSource
from shopkit.sources.settings import DataFrameSettings, EngineSettings
from shopkit.sources.spark import Spark
from shopkit.views.base import View
from shopkit.views.materialise import Materialised, materialise

from shopkit_recommend.views.interactions import InteractionsView
from shopkit_recommend.views.item_sequences import ItemSequencesView
from shopkit_recommend.views.session_prefixes import SessionPrefixesView
from shopkit_recommend.views.settings import InteractionsSettings, ItemSequencesSettings, SessionPrefixesSettings

CLICKS = {"table": "clicks", "customer": "who", "item": "what", "time": "at"}


def tables(**frames: pd.DataFrame) -> Tables:
    return DataFrameSource(DataFrameSettings(), frames).open()


def made(view: View, given: Tables, folder: Path) -> tuple[pd.DataFrame, Materialised]:
    path = folder / "examples.parquet"
    facts = materialise(view.examples(given), {}, path)
    return pq.read_table(path).to_pandas(), facts


def clicks(n: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    at = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(rng.choice(200_000, n, replace=False)), "min")
    return pd.DataFrame(
        {
            "who": rng.integers(0, 40, n),
            "what": rng.integers(0, 25, n),
            "at": at,
            "paid": rng.random(n).round(2),
            "visit": np.arange(n),
        }
    )


def histories(rows: pd.DataFrame) -> dict[tuple[str, str], tuple[list[str], str]]:
    return {(row.customer, row.step): (list(row.history), row.target) for row in rows.itertuples()}


def test_everyones_last_three_interactions(tmp_path: Path) -> None:
    table = clicks()
    rows, facts = made(InteractionsView(InteractionsSettings(**CLICKS, max_steps=4)), tables(clicks=table), tmp_path)
    expected = {}
    for who, of_one in table.groupby("who"):
        items = of_one.sort_values("at")["what"].astype(str).tolist()
        for end in range(max(0, len(items) - 3), len(items)) if len(items) >= 3 else [len(items) - 1]:
            expected[str(who), str(end)] = (items[max(0, end - 4) : end], items[end])
    assert histories(rows) == expected
    assert facts.schema["history"].integer
    assert facts.schema["history"].sequence


def test_a_basket_is_one_decision(tmp_path: Path) -> None:
    """Its items are a row each, with the history up to it; a repeated line counts once, its amounts together."""
    table = pd.DataFrame(
        [
            ("ann", "b1", 1, "milk", 1.0),
            ("ann", "b1", 1, "milk", 2.0),
            ("ann", "b1", 1, "bread", 3.0),
            ("ann", "b2", 2, "eggs", 4.0),
            ("ann", "b3", 3, "milk", 5.0),
            ("ann", "b3", 3, "eggs", 6.0),
            ("bob", "b4", 3, "milk", 7.0),
        ],
        columns=["who", "bill", "day", "what", "paid"],
    )
    table["at"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(table["day"], "D")
    chosen = InteractionsSettings(**CLICKS, basket="bill", amount="paid", days=True)
    rows, facts = made(InteractionsView(chosen), tables(clicks=table), tmp_path)
    assert histories(rows) == {
        ("ann", "1"): (["milk"], "bread"),
        ("ann", "2"): (["milk", "bread"], "eggs"),
        ("ann", "3"): (["milk", "bread", "eggs"], "eggs"),
        ("ann", "4"): (["milk", "bread", "eggs"], "milk"),
        ("bob", "0"): ([], "milk"),
    }
    row = rows[(rows.customer == "ann") & (rows.step == "3")].iloc[0]
    assert list(row["amount"]) == [3.0, 3.0, 4.0]
    assert list(row["days_before"]) == [2.0, 2.0, 1.0]
    assert facts.left_out == {"line that repeats an item of its basket or moment": 1}


@pytest.mark.parametrize("time", ["at", ""])
def test_the_items_of_a_basket_stand_in_an_order_of_chance(tmp_path: Path, time: str) -> None:
    """The same wherever its lines stand; of two items that are always bought together, neither is mostly first."""
    day = np.arange(200)
    lines = pd.DataFrame(
        {"who": "ann", "bill": [f"b{n:03}" for n in day], "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(day, "D")}
    )
    table = pd.concat([lines.assign(what=item) for item in ("bread", "milk")]).sort_values(["at", "what"], kind="stable")
    view = InteractionsView(InteractionsSettings(**{**CLICKS, "time": time}, basket="bill", max_steps=1000))
    rows, _ = made(view, tables(clicks=table), tmp_path)
    whole = max(histories(rows).values(), key=lambda row: len(row[0]))[0]
    assert len(whole) == 398
    assert all(set(pair) == {"bread", "milk"} for pair in zip(whole[::2], whole[1::2], strict=True))
    assert 70 <= sum(first == "milk" for first in whole[::2]) <= 130
    if time:
        again, _ = made(view, tables(clicks=table[::-1]), tmp_path)
        pd.testing.assert_frame_equal(again, rows)


def test_by_time_training_ends_for_everyone_at_once(tmp_path: Path) -> None:
    table = clicks()
    chosen = InteractionsSettings(**CLICKS, validation_from="2024-03-01", test_from="2024-04-01")
    rows, facts = made(InteractionsView(chosen), tables(clicks=table), tmp_path)
    expected = {}
    for who, of_one in table.groupby("who"):
        of_one = of_one.sort_values("at")
        items, before = of_one["what"].astype(str).tolist(), int((of_one["at"] < "2024-03-01").sum())
        for end in [*([before - 1] if before else []), *range(before, len(items))]:
            expected[str(who), str(end)] = (items[:end], items[end])
    assert histories(rows) == expected
    assert facts.schema.the("time") is not None


def test_k_core(tmp_path: Path) -> None:
    table = clicks(400)
    chosen = InteractionsSettings(**CLICKS, min_of_customer=5, min_of_item=10)
    rows, facts = made(InteractionsView(chosen), tables(clicks=table), tmp_path)
    kept = table
    while True:
        left = kept[kept.groupby("who")["what"].transform("size") >= 5]
        left = left[left.groupby("what")["who"].transform("size") >= 10]
        if len(left) == len(kept):
            break
        kept = left
    assert 0 < len(kept) < len(table)
    assert facts.left_out == {"interaction outside the k-core": len(table) - len(kept)}
    assert set(rows.customer) == set(kept["who"].astype(str))
    counts = Counter(kept["who"].astype(str))
    assert all(int(rows[rows.customer == who]["place"].max()) == n - 1 for who, n in counts.items())


def test_items_and_customers_of_other_tables(tmp_path: Path) -> None:
    goods = pd.DataFrame({"what": range(25), "kind": [f"kind {item % 3}" for item in range(25)]})
    people = pd.DataFrame({"who": range(0, 40, 2), "age": ["young", "old"] * 10})
    chosen = InteractionsSettings(**{**CLICKS, "item": "kind"}, items="goods", items_key="what", customers="people")
    rows, facts = made(InteractionsView(chosen), tables(clicks=clicks(), goods=goods, people=people), tmp_path)
    assert set(rows["target"]) <= {"kind 0", "kind 1", "kind 2"}
    assert set(rows["age"]) == {"young", "old", ""}
    assert facts.schema["age"].role == "feature"


@pytest.mark.parametrize("beside", [True, False])
def test_readable_names_stand_beside_items(tmp_path: Path, beside: bool) -> None:
    """Of the item table or of the interactions themselves; no features."""
    goods = pd.DataFrame({"what": range(24), "kind": [f"kind {item % 3}" for item in range(24)]})
    table, of_items = clicks(), {"items": "goods", "items_key": "what"}
    if beside:
        table, of_items = table.merge(goods, "left", "what"), {}
    chosen = InteractionsSettings(**CLICKS, **of_items, item_name="kind", max_steps=4)
    rows, facts = made(InteractionsView(chosen), tables(clicks=table, goods=goods), tmp_path)
    name = {str(item): kind for item, kind in goods.itertuples(index=False)} | {"24": ""}
    assert list(rows.target_name) == [name[item] for item in rows.target]
    assert [list(names) for names in rows.history_name] == [[name[item] for item in items] for items in rows.history]
    assert {facts.schema[column].role for column in ("history_name", "target_name")} == {"ignored"}
    unnamed, _ = made(InteractionsView(replace(chosen, item_name="what")), tables(clicks=table, goods=goods), tmp_path)
    pd.testing.assert_frame_equal(unnamed, rows.drop(columns=["history_name", "target_name"]))


def test_the_order_of_a_file_without_times(tmp_path: Path) -> None:
    table = pd.DataFrame({"who": [1, 2, 1, 1, 1], "what": ["c", "x", "a", "d", "b"]})
    rows, _ = made(InteractionsView(InteractionsSettings(**{**CLICKS, "time": ""})), tables(clicks=table), tmp_path)
    assert histories(rows)["1", "3"] == (["c", "a", "d"], "b")


def test_sequences(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"who": ["a", "b", "c"], "items": [[1, 2, 3, 4], [5, 6], []], "paid": [[0.1, 0.2, 0.3, 0.4], [1.0, 2.0], []]}
    )
    chosen = ItemSequencesSettings(customer="who", beside=["paid"], max_steps=2)
    rows, facts = made(ItemSequencesView(chosen), tables(data=table), tmp_path)
    assert histories(rows) == {
        ("a", "1"): (["1"], "2"),
        ("a", "2"): (["1", "2"], "3"),
        ("a", "3"): (["2", "3"], "4"),
        ("b", "1"): (["5"], "6"),
    }
    assert [list(paid) for paid in rows["paid"]] == [pytest.approx(p) for p in ([0.1], [0.1, 0.2], [0.2, 0.3], [1.0])]
    assert facts.left_out == {"sequence without items": 1}
    named = ItemSequencesView(replace(chosen, item_names="names"))
    words = table.assign(names=[["one", "two", "three", "four"], ["five", None], []])
    rows, _ = made(named, tables(data=words), tmp_path)
    assert [(list(row.history_name), row.target_name) for row in rows.itertuples()] == [
        (["one"], "two"),
        (["one", "two"], "three"),
        (["two", "three"], "four"),
        (["five"], ""),
    ]
    both = ItemSequencesView(replace(chosen, train_on_validation=True))
    assert histories(made(both, tables(data=table), tmp_path)[0])["a", "1"] == (["1", "2"], "3")
    assert both.examples(tables(data=table)).summary.endswith("validation figures mean nothing.")


@pytest.mark.parametrize("both", [False, True])
def test_sessions_and_given_beginnings(tmp_path: Path, both: bool) -> None:
    train = pd.DataFrame({"session": range(4), "items": [[1, 2], [3], [4, 5, 6], [7, 8, 9]]})
    test = pd.DataFrame({"prefix": [[1, 2], [1]], "target": [3, 2]})
    chosen = SessionPrefixesSettings(validation_fraction=0.25, train_on_validation=both)
    rows, _ = made(SessionPrefixesView(chosen), tables(train_sessions=train, test_prefixes=test), tmp_path)
    found = {
        part: [(list(row.history), row.target) for row in rows[rows.part == part].itertuples()]
        for part in ("train", "validation", "test")
    }
    assert found["train"] == [(["1"], "2"), ([], "3"), (["4", "5"], "6"), *([(["7", "8"], "9")] if both else [])]
    assert found["validation"] == [(["7"], "8"), (["7", "8"], "9")]
    assert sorted(found["test"]) == [(["1"], "2"), (["1", "2"], "3")]
    assert rows[rows.part == "test"].session.nunique() == 2


def test_the_rows_on_spark_are_those_of_duckdb(tmp_path: Path) -> None:
    pytest.importorskip("pyspark", reason="PySpark is not installed")
    options = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "1"}
    spark = Spark(EngineSettings("spark", "local[1]", options))
    frames = {
        "clicks": clicks().assign(kind=lambda rows: "kind " + (rows["what"] % 3).astype(str)),
        "data": pd.DataFrame({"who": ["a", "b"], "items": [[1, 2, 3, 4, 5, 6], [5, 6]]}),
        "train_sessions": pd.DataFrame(
            {"session": range(4), "items": [[1, 2], [3], [4, 5, 6], [7, 8, 9]], "paid": [[1, 2], [3], [4, 5, 6], [7, 8, 9]]}
        ),
        "test_prefixes": pd.DataFrame({"prefix": [[1, 2], [1]], "target": [3, 2], "paid": [[0.5, 2], [0.5]]}),
    }
    there = DataFrameSource(DataFrameSettings(), frames).on_spark(spark)
    for view in (
        InteractionsView(
            InteractionsSettings(
                **CLICKS, days=True, basket="visit", item_name="kind", beside=["kind", "paid"], min_of_item=2, max_steps=5
            )
        ),
        ItemSequencesView(ItemSequencesSettings(customer="who", max_steps=2)),
        ItemSequencesView(ItemSequencesSettings(customer="who", max_steps=1, whole_past=True)),
        SessionPrefixesView(SessionPrefixesSettings(validation_fraction=0.25, beside=["paid"], max_steps=1, whole_past=True)),
    ):
        here, _ = made(view, tables(**frames), tmp_path)
        found, _ = made(view, there, tmp_path)
        pd.testing.assert_frame_equal(found, here)
    spark.session.stop()


@pytest.mark.parametrize(
    "view",
    [
        InteractionsView(InteractionsSettings(**CLICKS, basket="visit", beside=["paid"], whole_past=True)),
        ItemSequencesView(ItemSequencesSettings(whole_past=True)),
        SessionPrefixesView(SessionPrefixesSettings(whole_past=True)),
    ],
    ids=["interactions", "item_sequences", "session_prefixes"],
)
def test_a_view_compiles_for_a_database_that_computes_it_in_place(view: View) -> None:
    frames = {
        "clicks": clicks(),
        "data": pd.DataFrame({"items": [[1, 2, 3, 4]]}),
        "train_sessions": pd.DataFrame({"session": [1, 2], "items": [[1, 2], [3, 4]]}),
        "test_prefixes": pd.DataFrame({"prefix": [[1]], "target": [2]}),
    }
    ibis.to_sql(view.examples(tables(**frames)).table, dialect="postgres")


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (
            InteractionsView(InteractionsSettings(**{**CLICKS, "item": "wat"})),
            "view.item names column 'wat', which table 'clicks'",
        ),
        (InteractionsView(InteractionsSettings(**{**CLICKS, "time": "text"})), "view.time column 'text' is string, expected"),
        (
            ItemSequencesView(ItemSequencesSettings(table="clicks", items="what")),
            "names column 'what' of table 'clicks', which is",
        ),
        (SessionPrefixesView(SessionPrefixesSettings(train="clicks")), "view.items names column 'items'"),
    ],
)
def test_columns_that_do_not_serve(view: View, message: str) -> None:
    with pytest.raises(DataError, match=message.replace(".", r"\.")):
        view.examples(tables(clicks=clicks().assign(text="x"), test_prefixes=clicks()))


@pytest.mark.parametrize(
    ("kind", "chosen", "message"),
    [
        (InteractionsSettings, {"item": ""}, "view.item is empty; name it"),
        (InteractionsSettings, {"items": "products"}, "view.items and view.items_key: give both, or none"),
        (InteractionsSettings, {"max_steps": 0}, "view.max_steps is 0; it must be at least 1"),
        (InteractionsSettings, {"time": "", "days": True}, "view.time is empty, and view.days"),
        (InteractionsSettings, {"test_from": "2024-01-01"}, "give both dates, or none"),
        (InteractionsSettings, {"validation_from": "x", "test_from": "2024-01-01"}, "'x' is not a date"),
        (InteractionsSettings, {"validation_from": "2024-02-01", "test_from": "2024-01-01"}, "is not before view.test_from"),
        (ItemSequencesSettings, {"items": ""}, "view.items is empty"),
        (SessionPrefixesSettings, {"validation_fraction": 1.0}, "view.validation_fraction is 1; it must be between 0 and 1"),
    ],
)
def test_settings(kind: type, chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        kind(**chosen)
