"""Gradient-boosted trees by scikit-learn's histogram boosting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from shopkit.errors import ConfigError
from shopkit.features.base import FeatureSpec
from shopkit.features.tensors import FeatureArrays, take
from shopkit.models.base import Arrays, Estimator
from shopkit.tasks.base import Task
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from shopkit_gbdt import objectives
from shopkit_gbdt.columns import side_by_side, width
from shopkit_gbdt.forest import Chain, Forest, Split, Tree, plant
from shopkit_gbdt.monitor import Monitor
from shopkit_gbdt.settings import HistGbdtSettings
from shopkit_gbdt.to_onnx import to_onnx

LOSSES = {
    "binary": "log_loss",
    "multiclass": "log_loss",
    "regression": "squared_error",
    "regression_l1": "absolute_error",
    "poisson": "poisson",
}
"""LightGBM's objective → scikit-learn's loss."""

UNKNOWN_ID = 1
BLOCK_ROWS = 1 << 16
"""Rows that are put into the matrix at once."""
OF_CATEGORIES, OF_NUMBERS, OF_ROW = 24, 9, 50
"""Bytes of each number of the matrix with its copies, where there are categories; with its bin, where there are none; and of each
row beside it."""


class HistGbdt(Estimator):
    """scores = base + Σ trees, with scikit-learn's `HistGradientBoosting…`, which is kept as a forest.

    Ids are split as sets of categories; a missing value (id 0) is a category of its own, an unknown one (id 1) goes where most
    of the training rows go. The same data, settings, seed and number of threads give the same trees. scikit-learn wants all rows
    as one matrix of float64.
    """

    settings: HistGbdtSettings
    forest: Forest

    def __init__(self, settings: HistGbdtSettings, features: FeatureSpec, task: Task) -> None:
        super().__init__(settings, features, task)
        objective = objectives.known(task)
        if objective is None or objective.name not in LOSSES:
            raise ConfigError(
                f"model=hist_gbdt cannot minimise the loss of task={type(task).__name__.lower()} with these settings: "
                f"scikit-learn has {', '.join(sorted(set(LOSSES.values())))}. Use model=gbdt."
            )
        self.objective = objective

    def fit(self, train: Arrays, validation: Arrays, seed: int) -> dict[str, Any]:
        """Facts: `iterations` grown, `best_iteration` (trees kept, for each output), `validation_<monitor>`, `n_parameters`."""
        settings, n_ids = self.settings, self.features.n_ids
        model = (HistGradientBoostingRegressor if self._is_regression else HistGradientBoostingClassifier)(
            loss=LOSSES[self.objective.name],
            max_iter=settings.n_trees,
            learning_rate=settings.learning_rate,
            max_leaf_nodes=settings.n_leaves,
            max_depth=settings.max_depth or None,
            min_samples_leaf=settings.min_leaf_rows,
            l2_regularization=settings.l2,
            max_features=settings.column_share,
            max_bins=settings.max_bins,
            categorical_features=list(range(n_ids)) or None,
            early_stopping=False,
            random_state=seed,
        )
        x = self._columns(train)
        model.fit(x, self.objective.label(train.target), sample_weight=self.objective.weight(train))
        facts: dict[str, Any] = {"iterations": model.n_iter_}
        kept = model.n_iter_
        if len(validation) and settings.keep_best:
            monitor = Monitor(self.task, validation)
            values = [monitor(scores) for scores in self._staged(model, self._columns(validation))]
            kept = 1 + int(np.argmax(values) if monitor.is_higher_better else np.argmin(values))
            facts[f"validation_{monitor.name}"] = values[kept - 1]
        categories = [np.unique(x[:, column]).astype(np.int64) for column in range(n_ids)]
        # Converters of every kind read these two; scikit-learn has no public way to its trees.
        rounds, base = model._predictors[:kept], np.ravel(model._baseline_prediction)
        trees = (self._tree(tree, k, categories) for trees in rounds for k, tree in enumerate(trees, self._first_output))
        self.forest = plant(trees, np.pad(base, (self._first_output, 0)))
        return {**facts, "best_iteration": kept, "n_parameters": self.forest.size}

    def holds(self, train: Arrays, validation: Arrays) -> int:
        """The matrix; scikit-learn's copies of it, two while it numbers categories anew; or its bins, labels and slopes."""
        n_columns = self.features.n_dense + self.features.n_ids
        of_row = n_columns * OF_CATEGORIES if self.features.n_ids else n_columns * OF_NUMBERS + OF_ROW
        return (len(train) + len(validation)) * of_row

    @property
    def _is_regression(self) -> bool:
        return self.objective.name not in ("binary", "multiclass")

    @property
    def _first_output(self) -> int:
        """1 for two classes that want a score each, as scikit-learn has one score for both: softmax(0, s) is sigmoid(s)."""
        return int(self.objective.name == "multiclass" and self.task.n_outputs == 2)

    def _columns(self, arrays: Arrays) -> np.ndarray:
        """float64 (N, n_ids + n_dense), ids first, where scikit-learn would move them; rare ones are unknown."""
        n_ids = self.features.n_ids
        x = np.empty((len(arrays), width(arrays.features)))
        for start in range(0, len(x), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            some = take(arrays.features, rows)
            if "ids" in some:
                x[rows, :n_ids] = self._common(some["ids"])
            if "dense" in some:
                x[rows, n_ids:] = some["dense"]
        return x

    def _common(self, ids: np.ndarray) -> np.ndarray:
        return np.where(ids < self.settings.max_bins, ids, UNKNOWN_ID)

    def _staged(self, model: Any, x: np.ndarray) -> Iterator[np.ndarray]:
        """Scores (N, n_outputs) after each round."""
        for found in model.staged_predict(x) if self._is_regression else model.staged_decision_function(x):
            scores = (self.objective.link(found) if self._is_regression else found).reshape(len(x), -1)
            yield np.pad(scores, ((0, 0), (self._first_output, 0)))

    def _tree(self, tree: Any, target: int, categories: list[np.ndarray]) -> Tree:
        nodes = tree.nodes
        is_leaf = nodes["is_leaf"].astype(bool)
        # Splits and leaves are numbered apart, each in the order of the nodes: the root stays split 0.
        number = np.where(is_leaf, ~(np.cumsum(is_leaf) - 1), np.cumsum(~is_leaf) - 1)
        splits = [
            Split(
                *self._test(node, tree.raw_left_cat_bitsets, categories),
                left=int(number[node["left"]]),
                right=int(number[node["right"]]),
            )
            for node in nodes[~is_leaf]
        ]
        return Tree(splits, nodes["value"][is_leaf], target)

    def _test(self, node: np.void, bitsets: np.ndarray, categories: list[np.ndarray]) -> tuple[int, Chain, bool]:
        """Column of [dense, ids], tests, and whether NaN goes left."""
        column, missing_left = int(node["feature_idx"]), bool(node["missing_go_to_left"])
        n_dense, n_ids = self.features.n_dense, self.features.n_ids
        if not node["is_categorical"]:
            return column - n_ids, Chain.of_intervals([float(node["num_threshold"])]), missing_left
        seen = categories[column]
        words = bitsets[node["bitset_idx"]].astype("<u4")
        goes_left = np.full(self.features.cardinalities[column], missing_left)  # what no training row has is missing
        goes_left[seen] = np.unpackbits(words.view(np.uint8), bitorder="little")[: len(seen)].astype(bool)
        goes_left = goes_left[self._common(np.arange(len(goes_left)))]
        return n_dense + column, Chain.of_members(np.flatnonzero(goes_left)), False

    def scores(self, features: FeatureArrays) -> np.ndarray:
        return np.asarray(self.forest.scores(side_by_side(features)), np.float32)

    def to_onnx(self) -> onnx.ModelProto:
        return to_onnx(self.forest, self.features)

    def state(self) -> dict[str, np.ndarray]:
        return self.forest.to_arrays()

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self.forest = Forest.from_arrays(state)
