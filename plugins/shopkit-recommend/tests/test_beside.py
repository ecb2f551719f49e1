"""What stands beside items, step by step, in every view; and training on all of a list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shopkit
from shop import QUICK, sequences
from shopkit import Predictor
from shopkit.errors import DataError
from test_views import CLICKS, clicks, made, tables

from shopkit_recommend.views.interactions import InteractionsView
from shopkit_recommend.views.item_sequences import ItemSequencesView
from shopkit_recommend.views.session_prefixes import SessionPrefixesView
from shopkit_recommend.views.settings import InteractionsSettings, ItemSequencesSettings, SessionPrefixesSettings

GOODS = pd.DataFrame(
    {"what": range(25), "kind": [*(f"kind {n % 3}" for n in range(24)), None], "price": [*(n / 2 for n in range(24)), None]}
)
OF_ITEMS = {"items": "goods", "items_key": "what"}


def interactions(**changed: Any) -> InteractionsView:
    return InteractionsView(InteractionsSettings(**{**CLICKS, **OF_ITEMS, **changed}))


def test_attributes_of_the_items_table_stand_beside_each_step(tmp_path: Path) -> None:
    """Of item 24 it says nothing."""
    rows, facts = made(interactions(beside=["kind", "price"], max_steps=5), tables(clicks=clicks(), goods=GOODS), tmp_path)
    kind = dict(zip(GOODS.what.astype(str), GOODS.kind.fillna(""), strict=True))
    price = dict(zip(GOODS.what.astype(str), GOODS.price, strict=True))
    assert [list(steps) for steps in rows.kind] == [[kind[item] for item in items] for items in rows.history]
    for row in rows.itertuples():
        np.testing.assert_array_equal(np.array(row.price, float), [price[item] for item in row.history])
    assert (facts.schema["kind"].kind, facts.schema["price"].kind) == ("string", "number")
    assert all(facts.schema[name].sequence and facts.schema[name].role == "feature" for name in ("kind", "price"))
    plain, _ = made(interactions(max_steps=5), tables(clicks=clicks(), goods=GOODS), tmp_path)
    pd.testing.assert_frame_equal(rows.drop(columns=["kind", "price"]), plain)


def test_what_the_items_table_lacks_is_of_the_interactions(tmp_path: Path) -> None:
    """Of lines that are one interaction, the largest value; a missing one is less than any."""
    table = pd.DataFrame(
        [
            ("ann", "b1", 1, 1, "online", 2.0),
            ("ann", "b1", 1, 1, "shop", 1.0),
            ("ann", "b2", 2, 2, None, 3.0),
            ("ann", "b2", 2, 2, "online", None),
            ("ann", "b3", 3, 3, None, None),
            ("ann", "b4", 4, 1, "shop", 9.0),
        ],
        columns=["who", "bill", "at", "what", "channel", "paid"],
    )
    view = interactions(beside=["channel", "kind", "paid"], basket="bill")
    rows, _ = made(view, tables(clicks=table, goods=GOODS), tmp_path)
    last = rows[rows.step == "3"].iloc[0]
    assert [list(last[name]) for name in ("history", "channel", "kind")] == [
        ["1", "2", "3"],
        ["shop", "online", ""],
        ["kind 1", "kind 2", "kind 0"],
    ]
    np.testing.assert_array_equal(np.array(last.paid, float), [2.0, 3.0, np.nan])


def test_the_same_name_in_both_tables_is_of_the_items(tmp_path: Path) -> None:
    table = clicks().assign(kind="of the line")
    rows, _ = made(interactions(beside=["kind"]), tables(clicks=table, goods=GOODS), tmp_path)
    assert {kind for steps in rows.kind for kind in steps} == {"kind 0", "kind 1", "kind 2", ""}
    alone, _ = made(interactions(beside=["kind"], items="", items_key=""), tables(clicks=table), tmp_path)
    assert {kind for steps in alone.kind for kind in steps} == {"of the line"}


def test_lists_beside_sessions_and_their_beginnings(tmp_path: Path) -> None:
    """The two tables' columns may be of two types."""
    train = pd.DataFrame(
        {
            "session": range(4),
            "items": [[1, 2], [3], [4, 5, 6], [7, 8, 9]],
            "kind": [["a", "b"], ["c"], ["d", "e", "f"], ["g", "h", "i"]],
            "price": [[1, 2], [3], [4, 5, 6], [7, 8, 9]],
            "n": [[1, 2], [3], [4, 5, 6], [7, 8, 9]],
        }
    )
    tests = pd.DataFrame({"prefix": [[1, 2], [1]], "target": [3, 2], "kind": [["a", "b"], ["a"]], "price": [[1.5, 2.5], [1.5]]})
    tests["n"] = [[10, 20], [10]]
    view = SessionPrefixesView(SessionPrefixesSettings(validation_fraction=0.25, beside=["kind", "price", "n"]))
    rows, _ = made(view, tables(train_sessions=train, test_prefixes=tests), tmp_path)
    found = {part: [list(kind) for kind in of_part.kind] for part, of_part in rows.groupby("part")}
    assert found["train"] == [["a"], [], ["d", "e"]]
    assert found["validation"] == [["g"], ["g", "h"]]
    assert sorted(found["test"]) == [["a"], ["a", "b"]]
    assert sorted(list(price) for price in rows[rows.part == "test"].price) == [[1.5], [1.5, 2.5]]
    assert [list(price) for price in rows[rows.part == "validation"].price] == [[7.0], [7.0, 8.0]]
    assert [list(n) for n in rows[rows.part == "train"].n] == [[1], [], [4, 5]]


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (
            interactions(beside=["kinds"]),
            r"names column 'kinds', which table 'goods' does not have\. Did you mean 'kind'",
        ),
        (interactions(beside=["kinds"], items="", items_key=""), r"names column 'kinds', which table 'clicks' does not have"),
        (
            interactions(beside=["days_before"]),
            r"view\.beside names column 'days_before', and the view makes one of that",
        ),
        (interactions(beside=["time"]), r"view\.beside names column 'time', and the view makes one"),
        (
            SessionPrefixesView(SessionPrefixesSettings(train="sessions", test="tests", beside=["part"])),
            r"view session_prefixes: view\.beside names column 'part', and the view makes one",
        ),
        (
            SessionPrefixesView(SessionPrefixesSettings(train="sessions", test="tests", beside=["kind"])),
            r"view\.beside names column 'kind', which table 'tests' does not have",
        ),
        (
            SessionPrefixesView(SessionPrefixesSettings(train="sessions", test="tests", beside=["session"])),
            r"view\.beside names column 'session', and the view makes one",
        ),
        (
            SessionPrefixesView(SessionPrefixesSettings(train="sessions", test="tests", beside=["number"])),
            r"view\.beside names column 'number' of table 'sessions', which is int64, expected a list",
        ),
    ],
)
def test_columns_that_cannot_stand_beside(view: Any, message: str) -> None:
    sessions = pd.DataFrame({"session": [1], "items": [[1, 2]], "kind": [["a", "b"]], "number": [1]})
    tests = pd.DataFrame({"prefix": [[1]], "target": [2], "number": [1]})
    with pytest.raises(DataError, match=message):
        view.examples(tables(clicks=clicks(), goods=GOODS, sessions=sessions, tests=tests))


