"""The ONNX that shopkit writes: versions old enough for every runtime it promises, constants as initialisers."""

from __future__ import annotations

import onnx

from shopkit.errors import ExportError

OPSETS = {"": 21, "ai.onnx.ml": 4}
"""Operator sets; onnx can write newer ones than runtimes read."""
IR_VERSION = 10


def pin_versions(model: onnx.ModelProto) -> None:
    """State the versions above, in place.

    Raises:
        ExportError: the graph needs a newer operator set.
    """
    for opset in model.opset_import:
        allowed = OPSETS.get(opset.domain, opset.version)
        if opset.version > allowed:
            raise ExportError(
                f"The graph needs operator set {opset.domain or 'ai.onnx'} {opset.version}; runtimes are promised {allowed}."
            )
        opset.version = allowed
    model.ir_version = IR_VERSION
    model.producer_name = "shopkit"


def hoist_constants(graph: onnx.GraphProto) -> None:
    """Turn `Constant` nodes into initialisers, which load faster, in place."""
    kept = []
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = graph.initializer.add()
            tensor.CopyFrom(node.attribute[0].t)
            tensor.name = node.output[0]
        else:
            kept.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del graph.node[:]
    graph.node.extend(kept)
