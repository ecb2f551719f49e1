"""Splits that go by a column of their own, boundaries to the second, and the sentences that name columns."""

from __future__ import annotations

import re

import numpy as np
import pytest

from shopkit.errors import ConfigError, DataError
from shopkit.schema import Column, Schema
from shopkit.split.group import GroupSplit
from shopkit.split.group_kfold import GroupKfoldSplit
from shopkit.split.kfold import KfoldSplit, stratified_folds
from shopkit.split.leave_last_out import LeaveLastOutSplit
from shopkit.split.settings import (
    GroupKfoldSplitSettings,
    GroupSplitSettings,
    KfoldSplitSettings,
    LeaveLastOutSplitSettings,
    RandomSplitSettings,
    TimeFoldSplitSettings,
    TimeSplitSettings,
)
from shopkit.split.time_fold import TimeFoldSplit
from tests.split.test_splits import parts_of

DAY = 86_400
SCHEMA = Schema((Column("order", "string", "key"), Column("customer", "string", "group"), Column("town", "string")))
N = 300
RNG = np.random.default_rng(0)
DATA = {
    "order": np.array([f"o{i}" for i in range(N)], object),
    "customer": RNG.integers(0, 9, N).astype(str).astype(object),
    "town": RNG.integers(0, 30, N).astype(str).astype(object),
    "place": np.arange(N, dtype=np.float64),
}


@pytest.mark.parametrize(("column", "together"), [("town", "town"), ("", "customer")])
@pytest.mark.parametrize(
    "make", [lambda c: GroupSplit(GroupSplitSettings(column=c)), lambda c: GroupKfoldSplit(GroupKfoldSplitSettings(column=c))]
)
def test_groups_by_a_column_or_by_the_role(make, column: str, together: str):
    parts = parts_of(make(column), DATA, SCHEMA)
    for name in ("town", "customer"):
        split = {value for value in DATA[name] if len(set(parts[DATA[name] == value])) > 1}
        assert bool(split) == (name != together)


@pytest.mark.parametrize(
    "split",
    [GroupSplit(GroupSplitSettings(column="twon")), LeaveLastOutSplit(LeaveLastOutSplitSettings(column="twon"))],
)
def test_a_column_that_is_not_there(split):
    message = "split.column: the examples have no column 'twon'. Did you mean 'town'? Columns: order, customer, town."
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        parts_of(split, DATA, SCHEMA)


def test_the_group_goes_before_the_key_and_either_will_do():
    places = Schema((*SCHEMA.columns, Column("place", "number")))
    split = LeaveLastOutSplit(LeaveLastOutSplitSettings(column="place"))
    parts = parts_of(split, DATA, places)
    for customer in set(DATA["customer"]):
        of_customer = parts[DATA["customer"] == customer].tolist()
        assert of_customer == ["train"] * (len(of_customer) - 2) + ["validation", "test"]
    keyed = Schema((Column("customer", "string", "key"), Column("place", "number")))
    assert parts_of(split, DATA, keyed).tolist() == parts.tolist()


def test_what_orders_decisions_must_be_named():
    with pytest.raises(DataError, match=r"Name it with view\.time, or what orders a group's rows with split\.column\.$"):
        parts_of(LeaveLastOutSplit(LeaveLastOutSplitSettings()), DATA, SCHEMA)


def test_a_target_that_ends_with_the_part_is_in_it():
    at = np.arange(60) * DAY
    schema = Schema((Column("at", "time", "time"),))
    for gap_days in (0.0, 1.0, 2.0):
        parts = parts_of(TimeFoldSplit(TimeFoldSplitSettings(n_folds=5, fold=2, gap_days=gap_days)), {"at": at}, schema)
        first_test = int(np.flatnonzero(parts == "test")[0])
        first_validation = int(np.flatnonzero(parts == "validation")[0])
        gap = max(0, int(gap_days) - 1)  # the day before the part reaches its first moment after one day, and no further
        assert parts[:first_test].tolist().count("gap") == 2 * gap
        assert parts[first_validation - gap - 1] == "train"
        assert parts[first_test - gap - 1] == "validation"


def test_one_moment_is_enough_to_train_on_and_the_last_fold_tests_to_the_end():
    schema = Schema((Column("at", "time", "time"),))
    split = TimeFoldSplit(TimeFoldSplitSettings(n_folds=2, fold=1, validation_fraction=0.9))
    parts = parts_of(split, {"at": np.arange(6) * DAY}, schema).tolist()
    assert parts == ["train", "validation", "validation", "validation", "test", "test"]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: RandomSplitSettings(test_fraction=0.75, validation_fraction=0.25),
            "split.validation_fraction + split.test_fraction is 1; nothing is left for train. Their sum must be below 1.",
        ),
        (lambda: KfoldSplitSettings(validation_fraction=1.0), "split.validation_fraction is 1"),
        (lambda: KfoldSplitSettings(validation_fraction=0.0), "split.validation_fraction is 0"),
        (lambda: RandomSplitSettings(test_fraction=1.0), "split.test_fraction is 1"),
        (
            lambda: TimeSplitSettings(test_from="2024-01-01"),
            "split.validation_from and split.test_from: give both dates, or none.",
        ),
        (
            lambda: TimeSplitSettings(validation_from="2024-01-01", test_from="2024-01-01"),
            "split.validation_from is 2024-01-01, which is not before split.test_from, 2024-01-01.",
        ),
    ],
)
def test_limits(build, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        build()


def test_as_many_rows_as_folds_are_enough():
    three = {name: values[:3] for name, values in DATA.items()}
    for fold in range(3):
        settings = KfoldSplitSettings(n_folds=3, fold=fold, stratified=False, validation_fraction=0.5)
        assert sorted(parts_of(KfoldSplit(settings), three, SCHEMA)) == ["test", "train", "validation"]


def test_a_class_of_one_row_is_in_one_fold():
    folds = stratified_folds(np.array([0] * 9 + [1]), 3, seed=0)
    assert sorted(np.bincount(folds)) == [3, 3, 4]


def test_two_moments_more_than_folds_are_enough():
    moments = DAY * np.arange(5, dtype=np.int64)
    schema = Schema((Column("at", "time", "time"),))
    for fold in range(3):
        parts = parts_of(TimeFoldSplit(TimeFoldSplitSettings(n_folds=3, fold=fold)), {"at": moments}, schema)
        assert {"train", "validation", "test"} <= set(parts.tolist())


def test_nobody_whose_last_row_is_left_out():
    message = "split leave_last_out: no column says whose a row is. Name it with view.group."
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        parts_of(LeaveLastOutSplit(LeaveLastOutSplitSettings()), {"town": DATA["town"]}, Schema((Column("town", "string"),)))