def test_lists_of_another_length_are_refused(tmp_path: Path) -> None:
    data = pd.DataFrame({"items": [[1, 2, 3, 4]], "kind": [["a", "b"]]})
    with pytest.raises(DataError, match="kind"):
        made(ItemSequencesView(ItemSequencesSettings(beside=["kind"])), tables(data=data), tmp_path)


def orders() -> dict[str, pd.DataFrame]:
    """A line for each step of `sequences`, and a table of what is known of items: even and odd ones."""
    lines = [(who, at, item) for who, steps in enumerate(sequences()) for at, item in enumerate(steps)]
    goods = pd.DataFrame({"what": range(101, 113), "kind": ["odd" if n % 2 else "even" for n in range(101, 113)]})
    return {"clicks": pd.DataFrame(lines, columns=["who", "at", "what"]), "goods": goods}


def of_orders(folder: Path, model: str, *changes: str) -> shopkit.Run:
    view = [f"view.{name}={value}" for name, value in {**CLICKS, **OF_ITEMS, "item": "what", "beside": "[kind]"}.items()]
    split = ["split=leave_last_out", "split.column=place", "evaluation.baselines=[]", "evaluation.permutation_repeats=0"]
    start = ["view=interactions", *view, *split, "task=next_item", f"model={model}", *QUICK]
    return shopkit.run(overrides=[*start, *changes], data=orders(), folder=folder / "run")


