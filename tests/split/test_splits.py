"""The laws every split keeps, and those of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold, StratifiedKFold

from shopkit.errors import ConfigError, DataError
from shopkit.registry import load_registry
from shopkit.schema import MISSING_TIME, PARTS, Column, Schema
from shopkit.split import NAMES, Rows, Split, assign
from shopkit.split.folds import fold_of
from shopkit.split.given import GivenSplit
from shopkit.split.group import GroupSplit
from shopkit.split.group_kfold import GroupKfoldSplit
from shopkit.split.kfold import KfoldSplit
from shopkit.split.random import RandomSplit
from shopkit.split.settings import (
    GivenSplitSettings,
    GroupKfoldSplitSettings,
    GroupSplitSettings,
    KfoldSplitSettings,
    RandomSplitSettings,
    StratifiedSplitSettings,
    TimeFoldSplitSettings,
    TimeSplitSettings,
)
from shopkit.split.stratified import StratifiedSplit
from shopkit.split.time import TimeSplit
from shopkit.split.time_fold import TimeFoldSplit

DAY = 86_400
SCHEMA = Schema(
    (
        Column("at", "time", "time"),
        Column("y", "number", "target"),
        Column("customer", "string", "group"),
        Column("part", "string"),
    )
)


def columns(n_rows: int, seed: int = 0, n_days: int = 40, n_customers: int = 60) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "at": rng.integers(0, n_days, n_rows) * DAY,
        "y": (rng.random(n_rows) < 0.2).astype(np.float64),
        "customer": rng.integers(0, n_customers, n_rows).astype(str).astype(object),
        "part": rng.choice(["train", "validation", "test"], n_rows).astype(object),
    }


def parts_of(split: Split, data: dict[str, np.ndarray], schema: Schema = SCHEMA) -> np.ndarray:
    return NAMES[assign(split, Rows(schema, len(next(iter(data.values()))), data.__getitem__))]


SPLITS = [
    TimeSplit(TimeSplitSettings()),
    RandomSplit(RandomSplitSettings()),
    StratifiedSplit(StratifiedSplitSettings()),
    GroupSplit(GroupSplitSettings()),
    KfoldSplit(KfoldSplitSettings(fold=2)),
    KfoldSplit(KfoldSplitSettings(stratified=False)),
    GivenSplit(GivenSplitSettings("part")),
]
IDS = ["time", "random", "stratified", "group", "kfold", "kfold plain", "given"]


@pytest.mark.parametrize("split", SPLITS, ids=IDS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), n_rows=st.integers(60, 400))
def test_every_row_has_a_part_no_part_is_empty_and_equal_data_give_equal_parts(split, seed, n_rows):
    data = columns(n_rows, seed)
    parts = parts_of(split, data)
    assert set(parts) == set(PARTS)
    assert parts.shape == (n_rows,)
    assert (parts_of(split, data) == parts).all()


@pytest.mark.parametrize("split", SPLITS[1:3], ids=IDS[1:3])
@given(n_rows=st.integers(40, 400))
@settings(max_examples=15, deadline=None)
def test_fractions_are_exact_to_a_row(split, n_rows):
    parts = parts_of(split, columns(n_rows))
    for part in ("validation", "test"):
        assert abs((parts == part).sum() - 0.15 * n_rows) <= 1


# -- time ---------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), gap_days=st.sampled_from([0, 1, 7]))
def test_parts_follow_each_other_in_time_with_the_gap_between(seed, gap_days):
    data = columns(300, seed, n_days=100)
    parts = parts_of(TimeSplit(TimeSplitSettings(gap_days=gap_days)), data)
    train, validation, test = (data["at"][parts == part] for part in PARTS)
    assert train.max() < validation.min() <= validation.max() < test.min()
    assert train.max() + gap_days * DAY <= validation.min()
    assert validation.max() + gap_days * DAY <= test.min()
    assert set(parts) <= {*PARTS, "gap"}
    assert gap_days > 1 or "gap" not in parts


def test_parts_by_date_are_read_in_the_time_zone_of_the_column():
    schema = Schema((Column("at", "time", "time", unit="Europe/Berlin"), Column("y", "number", "target")))
    data = {"at": np.arange(0, 96) * 3600, "y": np.zeros(96)}
    parts = parts_of(TimeSplit(TimeSplitSettings(validation_from="1970-01-02", test_from="1970-01-03")), data, schema)
    assert data["at"][parts == "validation"].min() == 23 * 3600
    assert data["at"][parts == "test"].min() == 47 * 3600


def test_what_a_split_by_time_refuses():
    data = columns(100)
    with pytest.raises(DataError, match=r"1 of 100 rows have no time in column 'at'"):
        parts_of(TimeSplit(TimeSplitSettings()), {**data, "at": np.where(np.arange(100) == 3, MISSING_TIME, data["at"])})
    with pytest.raises(DataError, match="only 2 different times"):
        parts_of(TimeSplit(TimeSplitSettings()), columns(100, n_days=2))
    with pytest.raises(DataError, match=r"needs a column of role time.*Name it with view\.time"):
        parts_of(TimeSplit(TimeSplitSettings()), data, Schema((Column("y", "number", "target"),)))
    with pytest.raises(DataError, match=r"leaves the train part without rows \(train 0, validation 0, test 100, of 100\)"):
        parts_of(TimeSplit(TimeSplitSettings(validation_from="1960-01-01", test_from="1960-02-01")), data)


# -- classes ------------------------------------------------------------------------------------------------------


def test_each_part_has_the_same_mix_of_classes():
    data = columns(1000)
    parts = parts_of(StratifiedSplit(StratifiedSplitSettings()), data)
    for part in PARTS:
        assert data["y"][parts == part].mean() == pytest.approx(data["y"].mean(), abs=0.01)


@pytest.mark.parametrize("split", [StratifiedSplit(StratifiedSplitSettings()), KfoldSplit(KfoldSplitSettings())])
def test_a_continuous_target_has_no_classes(split):
    data = {**columns(100), "y": np.arange(100.0)}
    with pytest.raises(DataError, match=r"the target has 100 different values in 100 rows"):
        parts_of(split, data)


@pytest.mark.parametrize("text", [False, True], ids=["numbers", "text"])
@pytest.mark.parametrize(("n_rows", "n_classes", "n_folds", "seed"), [(1237, 2, 5, 0), (400, 7, 3, 11), (60, 3, 10, 2)])
def test_folds_are_those_of_scikit_learn(n_rows, n_classes, n_folds, seed, text):
    y = np.random.default_rng(seed).integers(0, n_classes, n_rows).astype(np.float64)
    y = np.array([f"class {value:g}" for value in y], object) if text else y
    for plain, theirs in ((False, StratifiedKFold), (True, KFold)):
        folds = theirs(n_folds, shuffle=True, random_state=seed).split(y, y.astype(str))
        for fold, (_, test) in enumerate(folds):
            ours = KfoldSplit(KfoldSplitSettings(n_folds=n_folds, fold=fold, seed=seed, stratified=not plain))
            parts = parts_of(ours, {**columns(n_rows), "y": y})
            np.testing.assert_array_equal(np.flatnonzero(parts == "test"), test)


def test_more_folds_than_rows():
    with pytest.raises(DataError, match="3 rows cannot make 5 folds"):
        parts_of(KfoldSplit(KfoldSplitSettings()), columns(3))


# -- groups and given parts ---------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000))
def test_no_group_is_in_two_parts_and_sizes_are_near(seed):
    data = columns(600, seed)
    parts = parts_of(GroupSplit(GroupSplitSettings(seed=seed)), data)
    for customer in np.unique(data["customer"]):
        assert len(set(parts[data["customer"] == customer])) == 1
    assert (parts == "test").mean() == pytest.approx(0.15, abs=0.05)


def test_what_a_split_by_group_refuses():
    with pytest.raises(ConfigError, match=r"no column 'custmer'\. Did you mean 'customer'\?"):
        parts_of(GroupSplit(GroupSplitSettings(column="custmer")), columns(100))
    with pytest.raises(DataError, match="only 2 groups"):
        parts_of(GroupSplit(GroupSplitSettings()), columns(100, n_customers=2))
    with pytest.raises(DataError, match="needs a column of role group"):
        parts_of(GroupSplit(GroupSplitSettings()), columns(100), Schema((Column("y", "number", "target"),)))


def test_given_parts_by_any_name_with_validation_drawn_if_there_is_none():
    data = columns(200)
    data["part"] = np.where(np.arange(200) < 150, "fit", "hold").astype(object)
    split = GivenSplit(GivenSplitSettings("part", train="fit", test="hold"))
    parts = parts_of(split, data)
    assert split.not_features == ("part",)
    assert (parts[150:] == "test").all()
    assert (parts == "validation").sum() == 22


def test_what_given_parts_refuse():
    data = columns(100)
    with pytest.raises(DataError, match=r"no column 'prt'\. Did you mean 'part'\?"):
        parts_of(GivenSplit(GivenSplitSettings("prt")), data)
    data["part"][7] = "dev"
    with pytest.raises(DataError, match=r"column 'part', row 7 holds 'dev', which is none of 'train', 'validation', 'test'"):
        parts_of(GivenSplit(GivenSplitSettings("part")), data)


def test_given_parts_by_pattern_the_test_part_first():
    data = columns(200)
    data["part"] = np.array(["B", "BZ", "QB", "L"] * 50, object)
    split = GivenSplit(GivenSplitSettings("part", match="pattern", train="", test="[ZQ]", validation_fraction=0.2))
    parts = parts_of(split, data)
    assert (parts == "test").tolist() == [False, True, True, False] * 50
    assert (parts == "validation").sum() == 20


def test_a_pattern_that_is_none():
    with pytest.raises(ConfigError, match=r"split\.test: '\[Z' is not a regular expression"):
        GivenSplitSettings(match="pattern", test="[Z")


# -- folds of a cross-validation ----------------------------------------------------------------------------------


def folds_of(name: str, given: object, n_folds: int, data: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The parts of every fold that `cv` makes of a split."""
    registry = load_registry("")
    found = []
    for fold in range(n_folds):
        choice = registry.choice("split", fold_of(name, given, fold, n_folds), "split")
        found.append(parts_of(registry.build(choice), data))
    return found


