"""Which operators of a file only some runtimes have. ONNX Runtime has them all; another one may be given a part of the file."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

TEXT = "text"
"""What operators on texts are called, whatever their domain."""
CLASSICAL, CONTRIBUTED = "ai.onnx.ml", "com.microsoft"
"""Domains beside the standard's own: of ONNX, but optional; and of ONNX Runtime alone."""


def special_operators(model: onnx.ModelProto) -> dict[str, list[str]]:
    """Operators of a graph that reads or writes text, and of the domains above: `text`, `ai.onnx.ml`, `com.microsoft` → their
    names, in order. Empty ones are left out.

    An operator counts where it stands: one on texts of `ai.onnx.ml` is in both lists.
    """
    found: dict[str, set[str]] = {TEXT: set(), CLASSICAL: set(), CONTRIBUTED: set()}
    typed = onnx.shape_inference.infer_shapes(model)
    for graph in _graphs(typed.graph):
        for node in graph.node:
            if node.domain in found:
                found[node.domain].add(node.op_type)
        values = [*graph.input, *graph.output, *graph.value_info]
        texts = {value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.STRING}
        texts |= {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.STRING}
        found[TEXT] |= {node.op_type for node in graph.node if texts & {*node.input, *node.output}}
    return {kind: sorted(names) for kind, names in found.items() if names}


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and those inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _graphs(attribute.g)
