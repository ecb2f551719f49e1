"""Settings of both models. Imports nothing heavy: read for help texts and config checks."""

from __future__ import annotations

from dataclasses import dataclass

from shopkit.errors import ConfigError


def _within(setting: str, value: float, low: float, high: float = float("inf"), *, open_low: bool = False) -> None:
    if not ((low < value if open_low else low <= value) and value <= high):
        upper = "" if high == float("inf") else f" to {high:g}"
        raise ConfigError(f"model.{setting} is {value:g}; it must be {'above' if open_low else 'from'} {low:g}{upper}.")


@dataclass
class GbdtSettings:
    """LightGBM, stopped early on the validation part by the task's metric. Its own names are in brackets."""

    n_trees: int = 400
    """Boosting rounds at most [num_iterations]; a multiclass task grows one tree for each class in a round."""
    learning_rate: float = 0.03
    """Shrinkage of each tree's step [learning_rate]."""
    n_leaves: int = 31
    """Leaves of a tree at most [num_leaves]."""
    max_depth: int = 0
    """Depth of a tree at most; 0 is no limit [max_depth]."""
    min_leaf_rows: int = 20
    """Training rows in a leaf at least [min_data_in_leaf]."""
    min_leaf_hessian: float = 1e-3
    """Sum of second derivatives in a leaf at least [min_sum_hessian_in_leaf]."""
    l1: float = 0.0
    """L1 penalty on leaf values [lambda_l1]."""
    l2: float = 0.0
    """L2 penalty on leaf values [lambda_l2]."""
    row_share: float = 1.0
    """Share of rows drawn for each tree [bagging_fraction, bagging_freq=1]; 1 is all of them."""
    column_share: float = 1.0
    """Share of columns drawn for each tree [feature_fraction]."""
    max_bins: int = 255
    """Bins of a number column at most [max_bin]."""
    category_smoothing: float = 10.0
    """Pulls rare categories together before they are sorted for a split [cat_smooth]."""
    category_l2: float = 10.0
    """Further L2 penalty in categorical splits [cat_l2]."""
    max_one_vs_rest: int = 4
    """Columns with at most this many categories are split one against the rest [max_cat_to_onehot]."""
    zero_as_missing: bool = False
    """Treat 0 in number columns as missing [zero_as_missing]."""
    early_stopping_rounds: int = 50
    """Stops when the task's validation metric has not improved for so many rounds, and keeps the best [early_stopping_round].
    0 grows all trees and keeps them."""
    n_threads: int = 0
    """Threads [num_threads]; 0 is every core, or `OMP_NUM_THREADS`. The trees are the same for any number."""

    def __post_init__(self) -> None:
        for name, least in (("n_trees", 1), ("n_leaves", 2), ("max_depth", 0), ("min_leaf_rows", 1), ("max_bins", 2)):
            _within(name, getattr(self, name), least)
        for name in ("min_leaf_hessian", "l1", "l2", "category_smoothing", "category_l2", "early_stopping_rounds", "n_threads"):
            _within(name, getattr(self, name), 0)
        _within("max_one_vs_rest", self.max_one_vs_rest, 1)
        for name in ("learning_rate", "row_share", "column_share"):
            _within(name, getattr(self, name), 0, 1, open_low=True)


@dataclass
class HistGbdtSettings:
    """scikit-learn's histogram boosting, cut to the number of trees that is best on the validation part by the task's metric.

    scikit-learn's own names are in brackets.
    """

    n_trees: int = 300
    """Boosting rounds [max_iter]."""
    learning_rate: float = 0.05
    """Shrinkage of each tree's step [learning_rate]."""
    n_leaves: int = 31
    """Leaves of a tree at most [max_leaf_nodes]."""
    max_depth: int = 0
    """Depth of a tree at most; 0 is no limit [max_depth]."""
    min_leaf_rows: int = 20
    """Training rows in a leaf at least [min_samples_leaf]."""
    l2: float = 0.0
    """L2 penalty on leaf values [l2_regularization]."""
    column_share: float = 1.0
    """Share of columns drawn for each split [max_features]."""
    max_bins: int = 255
    """Bins of a number column, and categories of a string column, at most [max_bins]. Rarer categories count as unknown."""
    keep_best: bool = True
    """Keep the trees up to the round with the best validation metric; otherwise keep all."""

    def __post_init__(self) -> None:
        for name, least in (("n_trees", 1), ("n_leaves", 2), ("max_depth", 0), ("min_leaf_rows", 1)):
            _within(name, getattr(self, name), least)
        _within("l2", self.l2, 0)
        _within("max_bins", self.max_bins, 3, 255)
        for name in ("learning_rate", "column_share"):
            _within(name, getattr(self, name), 0, 1, open_low=True)
