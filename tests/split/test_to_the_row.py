"""Which part every single row is in, by slow references and by hand; and each message, whole."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import shopkit.split
from shopkit.errors import ConfigError, DataError
from shopkit.schema import MISSING_TIME, Column, Schema
from shopkit.split.base import NAMES, classes_of, draw
from shopkit.split.folds import fold_of
from shopkit.split.given import GivenSplit
from shopkit.split.group import GroupSplit
from shopkit.split.group_kfold import GroupKfoldSplit
from shopkit.split.kfold import KfoldSplit
from shopkit.split.leave_last_out import LeaveLastOutSplit
from shopkit.split.random import RandomSplit
from shopkit.split.settings import (
    GivenSplitSettings,
    GroupKfoldSplitSettings,
    GroupSplitSettings,
    KfoldSplitSettings,
    LeaveLastOutSplitSettings,
    RandomSplitSettings,
    StratifiedSplitSettings,
    TimeFoldSplitSettings,
    TimeSplitSettings,
)
from shopkit.split.stratified import StratifiedSplit
from shopkit.split.time import TimeSplit
from shopkit.split.time_fold import TimeFoldSplit
from tests.split.test_splits import DAY, SCHEMA, columns, parts_of

COUNTS = st.lists(st.integers(1, 30), min_size=3, max_size=20)
"""Rows of each moment, in order of time."""


def timed(counts: list[int]) -> dict[str, np.ndarray]:
    """Rows in a scrambled order, their moments an hour apart."""
    at = np.repeat(np.arange(len(counts)) * 3600 + 1_000_000, counts)
    return {"at": np.random.default_rng(0).permutation(at)}


def nearest(counts: list[int], share: float, least: int, stop: int) -> int:
    """The moment, of those from `least` to before `stop`, whose share of earlier rows is nearest; the first of equals."""
    distances = [abs(sum(counts[:moment]) / sum(counts) - share) for moment in range(least, stop)]
    return least + distances.index(min(distances))


# -- by time --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(COUNTS, st.sampled_from([(0.15, 0.15), (0.5, 0.1), (0.05, 0.6), (0.3, 0.3)]))
def test_boundaries_are_the_moments_nearest_to_the_fractions(counts, fractions):
    validation_fraction, test_fraction = fractions
    data = timed(counts)
    split = TimeSplit(TimeSplitSettings(validation_fraction=validation_fraction, test_fraction=test_fraction))
    test = nearest(counts, 1 - test_fraction, 2, len(counts))
    validation = nearest(counts, 1 - test_fraction - validation_fraction, 1, test)
    moment = (data["at"] - 1_000_000) // 3600
    expected = np.where(moment >= test, "test", np.where(moment >= validation, "validation", "train"))
    assert parts_of(split, data).tolist() == expected.tolist()


def test_three_moments_are_enough_and_two_are_not():
    assert parts_of(TimeSplit(TimeSplitSettings()), {"at": np.array([0, 1, 2])}).tolist() == [
        "train",
        "validation",
        "test",
    ]
    with pytest.raises(DataError, match=r"^split time: there are only 2 different times; three parts need at least 3\.$"):
        parts_of(TimeSplit(TimeSplitSettings()), {"at": np.array([0, 0, 1])})


def test_a_date_with_a_zone_of_its_own_is_read_in_that():
    schema = Schema((Column("at", "time", "time", unit="Europe/Berlin"),))
    dates = TimeSplitSettings(validation_from="1970-01-01T12:00:00+00:00", test_from="1970-01-02T01:00:00+02:00")
    parts = parts_of(TimeSplit(dates), {"at": np.arange(48) * 3600}, schema)
    assert np.flatnonzero(parts == "validation").tolist() == list(range(12, 23))


def test_a_gap_ends_where_the_next_part_begins():
    data = {"at": np.arange(10) * DAY}
    dates = {"validation_from": "1970-01-05", "test_from": "1970-01-08"}
    parts = parts_of(TimeSplit(TimeSplitSettings(**dates, gap_days=1.5)), data)
    assert parts.tolist() == ["train"] * 3 + ["gap"] + ["validation"] * 2 + ["gap"] + ["test"] * 3
    parts = parts_of(TimeSplit(TimeSplitSettings(**dates, gap_days=1)), data)
    assert parts.tolist() == ["train"] * 4 + ["validation"] * 3 + ["test"] * 3


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=6, max_size=20), st.integers(2, 4), st.data())
def test_a_fold_in_time_is_the_block_nearest_to_its_share(counts, n_folds, data):
    fold = data.draw(st.integers(0, n_folds - 1))
    rows = timed(counts)
    split = TimeFoldSplit(TimeFoldSplitSettings(n_folds=n_folds, fold=fold, validation_fraction=0.2))
    end = len(counts)
    start = nearest(counts, (fold + 1) / (n_folds + 1), 2, end + 1)
    stop = end if fold == n_folds - 1 else nearest(counts, (fold + 2) / (n_folds + 1), start + 1, end + 1)
    share = sum(counts[:start]) / sum(counts) * 0.8
    validation = min(nearest(counts, share, 1, end + 1), start - 1)
    moment = (rows["at"] - 1_000_000) // 3600
    expected = np.select([moment >= stop, moment >= start, moment >= validation], ["gap", "test", "validation"], "train")
    assert parts_of(split, rows).tolist() == expected.tolist()


# -- at random --------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=3, max_size=25), st.integers(0, 50))
@example([2, 1, 1], 0)
@example([2, 1, 1], 1)
@example([2, 1, 1], 2)
@example([2, 1, 1], 3)
@example([2, 1, 1], 4)
def test_groups_in_random_order_fill_the_parts_by_the_middle_of_each(sizes, seed):
    customer = np.random.default_rng(1).permutation(np.repeat([f"c{i:02}" for i in range(len(sizes))], sizes)).astype(object)
    fractions = {"validation_fraction": 0.25, "test_fraction": 0.25}
    rows = shopkit.split.Rows(SCHEMA, len(customer), {"customer": customer}.__getitem__)
    parts = NAMES[GroupSplit(GroupSplitSettings(**fractions, seed=seed)).parts(rows)]
    n_before = 0
    for group in np.random.default_rng(seed).permutation(len(sizes)):
        middle = (n_before + sizes[group] / 2) / sum(sizes)
        expected = "test" if middle < 0.25 else "validation" if middle < 0.5 else "train"
        assert set(parts[customer == f"c{group:02}"]) == {expected}
        n_before += sizes[group]


def test_three_groups_are_enough():
    data = {"customer": np.array(["a", "b", "c"], object)}
    thirds = {"validation_fraction": 0.33, "test_fraction": 0.34}
    assert sorted(parts_of(GroupSplit(GroupSplitSettings(**thirds)), data)) == ["test", "train", "validation"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=4, max_size=25), st.integers(0, 50), st.integers(0, 2))
def test_group_folds_deal_groups_by_the_middle_of_each(sizes, seed, fold):
    customer = np.repeat([f"c{i:02}" for i in range(len(sizes))], sizes).astype(object)
    rows = shopkit.split.Rows(SCHEMA, len(customer), {"customer": customer}.__getitem__)
    split = GroupKfoldSplit(GroupKfoldSplitSettings(n_folds=3, fold=fold, seed=seed, validation_fraction=0.3))
    parts = NAMES[split.parts(rows)]
    n_before, tested, rest = 0, [], []
    for place, group in enumerate(np.random.default_rng(seed).permutation(len(sizes))):
        inside = int((n_before + sizes[group] / 2) / sum(sizes) * 3) == fold
        (tested if inside else rest).append((place, group))
        n_before += sizes[group]
    assert {group for _, group in tested} == {int(name[1:]) for name in customer[parts == "test"]}
    n_before, total = 0, sum(sizes[group] for _, group in rest)
    for i in np.random.default_rng([seed, fold]).permutation(len(rest)):
        group = rest[i][1]
        expected = "validation" if (n_before + sizes[group] / 2) / total < 0.3 else "train"
        assert set(parts[customer == f"c{group:02}"]) == {expected}
        n_before += sizes[group]


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: RandomSplit(RandomSplitSettings(seed=seed)),
        lambda seed: StratifiedSplit(StratifiedSplitSettings(seed=seed)),
        lambda seed: GroupSplit(GroupSplitSettings(seed=seed)),
        lambda seed: KfoldSplit(KfoldSplitSettings(seed=seed)),
        lambda seed: GroupKfoldSplit(GroupKfoldSplitSettings(seed=seed)),
        lambda seed: GivenSplit(GivenSplitSettings("part", seed=seed)),
    ],
    ids=["random", "stratified", "group", "kfold", "group_kfold", "given"],
)
def test_the_seed_alone_decides_the_draw(make):
    data = columns(200)
    data["part"] = np.where(data["part"] == "validation", "train", data["part"]).astype(object)
    assert (parts_of(make(3), data) == parts_of(make(3), data)).all()
    assert (parts_of(make(3), data) != parts_of(make(4), data)).any()


def test_each_fold_draws_a_validation_part_of_its_own():
    data = columns(300)
    drawn = [parts_of(KfoldSplit(KfoldSplitSettings(fold=fold)), data) for fold in (0, 1)]
    in_both = (drawn[0] != "test") & (drawn[1] != "test")
    assert ((drawn[0] == "validation") != (drawn[1] == "validation"))[in_both].any()
    for parts in drawn:
        rest = parts != "test"
        assert abs((parts == "validation").sum() - KfoldSplitSettings().validation_fraction * rest.sum()) <= 1


@pytest.mark.parametrize("n_different", [2, 3, 25, 26])
def test_up_to_a_quarter_as_many_values_as_rows_are_classes(n_different):
    values = np.arange(100) % n_different
    if n_different <= 25:
        assert classes_of(values, "stratified").tolist() == values.tolist()
        # Numbered as they first appear, whatever their order.
        assert classes_of(n_different - 1 - values, "stratified").tolist() == values.tolist()
        assert classes_of(np.array([2, 0, 2, 1] * 3), "stratified").tolist() == [0, 1, 0, 2] * 3
        return
    with pytest.raises(DataError, match="the target has 26 different values in 100 rows"):
        classes_of(values, "stratified")


def test_a_part_by_value_is_the_whole_value():
    data = {"part": np.array(["train", "validation", "test", "pretrain"], object)}
    with pytest.raises(DataError, match="row 3 holds 'pretrain', which is none of"):
        parts_of(GivenSplit(GivenSplitSettings("part")), data)


# -- messages, whole --------------------------------------------------------------------------------------------------

NOTHING = Schema((Column("x", "number"),))
ONE_COLUMN = {"x": np.zeros(4)}


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            StratifiedSplit(StratifiedSplitSettings()),
            "split stratified needs a column of role target, and the examples have none. Name it with view.target.",
        ),
        (
            TimeSplit(TimeSplitSettings()),
            "split time needs a column of role time, and the examples have none. Name it with view.time, or use split=random or "
            "split=stratified.",
        ),
        (
            TimeFoldSplit(TimeFoldSplitSettings()),
            "split time_fold needs a column of role time, and the examples have none. Name it with view.time, or use "
            "split=kfold.",
        ),
        (
            GroupSplit(GroupSplitSettings()),
            "split group needs a column of role group, and the examples have none. Name it with view.group or split.column.",
        ),
        (
            GroupKfoldSplit(GroupKfoldSplitSettings()),
            "split group_kfold needs a column of role group, and the examples have none. Name it with view.group or "
            "split.column.",
        ),
        (
            KfoldSplit(KfoldSplitSettings(n_folds=2)),
            "split kfold needs a column of role target, and the examples have none. Name it with view.target, or set "
            "split.stratified=false.",
        ),
        (
            GivenSplit(GivenSplitSettings("y")),
            "split given: the examples have no column 'y'. Set split.column to the one that names the part.",
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_is_not_there_is_named_with_what_to_do(split, message):
    with pytest.raises(DataError) as caught:
        parts_of(split, ONE_COLUMN, NOTHING)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("split", "data", "message"),
    [
        (
            TimeSplit(TimeSplitSettings()),
            {"at": np.array([MISSING_TIME, 1, 2, 3])},
            "split time: 1 of 4 rows have no time in column 'at'. Remove them in the source.",
        ),
        (
            TimeFoldSplit(TimeFoldSplitSettings()),
            {"at": np.array([MISSING_TIME, 1, 2, 3])},
            "split time_fold: 1 of 4 rows have no time in column 'at'. Remove them in the source.",
        ),
        (
            TimeFoldSplit(TimeFoldSplitSettings(n_folds=3)),
            {"at": np.arange(4)},
            "split time_fold: there are only 4 different times; 3 folds need at least 5.",
        ),
        (
            GroupSplit(GroupSplitSettings()),
            {"customer": np.array(["a", "b", "a"], object)},
            "split group: there are only 2 groups; three parts need at least 3.",
        ),
        (
            GroupKfoldSplit(GroupKfoldSplitSettings(n_folds=2)),
            {"customer": np.array(["a", "b", "a"], object)},
            "split group_kfold: 2 groups cannot make 2 folds with something left for validation.",
        ),
        (
            KfoldSplit(KfoldSplitSettings(n_folds=5)),
            {"y": np.zeros(4)},
            "split kfold: 4 rows cannot make 5 folds.",
        ),
        (
            StratifiedSplit(StratifiedSplitSettings()),
            {"y": np.arange(8.0)},
            "split stratified: the target has 8 different values in 8 rows, so it has no classes to keep in proportion. Use "
            "split=random.",
        ),
        (
            KfoldSplit(KfoldSplitSettings(n_folds=2)),
            {"y": np.arange(8.0)},
            "split kfold: the target has 8 different values in 8 rows, so it has no classes to keep in proportion. Use "
            "split.stratified=false.",
        ),
        (
            GivenSplit(GivenSplitSettings("part")),
            {"part": np.array(["train", "test", "tset"], object)},
            "split given: column 'part', row 2 holds 'tset', which is none of 'train', 'validation', 'test'. Name the values "
            "with split.train, split.validation and split.test.",
        ),
        (
            RandomSplit(RandomSplitSettings()),
            {"y": np.zeros(2)},
            "The split leaves the validation part without rows (train 2, validation 0, test 0, of 2). Give more rows or other "
            "fractions.",
        ),
    ],
)
def test_what_cannot_be_divided_is_said_in_a_sentence(split, data, message):
    with pytest.raises(DataError) as caught:
        parts_of(split, data)
    assert str(caught.value) == message


def test_rows_are_drawn_alike_on_every_machine():
    """Equal strata stay in the order of the permutation, which no quicker sort promises."""
    strata = np.random.default_rng(0).integers(0, 3, 4000)
    order = sorted(np.random.default_rng(7).permutation(4000).tolist(), key=lambda row: strata[row])
    expected = {row for at, row in enumerate(order) if math.floor((at + 1) * 0.2 + 1e-9) > math.floor(at * 0.2 + 1e-9)}
    assert set(np.flatnonzero(draw(strata, 0.2, np.random.default_rng(7)))) == expected


def test_more_than_two_classes_need_four_rows_each():
    assert classes_of(np.arange(12) % 3, "random").tolist() == [0, 1, 2] * 4
    with pytest.raises(DataError, match="the target has 3 different values in 11 rows"):
        classes_of(np.arange(11) % 3, "random")


def test_parts_that_the_data_name_have_no_folds():
    with pytest.raises(ConfigError) as caught:
        fold_of("given", GivenSplitSettings("part"), 0, 5)
    assert str(caught.value) == (
        "cv: split=given names the parts itself, so there are no folds to make. Choose split=kfold, group or time."
    )


def test_a_fold_keeps_the_way_of_its_split():
    assert fold_of("kfold", KfoldSplitSettings(seed=4, validation_fraction=0.2), 1, 3) == {
        "name": "kfold", "n_folds": 3, "fold": 1, "seed": 4, "stratified": True, "validation_fraction": 0.2,
    }  # fmt: skip
    folded = {"n_folds": 3, "fold": 1, "validation_fraction": 0.2}
    for again in (GroupKfoldSplitSettings(column="c", seed=4), TimeFoldSplitSettings(gap_days=2)):
        name = "time_fold" if isinstance(again, TimeFoldSplitSettings) else "group_kfold"
        expected = {**vars(again), **folded, "name": name}
        assert fold_of(name, replace(again, n_folds=4, validation_fraction=0.2), 1, 3) == expected
    assert fold_of("time", TimeSplitSettings(gap_days=2), 1, 3) == {
        "name": "time_fold", "n_folds": 3, "fold": 1, "gap_days": 2, "validation_fraction": 0.15 / 0.85,
    }  # fmt: skip
    assert fold_of("group", GroupSplitSettings(column="c", seed=5), 0, 2) == {
        "name": "group_kfold", "n_folds": 2, "fold": 0, "column": "c", "seed": 5, "validation_fraction": 0.15 / 0.85,
    }  # fmt: skip
    for name, given_settings in (("random", RandomSplitSettings(seed=6)), ("stratified", StratifiedSplitSettings(seed=6))):
        assert fold_of(name, given_settings, 0, 2) == {
            "name": "kfold", "n_folds": 2, "fold": 0, "seed": 6, "stratified": name == "stratified",
            "validation_fraction": 0.15 / 0.85,
        }  # fmt: skip


def test_the_package_gives_its_names_on_first_use():
    assert shopkit.split.Split is LeaveLastOutSplit(LeaveLastOutSplitSettings("customer")).__class__.__mro__[1]
    with pytest.raises(AttributeError, match=r"^module 'shopkit\.split' has no attribute 'fractions'$"):
        _ = shopkit.split.fractions
