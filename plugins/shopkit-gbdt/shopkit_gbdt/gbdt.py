"""Gradient-boosted trees by LightGBM."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np
import onnx
from shopkit.features.base import FeatureSpec
from shopkit.features.tensors import FeatureArrays
from shopkit.models.base import Arrays, Estimator
from shopkit.tasks.base import Task
from shopkit.tasks.ranking import Ranking

from shopkit_gbdt import lightgbm_text
from shopkit_gbdt.columns import side_by_side
from shopkit_gbdt.forest import Forest
from shopkit_gbdt.groups import grouped
from shopkit_gbdt.monitor import Monitor
from shopkit_gbdt.objectives import Objective, derivatives, known
from shopkit_gbdt.rows import Binned, Rows
from shopkit_gbdt.settings import GbdtSettings
from shopkit_gbdt.to_onnx import to_onnx

MOST_OF_A_BYTE = 256
"""Bins that a byte can tell apart."""
OF_ROW, OF_OUTPUT = 32, 16
"""Bytes that LightGBM takes for each row, beside its bins (label, place in the tree, slopes in the order of a leaf), and for each
score of it (itself, float64, and its two slopes)."""
OF_DERIVATIVES = 56
"""Bytes for each score of a row whose slopes are made here: where it starts, and the slopes in float64."""
SAMPLE_ROWS, OF_SAMPLE = 200_000, 24
"""Rows that LightGBM makes bins of at most [bin_construct_sample_cnt], and the bytes of each number while it does."""


class Gbdt(Estimator):
    """scores = bias + Σ trees, each tree a Newton step on the task's loss (Ke et al. 2017).

    A ranking task is learnt by LambdaMART (Burges 2010): pairs of a group's rows, weighted by what swapping them does to nDCG.

    Ids are split as sets of categories; a missing value (id 0) is a category of its own, an unknown one (id 1) goes right, as
    every category that a split did not see. The same data, settings and seed give the same trees.
    """

    settings: GbdtSettings

    def __init__(self, settings: GbdtSettings, features: FeatureSpec, task: Task) -> None:
        super().__init__(settings, features, task)
        self.booster: lgb.Booster
        self.bias = np.zeros(task.n_outputs)

    def fit(self, train: Arrays, validation: Arrays, seed: int) -> dict[str, Any]:
        """Facts: `iterations` grown, `best_iteration` (trees kept, for each output), `validation_<monitor>`, `n_parameters`."""
        objective = known(self.task)
        parameters = self._parameters(seed)
        order: np.ndarray | None = None
        by_group: dict[str, Any] = {}
        if isinstance(self.task, Ranking) and objective is not None:
            order, by_group, parameters["label_gain"] = grouped(train, self.task)
        if objective is None:
            self.bias = np.asarray(self.task.initial_bias(), np.float64)
            parameters |= {"objective": self._slopes(train), "num_class": self.task.n_outputs}
        else:
            parameters |= {"objective": objective.name, **objective.parameters}
        grown = self._dataset(train, objective, order, **by_group)
        callbacks: list[Any] = []
        sets: dict[str, Any] = {}
        record: dict[str, Any] = {}
        if len(validation):
            monitor = Monitor(self.task, validation)
            link = (lambda scores: scores) if objective is None else objective.link

            def evaluate(predictions: np.ndarray, _: lgb.Dataset) -> tuple[str, float, bool]:
                scores = link(predictions).reshape(len(validation), -1)
                return monitor.name, monitor(scores), monitor.is_higher_better

            held_out = self._dataset(validation, objective, reference=grown)
            sets = {"valid_sets": [held_out], "valid_names": ["validation"], "feval": evaluate}
            callbacks.append(lgb.record_evaluation(record))
            if self.settings.early_stopping_rounds:
                callbacks.append(lgb.early_stopping(self.settings.early_stopping_rounds, verbose=False))
        booster = lgb.train(parameters, grown, self.settings.n_trees, callbacks=callbacks, **sets)
        kept = booster.best_iteration if booster.best_iteration > 0 else booster.current_iteration()
        self.booster = lgb.Booster(model_str=booster.model_to_string(num_iteration=kept))
        facts: dict[str, Any] = {"iterations": kept, "best_iteration": kept, "n_parameters": self.forest.size}
        for name, values in record.get("validation", {}).items():
            facts |= {"iterations": len(values), f"validation_{name}": float(values[kept - 1])}
        return facts

    def holds(self, train: Arrays, validation: Arrays) -> int:
        """Bins of all rows, and their labels, scores and slopes; or LightGBM's sample of rows, while it makes bins."""
        n_columns, n_outputs = self.features.n_dense + self.features.n_ids, self.task.n_outputs
        of_row = n_columns * (1 if self.settings.max_bins <= MOST_OF_A_BYTE else 2) + OF_ROW + OF_OUTPUT * n_outputs
        if known(self.task) is None:
            of_row += OF_DERIVATIVES * n_outputs
        return max((len(train) + len(validation)) * of_row, min(len(train), SAMPLE_ROWS) * n_columns * OF_SAMPLE)

    def _parameters(self, seed: int) -> dict[str, Any]:
        settings = self.settings
        return {
            "learning_rate": settings.learning_rate,
            "num_leaves": settings.n_leaves,
            "max_depth": settings.max_depth or -1,
            "min_data_in_leaf": settings.min_leaf_rows,
            "min_sum_hessian_in_leaf": settings.min_leaf_hessian,
            "lambda_l1": settings.l1,
            "lambda_l2": settings.l2,
            "bagging_fraction": settings.row_share,
            "bagging_freq": 1 if settings.row_share < 1 else 0,
            "feature_fraction": settings.column_share,
            "max_bin": settings.max_bins,
            "cat_smooth": settings.category_smoothing,
            "cat_l2": settings.category_l2,
            "max_cat_to_onehot": settings.max_one_vs_rest,
            "zero_as_missing": settings.zero_as_missing,
            "num_threads": settings.n_threads,
            "seed": seed,
            "deterministic": True,
            # Each histogram is summed by one thread, so their number does not matter.
            "force_col_wise": True,
            "metric": "None",
            "verbose": -1,
        }

    def _dataset(
        self,
        arrays: Arrays,
        objective: Objective | None,
        order: np.ndarray | None = None,
        reference: lgb.Dataset | None = None,
        **by_group: Any,
    ) -> lgb.Dataset:
        given: dict[str, Any]
        if objective is None:
            # Weights are in the derivatives already.
            given = {"label": arrays.target, "init_score": np.tile(self.bias, (len(arrays), 1)).squeeze()}
        else:
            given = {"label": objective.label(arrays.target), "weight": objective.weight(arrays), **by_group}
        categorical = list(range(self.features.n_dense, self.features.n_dense + self.features.n_ids))
        return Binned(Rows(arrays.features, order), categorical_feature=categorical, reference=reference, **given)

    def _slopes(self, train: Arrays) -> Any:
        def slopes(predictions: np.ndarray, _: lgb.Dataset) -> tuple[np.ndarray, np.ndarray]:
            gradient, curvature = derivatives(self.task, predictions.reshape(len(train), -1), train)
            return (gradient, curvature) if predictions.ndim == 2 else (gradient[:, 0], curvature[:, 0])

        return slopes

    @property
    def forest(self) -> Forest:
        return lightgbm_text.read(self.booster.model_to_string(), self.bias)

    def scores(self, features: FeatureArrays) -> np.ndarray:
        """LightGBM's own raw predictions."""
        x = side_by_side(features)
        if not len(x):
            return np.zeros((0, self.task.n_outputs), np.float32)
        raw = np.asarray(self.booster.predict(x, raw_score=True, num_threads=self.settings.n_threads))
        return np.asarray(raw.reshape(len(x), -1) + self.bias, np.float32)

    def to_onnx(self) -> onnx.ModelProto:
        return to_onnx(self.forest, self.features)

    def state(self) -> dict[str, np.ndarray]:
        """LightGBM's model text as bytes, and the scores before any tree."""
        return {"model": np.frombuffer(self.booster.model_to_string().encode(), np.uint8), "bias": self.bias}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self.booster, self.bias = lgb.Booster(model_str=state["model"].tobytes().decode()), state["bias"]
