"""The views where data are odd, or go with nothing: what is refused, what is left out, what is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shopkit
from shop import QUICK, recommend, sequences
from shopkit.errors import ConfigError, DataError
from test_views import CLICKS, clicks, histories, made, tables

from shopkit_recommend.views.interactions import InteractionsView
from shopkit_recommend.views.item_sequences import ItemSequencesView
from shopkit_recommend.views.session_prefixes import SessionPrefixesView
from shopkit_recommend.views.settings import InteractionsSettings, ItemSequencesSettings, SessionPrefixesSettings

BEYOND = "earlier step than the latest view.max_steps, which training does not see"


def interactions(**changed: Any) -> InteractionsView:
    return InteractionsView(InteractionsSettings(**{**CLICKS, **changed}))


def at_days(rows: list[tuple[Any, ...]], columns: list[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(at=pd.Timestamp("2024-01-01") + pd.to_timedelta(table["day"], "D"))


def test_the_order_of_a_file_with_items_of_another_table(tmp_path: Path) -> None:
    what = np.random.default_rng(0).permutation(200)
    table, goods = pd.DataFrame({"who": 1, "what": what}), pd.DataFrame({"what": range(200)})
    goods["kind"] = "k" + goods["what"].astype(str)
    view = interactions(time="", item="kind", items="goods", items_key="what")
    rows, _ = made(view, tables(clicks=table, goods=goods), tmp_path)
    assert histories(rows)["1", "199"][0] == [f"k{number}" for number in what[:-1]]


@pytest.mark.parametrize("whole", [0, 6])
def test_a_k_core_that_falls_out_one_by_one(tmp_path: Path, whole: int) -> None:
    """Customer i takes items i and i + 1: the ends of the chain have one interaction, and then the new ends; a clique stays."""
    chain = [(f"c{i:02}", f"i{j:02}") for i in range(40) for j in (i, i + 1)]
    clique = [(f"d{i}", f"e{j}") for i in range(whole) for j in range(whole)]
    table = pd.DataFrame([*chain, *clique], columns=["who", "what"])
    table["at"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(range(len(table)), "D")
    view = interactions(min_of_customer=2, min_of_item=2)
    if not whole:
        with pytest.raises(DataError, match="The view gives no examples"):
            made(view, tables(clicks=table), tmp_path)
        return
    rows, facts = made(view, tables(clicks=table), tmp_path)
    assert set(rows.customer) == {f"d{i}" for i in range(whole)}
    assert facts.left_out == {"interaction outside the k-core": len(chain)}


def test_a_core_of_one_side(tmp_path: Path) -> None:
    table = at_days([("a", 1, "x"), ("a", 2, "y"), ("b", 1, "x")], ["who", "day", "what"])
    rows, facts = made(interactions(min_of_customer=2), tables(clicks=table), tmp_path)
    assert set(rows.customer) == {"a"}
    assert facts.left_out == {"interaction outside the k-core": 1}


def test_lines_without_a_basket_stand_alone(tmp_path: Path) -> None:
    lines = [("a", None, 1, "x"), ("a", None, 2, "y"), ("a", None, 3, "y"), ("a", "b", 4, "w"), ("a", "b", 5, "v")]
    view = interactions(basket="bill")
    rows, facts = made(view, tables(clicks=at_days(lines, ["who", "bill", "day", "what"])), tmp_path)
    assert sorted((row.place, list(row.history), row.target) for row in rows.itertuples()) == [
        (1, ["x"], "y"),
        (2, ["x", "y"], "y"),
        (3, ["x", "y", "y"], "v"),
        (3, ["x", "y", "y"], "w"),
    ]
    assert facts.left_out == {}


def test_an_empty_id_is_a_missing_one(tmp_path: Path) -> None:
    lines = [("a", 1, "x"), ("a", 2, ""), ("", 3, "y"), ("a", 4, "z"), ("a", 5, None)]
    rows, facts = made(interactions(), tables(clicks=at_days(lines, ["who", "day", "what"])), tmp_path)
    assert histories(rows) == {("a", "1"): (["x"], "z")}
    assert facts.left_out == {"line without customer, item or time": 3}


@pytest.mark.parametrize(
    ("frames", "changed", "message"),
    [
        (
            {"goods": pd.DataFrame({"what": [*range(25), 5, None, None], "kind": "k"})},
            {"item": "kind", "items": "goods", "items_key": "what"},
            "view.items_key 'what' has the value 5.0 in 2 rows of table 'goods'",
        ),
        (
            {"goods": pd.DataFrame({"what": [str(item) for item in range(25)], "kind": "k"})},
            {"item": "kind", "items": "goods", "items_key": "what"},
            "view.items_key 'what' is string in table 'goods', and int64 in the interactions. Cast one",
        ),
        (
            {"people": pd.DataFrame({"who": [1, 2, 1], "age": [1, 2, 3]})},
            {"customers": "people"},
            "view.customer 'who' has the value 1 in 2 rows of table 'people'",
        ),
        (
            {"people": pd.DataFrame({"who": ["1"], "age": [1]})},
            {"customers": "people"},
            "view.customer 'who' is string in table 'people', and int64 in the interactions",
        ),
    ],
)
def test_tables_beside_that_do_not_fit(frames: dict[str, pd.DataFrame], changed: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message.replace(".", r"\.")):
        interactions(**changed).examples(tables(clicks=clicks(), **frames))


@pytest.mark.parametrize("name", ["target", "History", "amount"])
def test_a_fact_about_customers_called_like_a_column_of_the_view(name: str) -> None:
    people = pd.DataFrame({"who": [1, 2], name: ["a", "b"]})
    with pytest.raises(
        DataError, match=f"table 'people' of view.customers has a column '{name}', and the view makes one of that"
    ):
        interactions(customers="people").examples(tables(clicks=clicks(), people=people))


def test_times_that_are_fractions() -> None:
    with pytest.raises(DataError, match=r"is float64, expected a timestamp, .*where the source has that setting"):
        interactions().examples(tables(clicks=clicks().assign(at=1.5)))


def test_the_names_of_a_profile_are_its_own(tmp_path: Path) -> None:
    table = pd.DataFrame({"items": [[1, 2, 3, 4], [4, 5, 6]], "n": [10.0, 20.0], "target": ["q", "w"], "step": [7, 8]})
    rows, _ = made(ItemSequencesView(ItemSequencesSettings(profile=["n"])), tables(data=table), tmp_path)
    assert dict(zip(rows.customer, rows.n, strict=True)) == {"0": 10.0, "1": 20.0}
    for setting, name in (("profile", "target"), ("profile", "step"), ("beside", "history"), ("profile", "N")):
        view = ItemSequencesView(ItemSequencesSettings(**{"beside": ["n"], setting: [name]}))
        with pytest.raises(DataError, match=f"view.{setting} names column '{name}', and the view makes one of that name itself"):
            view.examples(tables(data=table))


def test_sessions_in_order(tmp_path: Path) -> None:
    train = pd.DataFrame({"session": [str(i) for i in range(1, 13)], "items": [[i, i + 1] for i in range(1, 13)]})
    tests = pd.DataFrame({"prefix": [[1]], "target": [2]})
    view = SessionPrefixesView(SessionPrefixesSettings(validation_fraction=0.2))
    with pytest.raises(DataError, match="column 'session' is string, and sessions stand in order"):
        view.examples(tables(train_sessions=train, test_prefixes=tests))
    train["session"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(train["session"].astype(int), "D")
    train["items"] = [None, [], *train["items"][2:]]
    rows, facts = made(view, tables(train_sessions=train, test_prefixes=tests), tmp_path)
    assert facts.left_out == {"session without items": 2}
    assert rows[rows.part == "validation"].target.tolist() == ["12", "13"]


def test_what_lies_further_back_is_counted(tmp_path: Path) -> None:
    data = pd.DataFrame({"items": [list(range(1, 11)), [1, 2, 3, 4, 5], [1, 2], [1]]})
    given = tables(data=data)
    for view, beyond in (
        (ItemSequencesSettings(max_steps=3), 4),
        (ItemSequencesSettings(max_steps=3, train_on_validation=True), 5),
        (ItemSequencesSettings(), 0),
    ):
        facts = made(ItemSequencesView(view), given, tmp_path)[1]
        assert facts.left_out == ({BEYOND: beyond} if beyond else {})
    train = pd.DataFrame({"session": range(4), "items": [[1, 2, 3, 4], [1], [1, 2], [1, 2, 3, 4, 5]]})
    given = tables(train_sessions=train, test_prefixes=pd.DataFrame({"prefix": [[1]], "target": [2]}))
    sessions = SessionPrefixesSettings(max_steps=2, validation_fraction=0.25)
    assert made(SessionPrefixesView(sessions), given, tmp_path)[1].left_out == {BEYOND: 1}


@pytest.mark.parametrize("dates", [{}, {"validation_from": "2024-03-01", "test_from": "2024-04-01"}])
@pytest.mark.parametrize("basket", ["", "bill"])
def test_training_on_the_whole_past(tmp_path: Path, dates: dict[str, str], basket: str) -> None:
    """Every training interaction is in one row, as a step or as the target; and otherwise counted as left out."""
    table = clicks().assign(bill=lambda rows: rows["visit"] // 3)
    given, chosen = tables(clicks=table), {**dates, "basket": basket, "max_steps": 3}
    short, facts = made(interactions(**chosen), given, tmp_path)
    rows, of_whole = made(interactions(**chosen, whole_past=True), given, tmp_path)
    assert of_whole.left_out == {name: n for name, n in facts.left_out.items() if name != BEYOND}
    everything, _ = made(interactions(**{**chosen, "max_steps": 1000}), given, tmp_path)
    key = ["customer", "step"]
    more = rows.merge(short[key], on=key, how="left", indicator=True)._merge == "left_only"
    # The rows that the whole past adds are of training: what they and each customer's own row hold is what all steps hold.
    assert sum(rows[more].history.map(len) + 1) == facts.left_out[BEYOND]
    held = everything.groupby("customer").apply(lambda of_one: max(of_one.history, key=len).tolist())
    for customer, of_one in rows[more].groupby("customer"):
        begin = 0
        for row in of_one.assign(number=of_one.step.astype(int)).sort_values("number").itertuples():
            assert [*row.history, row.target] == held[customer][begin : int(row.step) + 1]
            begin = int(row.step) + 1
    pd.testing.assert_frame_equal(rows[~more].reset_index(drop=True), short)


PAIR = r"its rows hold what other rows hold as well, and only {} keeps parts apart; the configuration has {}\. Set the former"
DATES = ["view.validation_from=2024-03-01", "view.test_from=2024-04-01"]


@pytest.mark.parametrize(
    ("changes", "wanted", "given"),
    [
        ([], r"split=leave_last_out split\.column=place", "split=time"),
        (["split=random"], r"split=leave_last_out split\.column=place", "split=random"),
        (["split=leave_last_out"], r"split=leave_last_out split\.column=place", r"split=leave_last_out split\.column="),
        (
            [*DATES, "split.validation_from=2024-03-02", "split.test_from=2024-04-01"],
            r"split=time split\.validation_from=2024-03-01 split\.test_from=2024-04-01",
            r"split=time split\.validation_from=2024-03-02 split\.test_from=2024-04-01",
        ),
        (
            DATES,
            r"split=time split\.validation_from=2024-03-01 split\.test_from=2024-04-01",
            r"split=time split\.validation_from= .*",
        ),
    ],
)
def test_a_split_that_would_train_on_what_it_tests(tmp_path: Path, changes: list[str], wanted: str, given: str) -> None:
    of_view = [f"view.{name}={json.dumps(value)}" for name, value in CLICKS.items()]
    start = ["source=dataframe", "view=interactions", *of_view, "task=next_item", "model=popular"]
    with pytest.raises(ConfigError, match="^view=interactions: " + PAIR.format(wanted, given)):
        shopkit.run(overrides=[*start, *changes], data={"clicks": clicks()}, folder=tmp_path / "run")


def test_sequences_and_sessions_name_their_split(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="^view=item_sequences: " + PAIR.format(r"split=leave_last_out .*", "split=random")):
        recommend(tmp_path, sequences(20), "split=random")
    frames = {
        "train_sessions": pd.DataFrame({"session": range(9), "items": [[1, 2]] * 9}),
        "test_prefixes": pd.DataFrame({"prefix": [[1]], "target": [2]}),
    }
    wanted = PAIR.format(r"split=given split\.column=part", r"split=given split\.column=split")
    with pytest.raises(ConfigError, match="^view=session_prefixes: " + wanted):
        shopkit.run("session_next_click", [*QUICK, "split.column=split"], data=frames, folder=tmp_path / "sessions")
