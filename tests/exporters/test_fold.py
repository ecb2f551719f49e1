from __future__ import annotations

import numpy as np
import onnx
import pytest
import spox
import spox.opset.ai.onnx.v21 as op
from spox import Var

from shopkit.exporters.fold import drop_identities, fold_affine
from shopkit.onnx_format import hoist_constants
from shopkit.runtime.artifact import open_session

RNG = np.random.default_rng(0)
WEIGHT, BIAS = RNG.normal(size=(3, 1)).astype(np.float32), RNG.normal(size=1).astype(np.float32)


def graph(tail: object, *, branch: bool = False) -> onnx.ModelProto:
    x = spox.argument(spox.Tensor(np.float32, ("N", 3)))
    scores = op.gemm(x, op.const(WEIGHT), op.const(BIAS))
    outputs: dict[str, Var] = {"y": tail(op.squeeze(scores, op.const(np.array([1]))))}  # type: ignore[operator]
    if branch:
        outputs["scores"] = scores
    model = spox.build({"x": x}, outputs)
    hoist_constants(model.graph)
    return model


def affine(scores: Var) -> Var:
    return op.sigmoid(op.add(op.mul(scores, op.const(np.float32(1.7))), op.const(np.float32(-0.4))))


def answers(model: onnx.ModelProto) -> list[np.ndarray]:
    x = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    return open_session(model.SerializeToString()).run(None, {"x": x})  # type: ignore[no-any-return]


def operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


def test_scale_and_offset_go_into_the_product() -> None:
    model = graph(affine)
    before = answers(model)
    fold_affine(model.graph)
    assert not {"Mul", "Add"} & operators(model)
    onnx.checker.check_model(model, full_check=True)
    np.testing.assert_allclose(answers(model)[0], before[0], atol=1e-6)


@pytest.mark.parametrize(
    "tail",
    [
        lambda scores: op.sigmoid(op.mul(scores, scores)),
        lambda scores: op.sigmoid(op.add(op.tanh(scores), op.const(np.float32(1)))),
    ],
)
def test_nothing_else_changes(tail: object) -> None:
    model = graph(tail)
    before = operators(model)
    fold_affine(model.graph)
    assert operators(model) == before


def test_scores_that_something_else_reads_stay() -> None:
    model = graph(affine, branch=True)
    before = answers(model)
    fold_affine(model.graph)
    for got, expected in zip(answers(model), before, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_an_output_is_named_where_it_is_made() -> None:
    x = spox.argument(spox.Tensor(np.float32, ("N", 3)))
    probability = op.sigmoid(x)
    model = spox.build({"x": x}, {"y": probability, "flag": op.greater(probability, op.const(np.float32(0.5)))})
    before = answers(model)
    assert "Identity" in operators(model)
    drop_identities(model.graph)
    assert "Identity" not in operators(model)
    onnx.checker.check_model(model, full_check=True)
    for got, expected in zip(answers(model), before, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_an_input_that_is_an_output_stays() -> None:
    x = spox.argument(spox.Tensor(np.float32, ("N", 3)))
    model = spox.build({"x": x}, {"y": op.identity(x), "z": op.identity(x)})
    drop_identities(model.graph)
    onnx.checker.check_model(model, full_check=True)
    assert len(answers(model)) == 2
