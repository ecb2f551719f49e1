"""The settings of the splits. All give three parts: train, validation (for early stopping, calibration, threshold) and test."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Literal

from shopkit.errors import ConfigError


@dataclass
class Fractions:
    """How large the parts are."""

    validation_fraction: float = 0.15
    """Share of the rows that goes to the validation part."""
    test_fraction: float = 0.15
    """Share of the rows that goes to the test part; train takes the rest."""

    def __post_init__(self) -> None:
        for name in ("validation_fraction", "test_fraction"):
            check_fraction(name, getattr(self, name))
        if self.validation_fraction + self.test_fraction >= 1:
            raise ConfigError(
                f"split.validation_fraction + split.test_fraction is {self.validation_fraction + self.test_fraction:g}; "
                "nothing is left for train. Their sum must be below 1."
            )


@dataclass
class TimeSplitSettings(Fractions):
    """Train on the past, validate on what follows, test on the latest."""

    validation_from: str = ""
    """Date the validation part begins, `2017-10-01`; empty goes by `validation_fraction`. Give both dates or none."""
    test_from: str = ""
    """Date the test part begins; empty goes by `test_fraction`."""
    gap_days: float = 0.0
    """How many days a target looks ahead: examples whose target reaches into the next part are in no part (`gap`)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gap_days < 0:
            raise ConfigError(f"split.gap_days is {self.gap_days:g}; it must be at least 0.")
        if bool(self.validation_from) != bool(self.test_from):
            raise ConfigError("split.validation_from and split.test_from: give both dates, or none.")
        days = []
        for name in ("validation_from", "test_from"):
            try:
                days += [dt.datetime.fromisoformat(str(getattr(self, name)))] if getattr(self, name) else []
            except ValueError:
                raise ConfigError(f"split.{name}: {getattr(self, name)!r} is not a date; write it as 2017-10-01.") from None
        if days and (days[0].tzinfo is None) != (days[1].tzinfo is None):
            raise ConfigError(
                f"split.validation_from is {self.validation_from!r} and split.test_from is {self.test_from!r}: give both with an "
                "offset such as +01:00, or neither, to have them read in the time zone of the column."
            )
        if days and days[0] >= days[1]:
            raise ConfigError(
                f"split.validation_from is {self.validation_from}, which is not before split.test_from, {self.test_from}."
            )


@dataclass
class RandomSplitSettings(Fractions):
    """Rows at random."""

    seed: int = 0
    """Of the random choice. Runs with different `seed` of the experiment keep the same parts."""


@dataclass
class StratifiedSplitSettings(Fractions):
    """Rows at random, with the same mix of classes in each part."""

    seed: int = 0
    """Of the random choice. Runs with different `seed` of the experiment keep the same parts."""


@dataclass
class GroupSplitSettings(Fractions):
    """Whole groups at random: no customer is in two parts."""

    column: str = ""
    """The column that names the group; empty takes the column of role `group`."""
    seed: int = 0
    """Of the random choice. Runs with different `seed` of the experiment keep the same parts."""


@dataclass
class LeaveLastOutSplitSettings:
    """Of each customer (the group, or the first key) the last decision is tested and the one before validates."""

    column: str = ""
    """The column of numbers that orders a customer's decisions, e.g. `place`; it is no feature. Empty goes by time."""


@dataclass
class KfoldSplitSettings:
    """One fold of a cross-validation: the fold is the test part."""

    n_folds: int = 5
    """How many folds there are."""
    fold: int = 0
    """Which of them is the test part, from 0."""
    stratified: bool = True
    """Whether each fold has the same mix of classes."""
    seed: int = 0
    """Of the random choice; the folds are those of scikit-learn's `StratifiedKFold` or `KFold`, shuffled with this seed."""
    validation_fraction: float = 0.15
    """Share of the rows outside the fold that goes to the validation part."""

    def __post_init__(self) -> None:
        check_folds(self.n_folds, self.fold, self.validation_fraction)


@dataclass
class GroupKfoldSplitSettings:
    """One fold of a cross-validation over whole groups: no customer is in two parts."""

    n_folds: int = 5
    """How many folds there are."""
    fold: int = 0
    """Which of them is the test part, from 0."""
    column: str = ""
    """The column that names the group; empty takes the column of role `group`."""
    seed: int = 0
    """Of the random choice. Runs with different `seed` of the experiment keep the same folds."""
    validation_fraction: float = 0.15
    """Share of the rows outside the fold that goes to the validation part, in whole groups."""

    def __post_init__(self) -> None:
        check_folds(self.n_folds, self.fold, self.validation_fraction)


@dataclass
class TimeFoldSplitSettings:
    """One fold of a cross-validation forward in time: an expanding window, tested on the block after it."""

    n_folds: int = 5
    """How many folds there are; the rows make one block more than that, of about equal size."""
    fold: int = 0
    """Which block is the test part, from 0, the first block excepted. Later blocks are in no part."""
    gap_days: float = 0.0
    """How many days a target looks ahead: examples whose target reaches into the next part are in no part (`gap`)."""
    validation_fraction: float = 0.15
    """Share of the rows before the test part, the latest of them, that goes to the validation part."""

    def __post_init__(self) -> None:
        check_folds(self.n_folds, self.fold, self.validation_fraction)
        if self.gap_days < 0:
            raise ConfigError(f"split.gap_days is {self.gap_days:g}; it must be at least 0.")


@dataclass
class GivenSplitSettings:
    """The data say which part a row belongs to."""

    column: str = "split"
    """The column that names the part; it is no feature."""
    match: Literal["value", "pattern"] = "value"
    """How the three settings below are read: as the column's `value`, or as a regular expression, a `pattern` that is looked for
    anywhere in it; of several that are found, test goes before validation, and that before train."""
    train: str = "train"
    """Of the training rows."""
    validation: str = "validation"
    """Of the validation rows. If no row has it, `validation_fraction` of the training rows are taken at random."""
    test: str = "test"
    """Of the test rows."""
    validation_fraction: float = 0.15
    """Share of the training rows that goes to the validation part, if none are given."""
    seed: int = 0
    """Of that random choice."""

    def __post_init__(self) -> None:
        check_fraction("validation_fraction", self.validation_fraction)
        if self.match == "pattern":
            for name in ("train", "validation", "test"):
                try:
                    re.compile(getattr(self, name))
                except re.error as error:
                    raise ConfigError(f"split.{name}: {getattr(self, name)!r} is not a regular expression ({error}).") from None


def check_fraction(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ConfigError(f"split.{name} is {value:g}; it must be between 0 and 1.")


def check_folds(n_folds: int, fold: int, validation_fraction: float) -> None:
    check_fraction("validation_fraction", validation_fraction)
    if n_folds < 2:
        raise ConfigError(f"split.n_folds is {n_folds}; it must be at least 2.")
    if not 0 <= fold < n_folds:
        raise ConfigError(f"split.fold is {fold}; with split.n_folds={n_folds} it must be from 0 to {n_folds - 1}.")