def test_a_table_of_orders_and_one_of_items_give_new_items_a_vector(tmp_path: Path) -> None:
    """By their attributes: nearer to the items of their kind than to the others, and so scored above them."""
    pytest.importorskip("faiss")
    run = of_orders(tmp_path, "two_tower", "exporter=item_index", "model.item_dropout=0.5")
    encode = Predictor(run.path / "item_encoder.onnx")
    with np.load(run.path / "items.npz") as stored:
        vectors = dict(zip(stored["items"].tolist(), stored["vectors"], strict=True))
    assert set(vectors) == {str(item) for item in range(101, 113)}
    np.testing.assert_allclose(encode({"history": ["104"], "kind": ["even"]})["vector"], vectors["104"], atol=1e-5)
    for kind, other in (("even", "odd"), ("odd", "even")):
        new = np.asarray(encode({"history": ["a new item"], "kind": [kind]})["vector"])
        near = {
            name: np.mean([new @ v for item, v in vectors.items() if ("even", "odd")[int(item) % 2] == name])
            for name in (kind, other)
        }
        assert near[kind] > near[other]


def test_a_network_reads_new_items_of_a_history_by_their_attributes(tmp_path: Path) -> None:
    run = of_orders(tmp_path, "sasrec", "model.dim=16")
    predict = Predictor(run.model_path)
    assert predict.inputs.names == ("history", "kind")
    odd, even = (predict({"history": ["a new item"], "kind": [kind]}, k=12) for kind in ("odd", "even"))
    assert odd["scores"] != even["scores"]
    assert odd["scores"] != predict({"history": [], "kind": []}, k=12)["scores"]


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("max_steps", [1, 2, 3, 7])
def test_training_on_whole_sequences(tmp_path: Path, max_steps: int, both: bool) -> None:
    """Every step that trains is in one row of training, as a step or as the target, with what is beside it."""
    lists = [list(range(length)) for length in (0, 1, 2, 3, 4, 5, 9, 10, 11, 12)]
    data = pd.DataFrame(
        {"who": [f"c{len(items)}" for items in lists], "items": lists, "tens": [[10 * n for n in items] for items in lists]}
    )
    settings = ItemSequencesSettings(customer="who", max_steps=max_steps, train_on_validation=both, beside=["tens"])
    short, _ = made(ItemSequencesView(settings), tables(data=data), tmp_path)
    rows, facts = made(ItemSequencesView(replace(settings, whole_past=True)), tables(data=data), tmp_path)
    assert facts.left_out == {"sequence without items": 1}
    assert not rows.duplicated(["customer", "step"]).any()
    rows["at"] = rows.place.astype(int)
    held = rows.groupby("customer")["at"].rank(ascending=False) <= 2
    for items in lists[1:]:
        of_one = rows[rows.customer == f"c{len(items)}"].sort_values("at")
        trains = of_one[~held[of_one.index]] if len(items) >= 3 else of_one
        n_trained = len(items) - (1 if both else 2) if len(items) >= 3 else len(items)
        steps = [step for row in trains.itertuples() for step in (*map(int, row.history), int(row.target))]
        assert steps == list(range(n_trained))
        assert trains.history.map(len).max() <= max_steps
        assert (trains["at"] >= 0).all()
    assert all([10 * int(n) for n in row.history] == list(row.tens) for row in rows.itertuples())
    # What is there without the whole past is there with it.
    kept = rows.drop(columns="at").merge(short[["customer", "step"]], on=["customer", "step"])
    assert kept.astype(str).values.tolist() == short.astype(str).values.tolist()


@pytest.mark.parametrize("both", [False, True])
def test_training_on_whole_sessions(tmp_path: Path, both: bool) -> None:
    """Of the sessions that train; validation and test are what they were."""
    lists = [list(range(length)) for length in (1, 2, 6, 7, 8, 0, 9, 6)]
    train = pd.DataFrame({"session": range(8), "items": lists})
    given = tables(train_sessions=train, test_prefixes=pd.DataFrame({"prefix": [list(range(9))], "target": [2]}))
    settings = SessionPrefixesSettings(max_steps=2, validation_fraction=0.25, train_on_validation=both)
    short, facts = made(SessionPrefixesView(settings), given, tmp_path)
    rows, of_whole = made(SessionPrefixesView(replace(settings, whole_past=True)), given, tmp_path)
    assert len(facts.left_out) == 2
    assert of_whole.left_out == {"session without items": 1}
    trains = rows[rows.part == "train"]
    for session, items in enumerate(lists):
        of_one = trains[trains.session == str(session)].assign(at=lambda some: some.place.astype(int)).sort_values("at")
        steps = [step for row in of_one.itertuples() for step in (*map(int, row.history), int(row.target))]
        assert steps == (items if both or session < 6 else [])
    columns = ["session", "place", "history", "target"]
    for part in ("validation", "test"):
        one, other = (some[some.part == part][columns].astype(str).values.tolist() for some in (rows, short))
        assert one == other
        assert one
