"""The ONNX that shopkit writes: versions old enough for every runtime it promises, constants as initialisers."""

from __future__ import annotations

from collections.abc import Collection

import onnx

from shopkit.errors import ExportError

OPSETS = {"": 21, "ai.onnx.ml": 4}
"""Operator sets; onnx can write newer ones than runtimes read."""
IR_VERSION = 10
CONTRIBUTED = {"Tokenizer": (onnx.TensorProto.STRING, 2), "MurmurHash3": (onnx.TensorProto.INT32, 1)}
"""Operators of `com.microsoft` → element type and rank of what they give."""


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


def only(model: onnx.ModelProto, outputs: Collection[str]) -> onnx.ModelProto:
    """The model with just these outputs, and no input or node that they do not need."""
    kept = onnx.ModelProto()
    kept.CopyFrom(model)
    graph, needed = kept.graph, set(outputs)
    nodes = []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            nodes.append(node)
            needed |= _read(node)
    for values in (graph.node, graph.value_info):
        del values[:]
    graph.node.extend(reversed(nodes))
    for named in (graph.input, graph.initializer, graph.output):
        wanted = outputs if named is graph.output else needed
        chosen = [value for value in named if value.name in wanted]
        del named[:]
        named.extend(chosen)
    return kept


def _read(node: onnx.NodeProto) -> set[str]:
    """Names that a node reads, by the graphs inside it as well."""
    inner = [graph for attribute in node.attribute for graph in ([attribute.g] if attribute.HasField("g") else attribute.graphs)]
    return set(node.input).union(
        *(_read(one) for graph in inner for one in graph.node), *({o.name for o in g.output} for g in inner)
    )


def check(model: onnx.ModelProto) -> None:
    """onnx's own checks, types of all values included; states in place the types that it cannot know.

    Raises:
        onnx.checker.ValidationError, onnx.shape_inference.InferenceError: the graph is not valid.
    """
    # onnx knows no operator of `com.microsoft`, and its type inference crashes on a LabelEncoder of an unknown type.
    known = {value.name for value in [*model.graph.value_info, *model.graph.output]}
    for node in model.graph.node:
        if node.op_type in CONTRIBUTED and node.output[0] not in known:
            element, rank = CONTRIBUTED[node.op_type]
            model.graph.value_info.append(onnx.helper.make_tensor_value_info(node.output[0], element, [None] * rank))
    onnx.checker.check_model(model, full_check=True)
