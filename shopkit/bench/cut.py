"""The two halves of an exported file: raw columns → tensors, and tensors → decision."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from shopkit.runtime.artifact import open_session

FEATURES = "Inline_0_"
"""What joining graphs puts before the names of what the features' graph computes; see `shopkit.exporters.graph.compose`."""


ELEMENTS = {
    "tensor(float)": onnx.TensorProto.FLOAT,
    "tensor(double)": onnx.TensorProto.DOUBLE,
    "tensor(int64)": onnx.TensorProto.INT64,
    "tensor(string)": onnx.TensorProto.STRING,
    "tensor(bool)": onnx.TensorProto.BOOL,
    "tensor(uint8)": onnx.TensorProto.UINT8,
}
"""ONNX Runtime's word for a type → onnx's."""


def halves(model: onnx.ModelProto) -> tuple[onnx.ModelProto, onnx.ModelProto] | None:
    """The features, and the model with its decision, each as a file of its own; None where they cannot be told apart."""
    first = [node for node in model.graph.node if any(name.startswith(FEATURES) for name in node.output)]
    rest = [node for node in model.graph.node if not any(name.startswith(FEATURES) for name in node.output)]
    made = {name for node in first for name in node.output}
    read = {name for node in rest for name in node.input}
    if not made or not made & read:
        return None
    joint = sorted(made & read)
    known = _types(model, joint)
    inputs = list(model.graph.input)
    return (
        _graph(model, first, [value for value in inputs if _reads(first, value.name)], [known[name] for name in joint]),
        _graph(model, rest, [*(known[name] for name in joint), *(v for v in inputs if _reads(rest, v.name))], model.graph.output),
    )


def _types(model: onnx.ModelProto, names: Iterable[str]) -> dict[str, onnx.ValueInfoProto]:
    """Inner values as outputs, with the types that ONNX Runtime finds: onnx itself cannot infer them through all operators."""
    asked = onnx.ModelProto.FromString(model.SerializeToString())
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    found = open_session(asked.SerializeToString()).get_outputs()
    return {value.name: onnx.helper.make_tensor_value_info(value.name, ELEMENTS[value.type], None) for value in found}


def _reads(nodes: Iterable[onnx.NodeProto], name: str) -> bool:
    return any(name in node.input for node in nodes)


def _graph(
    model: onnx.ModelProto,
    nodes: Iterable[onnx.NodeProto],
    inputs: Iterable[onnx.ValueInfoProto],
    outputs: Iterable[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    nodes = list(nodes)
    read = {name for node in nodes for name in node.input}
    initializers = [tensor for tensor in model.graph.initializer if tensor.name in read]
    graph = onnx.helper.make_graph(nodes, model.graph.name, list(inputs), list(outputs), initializers)
    made = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    made.functions.extend(model.functions)
    return made
