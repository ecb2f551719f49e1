"""Models that read bags: the linear one against scikit-learn's on the sparse matrix, and what all of them promise."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression

from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.features.tensors import Ragged
from shopkit.models import linear
from shopkit.models.base import Arrays
from shopkit.models.linear import Linear
from shopkit.models.lstm import LSTM
from shopkit.models.mlp import MLP
from shopkit.models.settings import LinearSettings, LSTMSettings, MLPSettings
from shopkit.models.sparse import SparseRows
from shopkit.models.to_onnx import to_onnx
from shopkit.tasks.binary import Binary
from shopkit.tasks.multiclass import Multiclass
from shopkit.tasks.settings import BinarySettings, MulticlassSettings
from shopkit.testing.data import tokens
from shopkit.training.fit import fit
from shopkit.training.scores import model_scores
from shopkit.training.settings import TrainerSettings

N, V, MOST = 300, 40, 9
RANDOM = np.random.default_rng(0)
NAMES = tuple(f"term {at}" for at in range(V))
BAG = FeatureSpec((FeatureBlock("review", "tfidf", "bag", 0, V, NAMES),))
ALL = FeatureSpec(
    (
        FeatureBlock("price", "standardize", "dense", 0, 1, ("price",)),
        FeatureBlock("color", "vocabulary", "ids", 0, 1, ("color",), 4),
        *BAG.blocks,
    )
)


def bags(n: int) -> dict[str, np.ndarray]:
    lengths = RANDOM.integers(0, MOST + 1, n)
    inside = np.arange(MOST) < lengths[:, None]
    ids = np.argsort(RANDOM.random((n, V)), axis=1)[:, :MOST]
    return {
        "bag_ids": np.where(inside, ids, 0),
        "bag_weights": np.where(inside, RANDOM.random((n, MOST)) + 0.1, 0).astype(np.float32),
    }


def ragged(padded: dict[str, np.ndarray]) -> dict[str, Ragged]:
    """As `transform` leaves them: end to end, ids as int32, memory not to be written to."""
    there = padded["bag_weights"] != 0
    offsets = np.concatenate([[0], np.cumsum(there.sum(1))])
    found = {"bag_ids": padded["bag_ids"][there].astype(np.int32), "bag_weights": padded["bag_weights"][there]}
    for values in found.values():
        values.flags.writeable = False
    return {name: Ragged(values, offsets, padded[name].dtype.type) for name, values in found.items()}


def matrix(padded: dict[str, np.ndarray]) -> csr_matrix:
    there = padded["bag_weights"] != 0
    places = (np.nonzero(there)[0], padded["bag_ids"][there])
    return csr_matrix((padded["bag_weights"][there].astype(np.float64), places), (len(there), V))


TRAIN = bags(N)
COLUMNS = {
    "dense": RANDOM.standard_normal((N, 1)).astype(np.float32),
    "ids": RANDOM.integers(0, 4, (N, 1)),
    **TRAIN,
}
SIGNAL = matrix(TRAIN) @ RANDOM.standard_normal(V) + COLUMNS["dense"][:, 0] + 0.5 * RANDOM.standard_normal(N)


def binary() -> tuple[Binary, np.ndarray]:
    task, target = Binary(BinarySettings()), (SIGNAL > 0).astype(np.float64)
    task.fit_target(target)
    return task, task.encode(target)


def multiclass() -> tuple[Multiclass, np.ndarray]:
    task, target = Multiclass(MulticlassSettings()), np.digitize(SIGNAL, [-0.5, 0.5]).astype(np.float64)
    task.fit_target(target)
    return task, task.encode(target)


def fitted(task, features, columns, target, **settings) -> Linear:
    model = Linear(LinearSettings(**settings), features, task)
    facts = model.fit(Arrays(columns, target), Arrays({name: v[:50] for name, v in columns.items()}, target[:50]), seed=0)
    assert facts["largest_gradient"] < 1e-4
    return model


@pytest.mark.parametrize("l2", [0.1, 3.0])
def test_terms_are_columns_of_a_sparse_matrix(l2):
    task, target = binary()
    model = fitted(task, ALL, COLUMNS, target, l2=l2)
    columns = hstack([COLUMNS["dense"], np.eye(4)[COLUMNS["ids"][:, 0]], matrix(TRAIN)]).tocsr()
    reference = LogisticRegression(C=1 / l2, tol=1e-10, max_iter=10_000).fit(columns, target)
    np.testing.assert_allclose(model.scores(COLUMNS)[:, 0], reference.decision_function(columns), atol=5e-3)


def test_what_is_held_counts_scores_and_terms():
    (task, target), n_terms = multiclass(), int((TRAIN["bag_weights"] != 0).sum())
    nobody = Arrays({}, target[:0])
    for features in (TRAIN, ragged(TRAIN)):
        held = Linear(LinearSettings(), BAG, task).holds(Arrays(features, target), nobody)
        assert held == linear.BYTES_OF_SCORE * 3 * N + linear.BYTES_OF_TERM * n_terms


def test_of_several_classes_too():
    task, target = multiclass()
    model = fitted(task, BAG, TRAIN, target, l2=1.0)
    reference = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(matrix(TRAIN), target)
    scores, expected = model.scores(TRAIN), reference.decision_function(matrix(TRAIN))
    np.testing.assert_allclose(scores - scores.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=5e-3)


@pytest.mark.parametrize("repeated", [1, 3])
def test_the_prior_of_naive_bayes_is_a_factor_of_the_columns(repeated):
    task, target = binary()
    rows = matrix(TRAIN)
    stands, in_favour = rows.toarray() > 0, target > 0
    favour, against = (1 + stands[of].sum(0) for of in (in_favour, ~in_favour))
    ratio = np.log(favour / favour.sum()) - np.log(against / against.sum())
    # Rows that count threefold are pulled threefold, and no more of them are there.
    weight = np.full(N, repeated, np.float32)
    model = Linear(LinearSettings(l2=0.3, prior="naive_bayes"), BAG, task)
    model.fit(Arrays(ragged(TRAIN), target, weight), Arrays(bags(0), target[:0]), seed=0)
    reference = LogisticRegression(C=1 / 0.3, tol=1e-10, max_iter=10_000).fit(rows @ np.diag(ratio), target)
    np.testing.assert_allclose(model.scores(TRAIN)[:, 0], reference.decision_function(rows @ np.diag(ratio)), atol=5e-3)


def test_the_prior_of_naive_bayes_is_each_classs_own():
    task, target = multiclass()
    model = fitted(task, BAG, TRAIN, target, l2=1.0, prior="naive_bayes")
    assert model.prior.shape == (V, 3)
    assert not torch.allclose(model.prior[:, 0], model.prior[:, 2])
    assert np.abs(model.terms).max(0).min() > 0


@pytest.mark.parametrize("kind", [binary, multiclass])
def test_the_graph_and_ragged_rows_answer_as_padded_rows(kind):
    task, target = kind()
    model = fitted(task, BAG, TRAIN, target, l2=1.0)
    again = fitted(task, BAG, ragged(TRAIN), target, l2=1.0)
    np.testing.assert_allclose(again.scores(ragged(TRAIN)), model.scores(TRAIN), atol=1e-5)
    session = ort.InferenceSession(model.to_onnx().SerializeToString())
    for rows in (slice(0, 1), slice(0, 60)):
        few = {name: values[rows] for name, values in TRAIN.items()}
        np.testing.assert_allclose(session.run(["scores"], few)[0], model.scores(few), atol=1e-5)
    kept = Linear(LinearSettings(), BAG, task)
    kept.load_state(model.state())
    np.testing.assert_array_equal(kept.scores(TRAIN), model.scores(TRAIN))


def test_weaker_penalties_are_tried_for_bags_until_they_validate_worse():
    task, target = binary()
    tried = []

    class Watched(Linear):
        def _minimise(self, train, bags, moments, penalty, start):
            tried.append(round(penalty * len(train), 6))
            return super()._minimise(train, bags, moments, penalty, start)

    noise = bags(N)
    model = Watched(LinearSettings(), BAG, task)
    facts = model.fit(Arrays(noise, target), Arrays(bags(N), target), seed=0)
    assert tried == linear.BAG_STRENGTHS[: len(tried)]
    assert facts["l2"] in tried
    assert all(l2 >= facts["l2"] / linear.PATIENCE for l2 in tried[:-1])
    without = Linear(LinearSettings(), BAG, task)
    assert without.fit(Arrays(noise, target), Arrays(bags(0), target[:0]), seed=0)["l2"] == 1.0


def test_sparse_rows_multiply_as_a_matrix_does():
    table = RANDOM.standard_normal((V, 3)).astype(np.float32)
    for features in (TRAIN, ragged(TRAIN)):
        rows = SparseRows(features, V)
        np.testing.assert_allclose((rows @ torch.from_numpy(table)).numpy(), matrix(TRAIN) @ table, atol=1e-5)
        slope = RANDOM.standard_normal((N, 2)).astype(np.float32)
        np.testing.assert_allclose((rows.transposed @ torch.from_numpy(slope)).numpy(), matrix(TRAIN).T @ slope, atol=1e-5)
        np.testing.assert_allclose(rows.mean_square(), np.asarray(matrix(TRAIN).power(2).mean(0)).ravel(), atol=1e-6)


def test_the_mlp_sums_the_rows_of_its_terms():
    torch.manual_seed(0)
    model = MLP(MLPSettings(hidden=[8, 4], members=3, normalization="batch"), ALL, 2).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    batch = Arrays(COLUMNS, SIGNAL).tensors()
    for _ in range(5):
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()
    model.eval()
    one_hot = torch.from_numpy(matrix(TRAIN).toarray()).float()
    plain = {name: batch[name] for name in ("dense", "ids")}
    with torch.no_grad():
        expected = model.scores(model.input(plain) + one_hot @ model.input.terms)
        scores = model(batch)
    assert model.input.terms.abs().max() > 0
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    session = ort.InferenceSession(to_onnx(model, ALL).SerializeToString())
    for rows in (slice(0, 1), slice(0, N)):
        few = {name: values[rows] for name, values in COLUMNS.items()}
        np.testing.assert_allclose(session.run(["scores"], few)[0], scores[rows], atol=1e-5)


@pytest.mark.parametrize("kind", [binary, multiclass])
def test_terms_fitted_beforehand_are_the_linear_models_and_the_network_learns_alone(kind, tmp_path):
    task, target = kind()
    spec = FeatureSpec((FeatureBlock("review", "characters", "tokens", 0, 1, (), cardinality=9, shape=(12,)), *BAG.blocks))
    rows = {**TRAIN, **tokens(9, RANDOM.integers(0, 12, N), RANDOM)}
    train, validation = Arrays(rows, target), Arrays({name: values[:50] for name, values in rows.items()}, target[:50])
    settings = LSTMSettings(
        hidden_dim=3,
        token_dim=3,
        terms="fitted",
        linear=LinearSettings(prior="naive_bayes"),
        head=MLPSettings(hidden=[4], members=2),
    )
    model = LSTM(settings, spec, task.n_outputs)
    trainer = TrainerSettings(max_epochs=2, batch_size=64, threads=1)
    facts = fit(model, task, train, validation, trainer, folder=tmp_path, seed=0).facts

    linear = Linear(LinearSettings(prior="naive_bayes"), BAG, task)
    linear.fit(Arrays(TRAIN, target), Arrays({name: values[:50] for name, values in TRAIN.items()}, target[:50]), seed=0)
    np.testing.assert_array_equal(model.bag.table.numpy(), linear.terms)
    assert all(not parameter.requires_grad for parameter in model.bag.parameters())
    batch = train.tensors()
    with torch.no_grad():
        both, (of_network, of_terms), model.bag = model(batch), model.bag.shares, None
        alone = model(batch)
    np.testing.assert_allclose(both, of_network * alone + of_terms * torch.from_numpy(linear.scores(TRAIN)), atol=1e-5)
    held_out = torch.from_numpy(target[:50])

    def loss(of_network: float, of_terms: float) -> float:
        return float(task.loss(of_network * alone[:50] + of_terms * torch.from_numpy(linear.scores(TRAIN)[:50]), held_out, None))

    assert facts["shares"] == {"network": float(of_network), "terms": float(of_terms)}
    best = loss(float(of_network), float(of_terms))
    assert best <= min(loss(1, 0), loss(0, 1), loss(0.5, 0.5)) + 1e-4

    again = LSTM(settings, spec, task.n_outputs)
    fit(again, task, train, validation, trainer, folder=tmp_path, seed=0, resume=True)
    np.testing.assert_allclose(model_scores(again, rows), both, atol=1e-6)
    session = ort.InferenceSession(to_onnx(again, spec).SerializeToString())
    np.testing.assert_allclose(session.run(["scores"], rows)[0], both, atol=1e-5)
