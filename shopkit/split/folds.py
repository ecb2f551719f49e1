"""From an experiment's split to the folds of its cross-validation."""

from __future__ import annotations

from typing import Any

from shopkit.errors import ConfigError
from shopkit.settings import plain


def fold_of(name: str, settings: Any, fold: int, n_folds: int) -> dict[str, Any]:
    """The split that makes one fold in the way of the given one: by rows, by groups, or forward in time; as plain data.

    Args:
        name: the experiment's split.
        settings: its settings.

    Raises:
        ConfigError: parts that the data name cannot be folded.
    """
    given = plain(settings)
    if name in ("kfold", "group_kfold", "time_fold"):
        return {**given, "n_folds": n_folds, "fold": fold, "name": name}
    if name not in ("time", "group", "random", "stratified"):
        raise ConfigError(
            f"cv: split={name} names the parts itself, so there are no folds to make. Choose split=kfold, group or time."
        )
    # The fraction was of all rows; a fold's is of those that are left beside its test part.
    validation_fraction = given["validation_fraction"] / (1 - given["test_fraction"])
    fold_settings = {"n_folds": n_folds, "fold": fold, "validation_fraction": validation_fraction}
    if name == "time":
        return {**fold_settings, "gap_days": given["gap_days"], "name": "time_fold"}
    if name == "group":
        return {**fold_settings, "column": given["column"], "seed": given["seed"], "name": "group_kfold"}
    return {**fold_settings, "stratified": name == "stratified", "seed": given["seed"], "name": "kfold"}
