"""Features are read a block at a time, and the trees are those of one matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from conftest import Made, make, spec
from shopkit.features.blocks import Blocks, written
from shopkit.models.base import Arrays
from test_parity import MODELS, fitted
from test_ranking import ranking

from shopkit_gbdt import gbdt, objectives, rows
from shopkit_gbdt.columns import side_by_side


def bundled(n: int) -> Made:
    """Columns of which a row fills one, and some that are nearly always 0, which LightGBM bundles or passes over."""
    made, rng = make("binary", n=n, n_dense=1, cardinalities=(3,)), np.random.default_rng(0)

    def part(arrays: Arrays) -> Arrays:
        dense = np.zeros((len(arrays), 40), np.float32)
        dense[np.arange(len(arrays)), rng.integers(0, 30, len(arrays))] = rng.random(len(arrays))
        dense[rng.random(dense.shape) < 0.001] = 1
        return replace(arrays, features={**arrays.features, "dense": dense})

    return Made(spec(40, [3]), made.task, part(made.train), part(made.validation))


def more_than_lightgbm_samples() -> Made:
    """More than 200,000 rows, of which it draws a sample to make bins of."""
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(210_000, 2)).astype(np.float32)
    return replace(
        make("binary", n_dense=2, cardinalities=()),
        train=Arrays({"dense": dense}, (dense[:, 0] + rng.normal(size=len(dense)) > 0).astype(np.float32)),
    )


PROBLEMS: dict[str, tuple[Callable[[], Made], dict[str, Any]]] = {
    "weights": (lambda: make("binary", weighted=True), {}),
    "classes, a loss of the task's": (lambda: make("multiclass", weighted=True, label_smoothing=0.1), {}),
    "groups": (lambda: ranking(weighted=True), {}),
    "bundles, small leaves": (lambda: bundled(6000), {"min_leaf_rows": 5, "column_share": 0.6}),
    "many rows": (more_than_lightgbm_samples, {"seed": 4, "n_trees": 2}),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_trees_are_those_of_a_matrix(problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_up, settings = PROBLEMS[problem]
    made = make_up()
    monkeypatch.setattr(rows, "BLOCK_BYTES", 1 << 14)
    by_blocks = fitted("gbdt", made, early_stopping_rounds=5, **settings)
    monkeypatch.setattr(gbdt, "Rows", lambda features, order: side_by_side(features)[slice(None) if order is None else order])
    monkeypatch.setattr(gbdt, "Binned", lgb.Dataset)
    at_once = fitted("gbdt", made, early_stopping_rounds=5, **settings)
    assert by_blocks.booster.model_to_string() == at_once.booster.model_to_string()


class Watched:
    """Rows of which it is known how many were asked for at once."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape = values, values.shape
        self.most = self.total = 0

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        found = self.values[rows]
        self.most, self.total = max(self.most, len(found)), self.total + len(found)
        return found

    def __array__(self, *given: Any, **named: Any) -> np.ndarray:
        raise AssertionError("All rows were asked for at once.")


@pytest.mark.parametrize("kind", ["table", "groups"])
def test_gbdt_reads_a_block_at_a_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make("binary", n=5000) if kind == "table" else ranking()
    made.train, made.validation = (
        replace(part, features={name: Watched(values) for name, values in part.features.items()})
        for part in (made.train, made.validation)
    )
    monkeypatch.setattr(rows, "BLOCK_BYTES", 100 * 4 * made.train.features["dense"].shape[1])
    fitted("gbdt", made, early_stopping_rounds=5)
    for part in (made.train, made.validation):
        for watched in part.features.values():
            assert watched.most <= 100
            # Once for the sample, once for the bins; a validation part has the bins of the training part.
            assert watched.total == len(part) * (2 if part is made.train else 1)


@pytest.mark.parametrize("model", MODELS)
def test_features_on_disk_give_the_same_trees(model: str, tmp_path: Path) -> None:
    made = make("binary")
    in_memory = fitted(model, made).to_onnx().SerializeToString()
    for part in ("train", "validation"):
        arrays = getattr(made, part)
        for name, values in arrays.features.items():
            with written(tmp_path / f"{part}_{name}.arrow", values.dtype, values.shape) as file:
                file.add(values)
        features = {name: Blocks(tmp_path / f"{part}_{name}.arrow") for name in arrays.features}
        setattr(made, part, replace(arrays, features=features))
    assert fitted(model, made).to_onnx().SerializeToString() == in_memory


@pytest.mark.parametrize("weighted", [False, True])
def test_a_loss_is_differentiated_a_block_at_a_time(weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make("multiclass", weighted=weighted, label_smoothing=0.1)
    if made.train.weight is not None:
        made.train.weight[200:400] = 0
    scores = np.random.default_rng(0).normal(size=(len(made.train), made.task.n_outputs))
    at_once = objectives.derivatives(made.task, scores, made.train)
    monkeypatch.setattr(objectives, "BLOCK_ROWS", 100)
    for whole, by_blocks in zip(at_once, objectives.derivatives(made.task, scores, made.train), strict=True):
        np.testing.assert_allclose(by_blocks, whole, atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_what_is_held_grows_with_the_rows_of_both_parts(model: str) -> None:
    made = make("binary", n=300)
    model_class, settings_class = MODELS[model]

    def held(train: int, validation: int, **chosen: Any) -> int:
        estimator = model_class(settings_class(**chosen), made.features, made.task)
        parts = (Arrays({}, np.broadcast_to(np.float32(0), n)) for n in (train, validation))
        return estimator.holds(*parts)

    n_columns, million = 7, 1_000_000
    of_row = {"gbdt": n_columns + 48, "hist_gbdt": 24 * n_columns}[model]
    assert held(4 * million, 0) == held(3 * million, million) == 4 * million * of_row
    if model == "gbdt":
        assert held(4 * million, 0, max_bins=1000) == held(4 * million, 0) + 4 * million * n_columns
        assert held(200_000, 0) == 200_000 * n_columns * 24  # the sample, of which bins are made
