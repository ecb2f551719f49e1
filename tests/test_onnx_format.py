from __future__ import annotations

import numpy as np
import onnx
import pytest
import spox
import spox.opset.ai.onnx.v21 as op

from shopkit.errors import ExportError
from shopkit.onnx_format import hoist_constants, only, pin_versions
from shopkit.runtime.artifact import open_session


def model() -> onnx.ModelProto:
    x = spox.argument(spox.Tensor(np.float32, ("N",)))
    return spox.build({"x": x}, {"y": op.add(op.mul(x, op.const(np.float32(2))), op.const(np.float32(1)))})


def test_versions_are_pinned() -> None:
    made = model()
    pin_versions(made)
    assert (made.ir_version, made.opset_import[0].version, made.producer_name) == (10, 21, "shopkit")


def test_a_newer_operator_set_is_refused() -> None:
    made = model()
    made.opset_import[0].version = 23
    with pytest.raises(ExportError, match=r"The graph needs operator set ai\.onnx 23; runtimes are promised 21\."):
        pin_versions(made)


def test_constants_become_initialisers_and_the_answer_stays() -> None:
    made = model()
    x = {"x": np.array([1.0, -3.0], np.float32)}
    before = open_session(made.SerializeToString()).run(None, x)[0]
    hoist_constants(made.graph)
    assert not [node for node in made.graph.node if node.op_type == "Constant"]
    assert len(made.graph.initializer) == 2
    np.testing.assert_array_equal(open_session(made.SerializeToString()).run(None, x)[0], before)


def test_what_an_output_needs_stays_and_nothing_else() -> None:
    a, b, c = (spox.argument(spox.Tensor(np.float32, ("N",))) for _ in range(3))
    big = op.greater(op.reduce_sum(a, keepdims=False), op.const(np.float32(1)))
    # Read by the graphs inside of the choice only.
    (chosen,) = op.if_(big, then_branch=lambda: [op.neg(b)], else_branch=lambda: [b])
    model = spox.build({"a": a, "b": b, "c": c}, {"x": op.mul(a, op.const(np.float32(2))), "y": chosen, "z": op.neg(c)})
    feed = {name: np.array([1.0, 2.0], np.float32) for name in "abc"}
    expected = dict(zip("xyz", open_session(model.SerializeToString()).run(["x", "y", "z"], feed), strict=True))
    for outputs, inputs in (("x", "a"), ("y", "ab"), ("z", "c"), ("xz", "ac"), ("xyz", "abc")):
        cut = only(model, set(outputs))
        assert [value.name for value in cut.graph.input] == list(inputs)
        assert [value.name for value in cut.graph.output] == list(outputs)
        found = open_session(cut.SerializeToString()).run(list(outputs), {name: feed[name] for name in inputs})
        for name, values in zip(outputs, found, strict=True):
            np.testing.assert_array_equal(values, expected[name])
    assert len(only(model, {"x"}).graph.node) < len(model.graph.node)


def test_a_graph_that_gives_an_input_of_its_surroundings() -> None:
    a, b = (spox.argument(spox.Tensor(np.float32, ("N",))) for _ in range(2))
    big = op.greater(op.reduce_sum(a, keepdims=False), op.const(np.float32(1)))
    (chosen,) = op.if_(big, then_branch=lambda: [b], else_branch=lambda: [op.neg(a)])
    cut = only(spox.build({"a": a, "b": b}, {"y": chosen}), {"y"})
    assert [value.name for value in cut.graph.input] == ["a", "b"]
