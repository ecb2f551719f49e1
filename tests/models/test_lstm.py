"""LSTM and GRU over padded rows: each row is answered as it is alone."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
import torch

from shopkit.errors import ConfigError
from shopkit.features.base import FeatureSpec
from shopkit.models.lstm import LSTM, Attention, LastState, pooling
from shopkit.models.recurrent import CELLS, Recurrent
from shopkit.models.settings import LSTMSettings, MLPSettings
from shopkit.models.to_onnx import to_onnx
from shopkit.models.token_embedding import TokenEmbedding
from shopkit.runtime.artifact import open_session
from shopkit.testing.data import bag, feature_spec, steps, tokens
from shopkit.training.scores import model_scores

SPEC = feature_spec(reads=["features:sequences"])
SMALL_HEAD = MLPSettings(hidden=[4], members=2, category_dim=2)
SHAPES = list(itertools.product(("lstm", "gru"), (False, True), (1, 2)))


def built(settings: LSTMSettings, spec: FeatureSpec = SPEC) -> LSTM:
    torch.manual_seed(0)
    return LSTM(settings, spec, 2).eval()


def features(lengths: list[int]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    plain = {
        "dense": rng.normal(size=(len(lengths), SPEC.n_dense)).astype(np.float32),
        "ids": np.column_stack([rng.integers(0, size, len(lengths)) for size in SPEC.cardinalities]),
    }
    return {**plain, **steps(SPEC, np.array(lengths), rng)}


def row(batch: dict[str, np.ndarray], at: int) -> dict[str, np.ndarray]:
    """One row without any padding (but for one step, where it has none)."""
    length = max(1, int(batch["lengths"][at]))
    return {name: values[at : at + 1, :length] if values.ndim == 3 else values[at : at + 1] for name, values in batch.items()}


@pytest.mark.parametrize(("cell", "bidirectional", "layers"), SHAPES)
def test_states_and_gradients_are_those_of_torch_row_by_row(cell, bidirectional, layers):
    torch.manual_seed(0)
    recurrent, directions = Recurrent(cell, 3, 5, layers, bidirectional, 0.0), 2 if bidirectional else 1
    torch_s = CELLS[cell](3, 5, layers, batch_first=True, bidirectional=bidirectional)
    for name, value in torch_s.named_parameters():
        kind, layer, backward = re.fullmatch(r"(\w+)_l(\d)(_reverse)?", name).groups()
        value.data = recurrent.rnns[int(layer) * directions + (backward is not None)].get_parameter(f"{kind}_l0").data
    x, lengths = torch.randn(5, 6, 3, requires_grad=True), torch.tensor([6, 1, 3, 0, 2])
    states = recurrent(x, lengths)
    last = LastState(states.shape[2], directions)(states, lengths)
    for i, length in enumerate(lengths.tolist()):
        if not length:
            continue
        alone, end = torch_s(x[i : i + 1, :length])
        torch.testing.assert_close(states[i, :length], alone[0])
        hidden = end[0] if cell == "lstm" else end
        top = hidden[-2:] if bidirectional else hidden[-1:]
        torch.testing.assert_close(last[i], top.flatten())
        expected, found = (torch.autograd.grad((of**2).sum(), x, retain_graph=True)[0] for of in (alone, states[i, :length]))
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("pooling", ["attention", "concat"])
@pytest.mark.parametrize(("cell", "bidirectional", "layers"), SHAPES)
def test_batch_file_and_single_rows_agree(cell, bidirectional, layers, pooling):
    model = built(LSTMSettings(cell=cell, bidirectional=bidirectional, layers=layers, pooling=pooling, hidden_dim=6))
    session = open_session(to_onnx(model, SPEC).SerializeToString())
    batch = features([5, 0, 1, 9, 3, 2])
    scores = model_scores(model, batch)
    np.testing.assert_allclose(session.run(["scores"], batch)[0], scores, atol=1e-5)
    for i in range(6):
        alone = row(batch, i)
        np.testing.assert_allclose(model_scores(model, alone)[0], scores[i], atol=1e-5)
        np.testing.assert_allclose(session.run(["scores"], alone)[0][0], scores[i], atol=1e-5)


@pytest.mark.parametrize("normalization", ["none", "layer", "batch"])
def test_the_exported_head_is_folded_as_that_of_the_mlp(normalization):
    head = MLPSettings(hidden=[8, 4], members=3, normalization=normalization)
    model = built(LSTMSettings(hidden_dim=4, head=head))
    for norm in model.head.norms:
        if normalization == "batch":
            norm.norm.running_mean.normal_()
            norm.norm.running_var.uniform_(0.5, 2)
    batch = features([3, 1, 0])
    session = open_session(to_onnx(model, SPEC).SerializeToString())
    np.testing.assert_allclose(session.run(["scores"], batch)[0], model_scores(model, batch), atol=1e-5)


def test_each_direction_and_layer_is_one_operator():
    model = built(LSTMSettings(cell="gru", bidirectional=True, layers=2))
    operators = [node.op_type for node in to_onnx(model, SPEC).graph.node]
    assert operators.count("GRU") == 2


def test_without_static_the_plain_columns_are_not_read():
    model = built(LSTMSettings(static=False, hidden_dim=4))
    batch = features([3, 2])
    other = {**batch, "dense": batch["dense"] + 1, "ids": batch["ids"] * 0}
    np.testing.assert_array_equal(model_scores(model, other), model_scores(model, batch))
    session = open_session(to_onnx(model, SPEC).SerializeToString())
    feed = {value.name: batch[value.name] for value in session.get_inputs()}
    np.testing.assert_allclose(session.run(["scores"], feed)[0], model_scores(model, batch), atol=1e-5)


def test_attention_weighs_the_steps_of_a_row_only():
    attention = Attention(2)
    with torch.no_grad():
        attention.query.weight.zero_()
        states = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [100.0, 100.0]]])
        torch.testing.assert_close(attention(states, torch.tensor([2])), torch.tensor([[2.0, 3.0]]))


def test_mean_max_and_last_state_stand_side_by_side():
    states = torch.tensor([[[1.0, 8.0], [3.0, 4.0], [100.0, 100.0]], [[5.0, 6.0], [7.0, 7.0], [-9.0, -9.0]]])
    lengths = torch.tensor([2, 0])
    mean, _ = pooling("mean", 2, 1)
    torch.testing.assert_close(mean(states, lengths), torch.tensor([[2.0, 6.0], [0.0, 0.0]]))
    concat, width = pooling("concat", 2, 1)
    assert width == 6
    torch.testing.assert_close(concat(states, lengths)[0], torch.tensor([3.0, 4.0, 3.0, 8.0, 2.0, 6.0]))


@pytest.mark.parametrize("pooling", ["last", "attention"])
def test_it_says_how_much_it_looks_at_tokens_and_steps(pooling):
    spec = feature_spec(reads={"features:sequences", "features:tokens"})
    model = built(LSTMSettings(hidden_dim=6, token_dim=5, pooling=pooling, bidirectional=True), spec).eval()
    rng, lengths = np.random.default_rng(2), np.array([4, 2, 7, 1])
    arrays = {**tokens(spec.tokens.cardinality, lengths, rng), **steps(spec, lengths[::-1].copy(), rng)}
    batch = {name: torch.from_numpy(values) for name, values in arrays.items()}
    with torch.no_grad():
        looks = [model.attention(batch), model.step_attention(batch)]
    if pooling == "last":
        assert looks == [None, None]
        return
    for looked, of_rows in zip(looks, (lengths, lengths[::-1]), strict=True):
        torch.testing.assert_close(looked.sum(1), torch.ones(4))
        assert (looked > 0).sum(1).tolist() == of_rows.tolist()


def test_every_parameter_is_in_one_optimiser_group():
    model = built(LSTMSettings(bidirectional=True, pooling="attention"))
    groups = model.parameter_groups(1e-3, 0.1)
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(listed) == sorted(id(parameter) for parameter in model.parameters())


def test_without_sequences_it_says_what_to_do():
    with pytest.raises(ConfigError, match=r"no feature column gives any: none has lists with something in them in the training"):
        LSTM(LSTMSettings(), feature_spec(), 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_dim": 0}, r"model.hidden_dim is 0; it must be at least 1"),
        ({"layers": 0}, r"model.layers is 0"),
        ({"category_dim": 0}, r"model.category_dim is 0"),
        ({"token_dim": 0}, r"model.token_dim is 0"),
        ({"pair_dim": 0}, r"model.pair_dim is 0"),
        ({"pairs": -1}, r"model.pairs is -1; it must be at least 0"),
        ({"token_dropout": 1.0}, r"model.token_dropout is 1; it must be from 0 to below 1"),
        ({"dropout": 1.0}, r"model.dropout is 1; it must be from 0 to below 1"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        LSTMSettings(**settings)


@pytest.mark.parametrize("pooling", ["attention", "concat"])
@pytest.mark.parametrize(
    "reads", [{"features:tokens"}, {"features:tokens", "features:bags"}, {"features:sequences", "features:tokens"}]
)
def test_texts_are_read_beside_or_instead_of_sequences(reads, pooling):
    spec = feature_spec(reads=reads)
    head = MLPSettings(hidden=[4], members=2, category_dim=2, activation="silu")
    pairs = {"pairs": 64, "pair_dim": 3} if pooling == "concat" else {}
    model = built(LSTMSettings(hidden_dim=6, token_dim=5, pooling=pooling, bidirectional=True, head=head, **pairs), spec)
    rng, lengths = np.random.default_rng(2), np.array([4, 0, 7, 1])
    batch = {**tokens(spec.tokens.cardinality, lengths, rng)}
    batch["dense"] = rng.normal(size=(4, spec.n_dense)).astype(np.float32)
    batch["ids"] = np.column_stack([rng.integers(0, size, 4) for size in spec.cardinalities])
    if spec.has_sequences:
        batch |= steps(spec, lengths[::-1].copy(), rng)
    if spec.n_bag:
        with torch.no_grad():
            model.bag.table.normal_()
        batch |= bag(spec.n_bag, lengths, rng)
    scores = model_scores(model, batch)
    session = open_session(to_onnx(model, spec).SerializeToString())
    np.testing.assert_allclose(session.run(["scores"], batch)[0], scores, atol=1e-5)
    more = {name: np.pad(values, [(0, 0), (0, 3)]) if name == "tokens" else values for name, values in batch.items()}
    np.testing.assert_allclose(model_scores(model, more), scores, atol=1e-5)
    other = {**batch, "tokens": np.where(batch["tokens"] > 0, 1, 0)}
    changed = np.abs(model_scores(model, other) - scores).max(1) > 0
    np.testing.assert_array_equal(changed, lengths > 0)


def test_pairs_tell_the_order_of_tokens_and_missing_tokens_take_theirs_with_them():
    torch.manual_seed(0)
    embedding = TokenEmbedding(9, 4, n_pairs=1024, pair_dim=3, dropout=0.5)
    there, back = embedding.eval()(torch.tensor([[5, 6, 7], [7, 6, 5]]))
    assert embedding.width == 7
    torch.testing.assert_close(there[:, :4], back.flip(0)[:, :4])
    assert (there[0, 4:] - back[1, 4:]).abs().max() > 0
    torch.testing.assert_close(embedding(torch.tensor([[5, 6, 7, 0, 0]]))[0, :3], there)
    kept = embedding.train()(torch.full((1, 1000), 5))[0] != 0
    assert (kept.all(1) | ~kept.any(1)).all()
    assert 400 < int(kept.all(1).sum()) < 600
