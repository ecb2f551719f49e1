"""Agreement with scikit-learn where it has the same transform."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, QuantileTransformer, SplineTransformer, StandardScaler

from tests.features.fitting import fit_column, floats, texts

RNG = np.random.default_rng(3)
SKEWED = floats(RNG.lognormal(1, 1, 1000))
TIED = floats([0.0] * 400 + [7.0] * 150 + [25.0] * 50 + list(RNG.gamma(2, 4, 400).round(1)))
ASKED = floats(np.concatenate([RNG.lognormal(1, 1, 500), [0.0, 7.0, -3.0, 1e6]]))


def test_standardize() -> None:
    expected = StandardScaler().fit(SKEWED[:, None].astype(np.float64)).transform(ASKED[:, None])
    np.testing.assert_allclose(fit_column(SKEWED, "standardize").of_column("x", ASKED), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("values", [SKEWED, TIED], ids=["skewed", "tied"])
@pytest.mark.parametrize(("output", "tolerance"), [("uniform", 0.003), ("normal", 0.04)])
def test_quantile(values: np.ndarray, output: str, tolerance: float) -> None:
    theirs = QuantileTransformer(n_quantiles=200, output_distribution=output, subsample=None).fit(values[:, None])
    asked = np.concatenate([ASKED, values])
    ours = fit_column(values, {"name": "quantile", "n_quantiles": 200, "output": output}).of_column("x", asked)
    np.testing.assert_allclose(ours, theirs.transform(asked[:, None]), atol=tolerance)


@pytest.mark.parametrize("strategy", ["quantile", "uniform"])
def test_bucketize(strategy: str) -> None:
    theirs = KBinsDiscretizer(10, strategy=strategy, encode="onehot-dense", quantile_method="linear", subsample=None)
    spec = {"name": "bucketize", "n_bins": 10, "strategy": strategy, "encode": "one_hot"}
    expected = theirs.fit(SKEWED[:, None].astype(np.float64)).transform(ASKED[:, None].astype(np.float64))
    np.testing.assert_array_equal(fit_column(SKEWED, spec).of_column("x", ASKED), expected)


def test_piecewise_linear_spans_the_linear_splines() -> None:
    """Bins' filling and B-splines of degree 1 over the same knots are bases of the same functions."""
    spec = {"name": "piecewise_linear", "n_bins": 8, "indicator": "never"}
    ours = fit_column(SKEWED, spec).of_column("x", SKEWED)
    theirs = SplineTransformer(9, degree=1, knots="quantile").fit_transform(SKEWED[:, None].astype(np.float64))
    both = [np.column_stack([np.ones(len(SKEWED)), basis]) for basis in (ours, theirs)]
    ranks = [np.linalg.matrix_rank(basis, tol=1e-3) for basis in (*both, np.column_stack(both))]
    assert ranks == [9, 9, 9]


@pytest.mark.parametrize("strategy", ["mean", "median"])
def test_impute(strategy: str) -> None:
    values = np.where(RNG.random(1000) < 0.1, np.float32("nan"), SKEWED)
    theirs = SimpleImputer(strategy=strategy, add_indicator=True).fit(values[:, None])
    ours = fit_column(values, {"name": "impute", "strategy": strategy})
    np.testing.assert_allclose(ours.of_column("x", values), theirs.transform(values[:, None]), rtol=1e-5)


def test_one_hot() -> None:
    values = texts(RNG.choice(["red", "green", "blue"], 200, p=[0.5, 0.3, 0.2]))
    asked = texts(["red", "blue", "never seen", "green"])
    ours = fit_column(values, "one_hot")
    names = [name.removeprefix("x=") for name in ours.blocks("x")[0].names]
    theirs = OneHotEncoder(categories=[names], handle_unknown="ignore", sparse_output=False).fit(values[:, None])
    np.testing.assert_array_equal(ours.of_column("x", asked), theirs.transform(asked[:, None]))
