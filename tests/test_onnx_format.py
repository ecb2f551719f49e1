from __future__ import annotations

import numpy as np
import onnx
import pytest
import spox
import spox.opset.ai.onnx.v21 as op

from shopkit.errors import ExportError
from shopkit.onnx_format import hoist_constants, pin_versions
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