FOLDED = {
    "random": RandomSplitSettings(),
    "stratified": StratifiedSplitSettings(),
    "kfold": KfoldSplitSettings(n_folds=3),
    "group": GroupSplitSettings(),
    "group_kfold": GroupKfoldSplitSettings(),
}


@pytest.mark.parametrize("name", FOLDED)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), n_folds=st.integers(2, 6))
def test_every_row_is_tested_in_exactly_one_fold(name, seed, n_folds):
    folds = folds_of(name, FOLDED[name], n_folds, columns(300, seed))
    assert (sum((parts == "test").astype(int) for parts in folds) == 1).all()
    for parts in folds:
        assert set(parts) == set(PARTS)
        assert (parts == "test").mean() == pytest.approx(1 / n_folds, abs=0.06)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), n_folds=st.integers(2, 6))
def test_no_fold_shares_a_group_between_its_parts(seed, n_folds):
    data = columns(300, seed)
    for parts in folds_of("group", GroupSplitSettings(seed=seed), n_folds, data):
        shared = {customer: set(parts[data["customer"] == customer]) for customer in np.unique(data["customer"])}
        assert all(len(found) == 1 for found in shared.values())


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), n_folds=st.integers(2, 6), gap_days=st.sampled_from([0, 1, 7]))
def test_folds_go_forward_in_time(seed, n_folds, gap_days):
    data = columns(400, seed, n_days=600)
    folds = folds_of("time", TimeSplitSettings(gap_days=gap_days), n_folds, data)
    tested = np.zeros(400, int)
    for parts in folds:
        train, validation, test = (data["at"][parts == part] for part in PARTS)
        assert train.max() + gap_days * DAY <= validation.min() <= validation.max()
        assert validation.max() + gap_days * DAY <= test.min()
        for moment in np.unique(data["at"]):
            assert len(set(parts[data["at"] == moment])) == 1
        tested += parts == "test"
    starts = [data["at"][parts == "test"].min() for parts in folds]
    assert starts == sorted(set(starts))
    assert tested.max() == 1
    assert tested[data["at"] >= starts[0]].all()


