"""The MLP: its shapes, its export, and the laws any row-wise ensemble keeps."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit.errors import ConfigError
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.mlp import MLP
from shopkit.models.settings import MLPSettings
from shopkit.models.to_onnx import to_onnx


def spec(widths: list[int], cardinalities: list[int]) -> FeatureSpec:
    starts = np.cumsum([0, *widths])
    dense = [
        FeatureBlock(f"d{i}", "x", "dense", int(start), width, tuple(f"d{i}.{j}" for j in range(width)))
        for i, (start, width) in enumerate(zip(starts, widths, strict=False))
    ]
    ids = [FeatureBlock(f"c{i}", "vocabulary", "ids", i, 1, (f"c{i}",), n) for i, n in enumerate(cardinalities)]
    return FeatureSpec((*dense, *ids))


def rows(features: FeatureSpec, n: int, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    batch = {}
    if features.n_dense:
        batch["dense"] = torch.randn(n, features.n_dense, generator=generator)
    if features.n_ids:
        columns = [torch.randint(0, cardinality, (n,), generator=generator) for cardinality in features.cardinalities]
        batch["ids"] = torch.stack(columns, 1)
    return batch


def trained(chosen: MLPSettings, features: FeatureSpec, n_outputs: int) -> MLP:
    """A model that no longer is at its initial state: statistics and scales have moved."""
    torch.manual_seed(0)
    model = MLP(chosen, features, n_outputs).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for seed in range(5):
        optimizer.zero_grad()
        model(rows(features, 64, seed)).square().mean().backward()
        optimizer.step()
    return model.eval()


@settings(max_examples=40, deadline=None)
@given(
    hidden=st.lists(st.sampled_from([4, 6]), min_size=1, max_size=3),
    members=st.sampled_from([1, 3]),
    embedding_dim=st.sampled_from([0, 2]),
    normalization=st.sampled_from(["none", "layer", "batch"]),
    residual=st.booleans(),
    activation=st.sampled_from(["relu", "silu", "gelu"]),
    columns=st.sampled_from([([1, 3, 1], [3, 5]), ([2], []), ([], [4, 3])]),
    n_outputs=st.sampled_from([1, 3]),
)
def test_the_folded_network_answers_as_the_trained_one(
    hidden, members, embedding_dim, normalization, residual, activation, columns, n_outputs
):
    chosen = MLPSettings(
        hidden=hidden,
        members=members,
        embedding_dim=embedding_dim,
        category_dim=3,
        normalization=normalization,
        residual=residual,
        activation=activation,
    )
    features = spec(*columns)
    model, batch = trained(chosen, features, n_outputs), rows(features, 9, seed=1)
    with torch.no_grad():
        scores, folded = model(batch), model.for_export().eval()(batch)
    assert scores.shape == (9, n_outputs)
    torch.testing.assert_close(folded, scores, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "chosen",
    [
        MLPSettings(hidden=[6, 4], members=3),
        MLPSettings(hidden=[6], members=1, embedding_dim=0),
        MLPSettings(hidden=[4, 4, 4], members=3, normalization="layer", residual=True, activation="gelu"),
    ],
)
@pytest.mark.parametrize("columns", [([1, 3], [3, 5]), ([2, 1], []), ([], [4, 3])])
def test_the_onnx_graph_answers_as_the_model_at_any_batch_size(chosen, columns):
    features = spec(*columns)
    model = trained(chosen, features, 2)
    session = ort.InferenceSession(to_onnx(model, features).SerializeToString())
    for n in (1, 7):
        batch = rows(features, n, seed=n)
        with torch.no_grad():
            expected = model(batch).numpy()
        (scores,) = session.run(["scores"], {name: values.numpy() for name, values in batch.items()})
        np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_the_default_network_is_exported_as_three_matrix_products():
    features = spec([1, 1, 4], [])
    graph = to_onnx(MLP(MLPSettings(), features, 1), features).graph
    assert [node.op_type for node in graph.node] == ["Gemm", "Relu", "Gemm", "Relu", "Gemm"]


def test_the_same_weights_give_the_same_bytes_without_notes_of_this_machine():
    features = spec([1, 2], [3])
    model = trained(MLPSettings(hidden=[4, 4], members=2), features, 1)
    first, second = to_onnx(model, features), to_onnx(model, features)
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)
    assert first.ir_version == 10
    assert [opset.version for opset in first.opset_import if opset.domain == ""] == [21]
    assert b"pkg.torch" not in first.SerializeToString()
    assert b"site-packages" not in first.SerializeToString()


def test_plain_settings_are_the_plain_network():
    features = spec([1] * 5, [])
    model = trained(MLPSettings(hidden=[8], members=1, embedding_dim=0, dropout=0.0), features, 1)
    batch = rows(features, 6)
    with torch.no_grad():
        hidden = torch.relu(batch["dense"] @ model.input.dense + model.input.bias)
        expected = hidden @ model.head[0] + model.head_bias[0]
        torch.testing.assert_close(model(batch), expected)
        torch.testing.assert_close(model.train()(batch)[:, 0], expected)


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(8)))
def test_permuted_rows_give_permuted_scores(order):
    features = spec([1, 2], [3])
    model, batch = MLP(MLPSettings(hidden=[4, 4], members=2), features, 1).eval(), rows(features, 8)
    with torch.no_grad():
        scores = model(batch)
        permuted = model({name: values[list(order)] for name, values in batch.items()})
    torch.testing.assert_close(permuted, scores[list(order)])


def test_an_ensemble_scores_every_member_while_training_and_their_mean_after():
    features = spec([1, 2], [3])
    model, batch = MLP(MLPSettings(hidden=[4, 4], members=5, dropout=0.0), features, 2), rows(features, 6)
    members = model.train()(batch)
    assert members.shape == (6, 5, 2)
    assert (members.std(1) > 0).all()
    torch.testing.assert_close(model.eval()(batch), members.mean(1))


def test_training_starts_from_the_constant_prediction():
    features = spec([2], [])
    model = MLP(MLPSettings(hidden=[4], members=3), features, 2)
    model.start_from(torch.tensor([1.0, -2.0]))
    with torch.no_grad():
        model.head.zero_()
        torch.testing.assert_close(model.eval()(rows(features, 2)), torch.tensor([[1.0, -2.0]] * 2))


def test_input_dropout_drops_whole_columns_while_training_only():
    features = spec([2, 3], [4])
    model = MLP(MLPSettings(hidden=[8], members=1, dropout=0.0, input_dropout=0.5), features, 1)
    batch = rows(features, 64)
    assert not torch.equal(model.train()(batch), model.train()(batch))
    assert torch.equal(model.eval()(batch), model.eval()(batch))


def test_biases_member_scales_and_normalisation_do_not_decay():
    features = spec([2], [3])
    model = MLP(MLPSettings(hidden=[4, 4], members=2, normalization="layer"), features, 1)
    decayed, kept = model.parameter_groups(0.1, 0.5)
    assert decayed["weight_decay"] == 0.5
    assert kept["weight_decay"] == 0.0
    assert len(decayed["params"]) + len(kept["params"]) == len(list(model.parameters()))
    ids = {id(parameter) for parameter in kept["params"]}
    for name, parameter in model.named_parameters():
        assert (id(parameter) in ids) == (name.endswith(("bias", "scale")) or "norm" in name), name


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hidden": []}, "model.hidden is empty"),
        ({"hidden": [64, 0]}, "model.hidden is 0; it must be at least 1"),
        ({"members": 0}, "model.members is 0; it must be at least 1"),
        ({"embedding_dim": -1}, "model.embedding_dim is -1; it must be at least 0"),
        ({"category_dim": 0}, "model.category_dim is 0; it must be at least 1"),
        ({"dropout": 1.0}, "model.dropout is 1; it must be from 0 to below 1"),
        ({"input_dropout": -0.1}, "model.input_dropout is -0.1; it must be from 0 to below 1"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        MLPSettings(**wrong)
