"""The exported graph answers as the library does."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from conftest import KINDS, Made, columns, make
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shopkit.errors import ConfigError
from shopkit.models.base import Estimator

from shopkit_gbdt.columns import side_by_side
from shopkit_gbdt.gbdt import Gbdt
from shopkit_gbdt.hist_gbdt import HistGbdt
from shopkit_gbdt.settings import GbdtSettings, HistGbdtSettings

MODELS = {"gbdt": (Gbdt, GbdtSettings), "hist_gbdt": (HistGbdt, HistGbdtSettings)}
TOLERANCE = 1e-6


def fitted(model: str, made: Made, seed: int = 0, **chosen: object) -> Estimator:
    model_class, settings_class = MODELS[model]
    estimator = model_class(settings_class(**{"n_trees": 25, "learning_rate": 0.1, **chosen}), made.features, made.task)
    estimator.fit(made.train, made.validation, seed)
    return estimator


def answer(model: onnx.ModelProto, features: dict[str, np.ndarray]) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString())
    return session.run(None, {value.name: features[value.name] for value in session.get_inputs()})[0]


def assert_parity(estimator: Estimator, features: dict[str, np.ndarray]) -> None:
    expected = estimator.scores(features)
    assert expected.dtype == np.float32
    assert expected.shape == (len(next(iter(features.values()))), estimator.task.n_outputs)
    np.testing.assert_allclose(answer(estimator.to_onnx(), features), expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_graph_equals_library(model: str, kind: str, weighted: bool) -> None:
    made = make(kind, weighted=weighted)
    estimator = fitted(model, made)
    assert_parity(estimator, made.validation.features)
    one = {name: values[:1] for name, values in made.validation.features.items()}
    assert_parity(estimator, one)
    if len(estimator.features.dense):
        assert_parity(estimator, {**one, "dense": np.full_like(one["dense"], np.nan)})


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shape", [{"n_dense": 0}, {"cardinalities": ()}, {"n_dense": 1, "cardinalities": (20_000,), "n": 3000}])
def test_only_numbers_only_categories_many_categories(model: str, shape: dict[str, object]) -> None:
    made = make("binary", **shape)
    estimator = fitted(model, made, min_leaf_rows=5)
    assert_parity(estimator, made.validation.features)
    if estimator.features.n_ids:
        every = {"ids": np.stack([np.arange(2000) % n for n in estimator.features.cardinalities], axis=1).astype(np.int64)}
        every["ids"][:, 0] = np.linspace(0, estimator.features.cardinalities[0] - 1, 2000).astype(np.int64)
        if made.features.n_dense:
            every["dense"] = np.zeros((2000, made.features.n_dense), np.float32)
        assert_parity(estimator, every)


@pytest.mark.parametrize("model", MODELS)
def test_unknown_category_and_missing_value(model: str) -> None:
    made = make("binary")
    estimator = fitted(model, made)
    for value in (0, 1):
        assert_parity(estimator, {**made.validation.features, "ids": np.full_like(made.validation.features["ids"], value)})


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**16),
    kind=st.sampled_from(sorted(KINDS)),
    n_dense=st.integers(1, 4),
    cardinalities=st.lists(st.integers(3, 300), max_size=3).map(tuple),
    n_leaves=st.integers(2, 40),
    min_leaf_rows=st.integers(1, 40),
    zero_as_missing=st.booleans(),
)
def test_law_of_parity_for_lightgbm(
    seed: int, kind: str, n_dense: int, cardinalities: tuple[int, ...], n_leaves: int, min_leaf_rows: int, zero_as_missing: bool
) -> None:
    made = make(kind, n=300, n_dense=n_dense, cardinalities=cardinalities, seed=seed)
    estimator = fitted("gbdt", made, n_trees=8, n_leaves=n_leaves, min_leaf_rows=min_leaf_rows, zero_as_missing=zero_as_missing)
    assert_parity(estimator, columns(200, made.features, np.random.default_rng(seed), unknown=True))


@pytest.mark.parametrize("zero_as_missing", [False, True])
def test_values_at_the_very_thresholds(zero_as_missing: bool) -> None:
    """x ≤ t is decided in float64: the float32 neighbours of each threshold go where LightGBM sends them."""
    made = make("regression", cardinalities=(), n_dense=2)
    estimator = fitted("gbdt", made, n_trees=10, zero_as_missing=zero_as_missing)
    edges = np.unique(estimator.forest.value).astype(np.float32)
    around = np.concatenate([np.nextafter(edges, np.float32(-np.inf)), edges, np.nextafter(edges, np.float32(np.inf))])
    extreme = np.array([0, -0.0, 1e-35, -1e-35, 1e-38, 1e30, -1e30, np.inf, -np.inf, np.nan], np.float32)
    values = np.concatenate([around, extreme])
    dense = np.stack([values, np.roll(values, 7)], axis=1)
    assert_parity(estimator, {"dense": dense})


def test_zero_as_missing_goes_the_default_way() -> None:
    made = make("binary", cardinalities=())
    estimator = fitted("gbdt", made, zero_as_missing=True)
    rows = {name: values[:64].copy() for name, values in made.validation.features.items()}
    missing = {"dense": np.where(rows["dense"] == 0, np.float32(np.nan), rows["dense"])}
    np.testing.assert_array_equal(estimator.scores(rows), estimator.scores(missing))
    assert_parity(estimator, rows)
    assert_parity(estimator, missing)


@pytest.mark.parametrize("loss", ["mae", "huber", "poisson", "tweedie"])
def test_losses_of_regression(loss: str) -> None:
    made = make("regression", loss=loss)
    assert_parity(fitted("gbdt", made), made.validation.features)


@pytest.mark.parametrize("model", MODELS)
def test_two_classes_of_a_multiclass_task(model: str) -> None:
    made = make("multiclass", n_classes=2)
    estimator = fitted(model, made)
    assert_parity(estimator, made.validation.features)
    label = estimator.scores(made.validation.features).argmax(axis=1)
    assert (label == made.validation.target).mean() > 0.6


@pytest.mark.parametrize("kind", KINDS)
def test_equal_to_lightgbm_called_directly(kind: str) -> None:
    made = make(kind)
    x, label = side_by_side(made.train.features), made.train.target
    objective = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}[kind]
    parameters = {"objective": objective, "learning_rate": 0.1, "deterministic": True, "force_col_wise": True, "verbose": -1}
    if kind == "multiclass":
        parameters["num_class"] = 4
    if kind == "regression":
        label = (label.astype(float) - made.task.state["centre"]) / made.task.state["spread"]
    direct = lgb.train(parameters, lgb.Dataset(x, label, categorical_feature=[4, 5, 6]), 25)
    expected = direct.predict(side_by_side(made.validation.features), raw_score=True).reshape(len(made.validation), -1)
    estimator = fitted("gbdt", made, early_stopping_rounds=0)
    np.testing.assert_allclose(estimator.scores(made.validation.features), expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_to_scikit_learn_called_directly(kind: str) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    made = make(kind, cardinalities=(6, 40))
    label = made.train.target
    if kind == "regression":
        label = (label.astype(float) - made.task.state["centre"]) / made.task.state["spread"]
    direct = (HistGradientBoostingRegressor if kind == "regression" else HistGradientBoostingClassifier)(
        max_iter=25, early_stopping=False, random_state=0, categorical_features=[4, 5]
    ).fit(side_by_side(made.train.features).astype(float), label)
    x = side_by_side(made.validation.features).astype(float)
    expected = (direct.predict(x) if kind == "regression" else direct.decision_function(x)).reshape(len(x), -1)
    estimator = fitted("hist_gbdt", made, keep_best=False)
    np.testing.assert_allclose(estimator.scores(made.validation.features), expected, atol=1e-5)


def test_hist_gbdt_has_no_such_loss() -> None:
    made = make("regression", loss="tweedie")
    message = "model=hist_gbdt cannot minimise the loss of task=regression with these settings: scikit-learn has"
    with pytest.raises(ConfigError, match=message):
        HistGbdt(HistGbdtSettings(), made.features, made.task)
