"""Attention, which torch's exporter writes as some twenty nodes for each layer, in thirteen.

One operator of ONNX Runtime, `com.microsoft.MultiHeadAttention`, was tried in their stead and was slower: see docs/bench.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper


@dataclass(frozen=True)
class _Heads:
    """`softmax(scale · Q Kᵀ + bias)`, all heads of a layer."""

    product: str
    """scale · Q Kᵀ, before anything is added: (N, heads, T, T)."""
    queries: str
    keys: str
    """(N, heads, T, width of a head)."""
    scale: float


def simplify_attention(model: onnx.ModelProto) -> int:
    """Let keys be turned by one `Transpose`, and scores be scaled by one `Mul`, in place: operators of ONNX, the same numbers.

    torch's exporter turns keys by a `Reshape` to a shape that it computes, for each layer again, and takes the root of the scale
    on both sides.

    Returns:
        How many were rewritten.
    """
    graph = model.graph
    found = _found(graph)
    for heads in found:
        place, product = next((at, node) for at, node in enumerate(graph.node) if heads.product in node.output)
        scale = f"{heads.product}_scale"
        graph.initializer.append(numpy_helper.from_array(np.array(heads.scale, np.float32), scale))
        turned, scaled = f"{heads.product}_keys", f"{heads.product}_queries"
        nodes = [
            onnx.helper.make_node("Mul", [heads.queries, scale], [scaled], name=scaled),
            onnx.helper.make_node("Transpose", [heads.keys], [turned], name=turned, perm=[0, 1, 3, 2]),
        ]
        product.input[:] = [scaled, turned]
        for node in reversed(nodes):
            graph.node.insert(place, node)
    if found:
        _drop_unread(graph)
    return len(found)


def _found(graph: onnx.GraphProto) -> list[_Heads]:
    producers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    every = (_heads(node, producers, constants) for node in graph.node if node.op_type == "Softmax")
    return [heads for heads in every if heads is not None]


def _heads(
    softmax: onnx.NodeProto, producers: Mapping[str, onnx.NodeProto], constants: Mapping[str, onnx.TensorProto]
) -> _Heads | None:
    """The attention before a `Softmax`, if it is written as torch's `scaled_dot_product_attention` is."""

    def before(name: str, operator: str) -> onnx.NodeProto | None:
        node = producers.get(name)
        return node if node is not None and node.op_type == operator else None

    added = before(softmax.input[0], "Add")
    product = before(added.input[0] if added is not None else softmax.input[0], "MatMul")
    queries, keys = (before(name, "Mul") for name in product.input) if product is not None else (None, None)
    if product is None or queries is None or keys is None:
        return None
    scales = [_number(constants.get(node.input[1])) for node in (queries, keys)]
    source = _turned(keys.input[0], producers)
    if scales[0] is None or scales[1] is None or not source:
        return None
    return _Heads(product.output[0], queries.input[0], source, scales[0] * scales[1])


def _turned(name: str, producers: Mapping[str, onnx.NodeProto]) -> str:
    """What `Reshape → Transpose(0, 2, 1) → Reshape` turned: keys (N, heads, T, d) → (N, heads, d, T)."""
    node = producers.get(name)
    for operator in ("Reshape", "Transpose", "Reshape"):
        if node is None or node.op_type != operator:
            return ""
        if operator == "Transpose" and list(node.attribute[0].ints) != [0, 2, 1]:
            return ""
        name = node.input[0]
        node = producers.get(name)
    if node is None or node.op_type != "Transpose" or list(node.attribute[0].ints) != [0, 2, 1, 3]:
        return ""
    return name


def _number(tensor: onnx.TensorProto | None) -> float | None:
    if tensor is None:
        return None
    array = numpy_helper.to_array(tensor)
    return float(array.reshape(())) if array.size == 1 else None


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Remove nodes and constants that nothing reads any more."""
    while True:
        read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
        unread = [node for node in graph.node if not read & set(node.output)]
        if not unread:
            break
        for node in unread:
            graph.node.remove(node)
    kept = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
