"""Everyone's last decision is tested, the one before validates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit.errors import ConfigError, DataError
from shopkit.schema import Column, Schema
from shopkit.split.base import NAMES, Rows
from shopkit.split.leave_last_out import LeaveLastOutSplit
from shopkit.split.settings import LeaveLastOutSplitSettings

WHO, PLACE, AT = Column("who", "string", "key"), Column("place", "number", "ignored"), Column("at", "time", "time")
SCHEMA = Schema((WHO, PLACE, AT))


def parts(who: list[str], place: list[int], column: str = "place", schema: Schema = SCHEMA) -> list[str]:
    data = {"who": np.array(who, object), "place": np.array(place, np.float32), "at": np.array(place, np.int64)}
    rows = Rows(schema, len(who), data.__getitem__)
    return NAMES[LeaveLastOutSplit(LeaveLastOutSplitSettings(column)).parts(rows)].tolist()


@pytest.mark.parametrize("column", ["place", ""])
def test_the_last_two_decisions_are_held_out(column: str) -> None:
    who = ["a", "b", "a", "a", "b", "a", "c", "b"]
    place = [5, 1, 2, 9, 2, 7, 1, 3]
    expected = ["train", "train", "train", "test", "validation", "validation", "train", "test"]
    assert parts(who, place, column) == expected


def test_fewer_than_three_decisions_train_and_rows_of_one_place_stay_together() -> None:
    assert parts(["a", "a", "b"], [1, 2, 1]) == ["train"] * 3
    assert parts(["a"] * 5, [1, 2, 2, 3, 3]) == ["train", "validation", "validation", "test", "test"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), min_size=1, max_size=30), st.randoms())
@settings(max_examples=50, deadline=None)
def test_the_order_of_the_rows_changes_nothing(rows: list[tuple[str, int]], random: object) -> None:
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    found = parts([w for w, _ in rows], [p for _, p in rows])
    shuffled = parts([rows[i][0] for i in order], [rows[i][1] for i in order])
    assert shuffled == [found[i] for i in order]


def test_what_it_goes_by_is_no_feature() -> None:
    assert LeaveLastOutSplit(LeaveLastOutSplitSettings("place")).not_features == ("place",)
    assert LeaveLastOutSplit(LeaveLastOutSplitSettings()).not_features == ()


def test_errors() -> None:
    with pytest.raises(ConfigError, match=r"split\.column: the examples have no column 'plaice'\. Did you mean 'place'\?"):
        parts(["a"], [1], "plaice")
    with pytest.raises(ConfigError, match=r"split\.column: 'who' is text, and rows are ordered by a number or a time"):
        parts(["a"], [1], "who")
    with pytest.raises(DataError, match=r"split leave_last_out: no column says whose a row is"):
        parts(["a"], [1], schema=Schema((PLACE, AT)))
    with pytest.raises(DataError, match=r"split leave_last_out needs a column of role time"):
        parts(["a"], [1], "", Schema((WHO, PLACE)))