def test_a_fraction_of_all_rows_becomes_one_of_the_rest():
    assert fold_of("random", RandomSplitSettings(0.2, 0.2), 1, 5) == {
        "name": "kfold", "n_folds": 5, "fold": 1, "validation_fraction": 0.25, "stratified": False, "seed": 0,
    }  # fmt: skip


def test_what_folds_refuse():
    with pytest.raises(ConfigError, match=r"cv: split=given names the parts itself"):
        fold_of("given", GivenSplitSettings(), 0, 5)
    with pytest.raises(DataError, match="5 groups cannot make 5 folds"):
        parts_of(GroupKfoldSplit(GroupKfoldSplitSettings()), columns(100, n_customers=5))
    with pytest.raises(DataError, match="only 4 different times; 5 folds need at least 7"):
        parts_of(TimeFoldSplit(TimeFoldSplitSettings()), columns(100, n_days=4))
    data = columns(100)
    with pytest.raises(DataError, match=r"split time_fold: 1 of 100 rows have no time in column 'at'"):
        parts_of(TimeFoldSplit(TimeFoldSplitSettings()), {**data, "at": np.where(np.arange(100) == 3, MISSING_TIME, data["at"])})
    with pytest.raises(ConfigError, match=r"split\.gap_days is -1"):
        TimeFoldSplitSettings(gap_days=-1)
    with pytest.raises(ConfigError, match=r"split\.n_folds is 1; it must be at least 2"):
        GroupKfoldSplitSettings(n_folds=1)
