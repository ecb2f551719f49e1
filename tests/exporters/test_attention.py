from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
import torch

from shopkit.exporters.attention import simplify_attention
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.bert import Bert
from shopkit.models.settings import BertSettings
from shopkit.models.to_onnx import to_onnx
from shopkit.onnx_format import hoist_constants
from shopkit.runtime.artifact import open_session

SPEC = FeatureSpec((FeatureBlock("text", "wordpiece", "tokens", 0, 1, (), cardinality=50, shape=(16,)),))


@pytest.fixture(scope="module")
def encoder() -> onnx.ModelProto:
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    settings = BertSettings(encoder="scratch", hidden_dim=16, layers=2, heads=2, dropout=0.0)
    model = Bert(settings, SPEC, 3).eval()
    torch.nn.init.normal_(model.output.weight)
    graph = to_onnx(model, SPEC)
    hoist_constants(graph.graph)
    return graph


def test_every_layer_is_rewritten_and_the_numbers_stay(encoder: onnx.ModelProto) -> None:
    simpler = onnx.ModelProto.FromString(encoder.SerializeToString())
    assert simplify_attention(simpler) == 2
    onnx.checker.check_model(simpler, full_check=True)
    operators = Counter(node.op_type for node in simpler.graph.node)
    before = Counter(node.op_type for node in encoder.graph.node)
    assert len(simpler.graph.node) <= len(encoder.graph.node) - 2 * 9
    assert operators["Mul"] == before["Mul"] - 2
    assert {node.domain for node in simpler.graph.node} == {""}
    rng = np.random.default_rng(0)
    first, second = (open_session(model.SerializeToString()) for model in (encoder, simpler))
    for n_rows, length in ((1, 1), (1, 5), (7, 12)):
        lengths = rng.integers(0, length + 1, n_rows)
        feed = {"tokens": rng.integers(1, 50, (n_rows, length)), "token_lengths": lengths}
        np.testing.assert_allclose(second.run(None, feed)[0], first.run(None, feed)[0], atol=1e-6)


def test_it_is_done_once(encoder: onnx.ModelProto) -> None:
    simpler = onnx.ModelProto.FromString(encoder.SerializeToString())
    simplify_attention(simpler)
    text = simpler.SerializeToString(deterministic=True)
    assert simplify_attention(simpler) == 0
    assert simpler.SerializeToString(deterministic=True) == text


def test_attention_that_is_written_otherwise_stays_as_it_is(encoder: onnx.ModelProto) -> None:
    other = onnx.ModelProto.FromString(encoder.SerializeToString())
    for node in other.graph.node:
        if node.op_type == "Transpose" and list(node.attribute[0].ints) == [0, 2, 1]:
            node.attribute[0].ints[:] = [0, 1, 2]
    assert simplify_attention(other) == 0
    assert len(other.graph.node) == len(encoder.graph.node)
