"""The part of a feature graph that does not read certain inputs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import onnx


def without_inputs(model: onnx.ModelProto, dropped: Collection[str]) -> onnx.ModelProto | None:
    """The graph without some inputs and all positions that depend on them; None if nothing is left.

    Outputs are joined by `Concat` from pieces: a piece stays where none of the dropped inputs reaches it. The order of the
    positions that stay is kept; an output that loses all of them is gone.
    """
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    reached: dict[str, bool] = {value.name: value.name in dropped for value in graph.input}
    for node in graph.node:  # in topological order
        depends = any(reached.get(name, False) for name in node.input)
        reached.update(dict.fromkeys(node.output, depends))

    nodes: list[onnx.NodeProto] = []
    outputs: list[onnx.ValueInfoProto] = []
    for value in graph.output:
        kept = [piece for piece in pieces(value.name, producers) if not reached[piece]]
        if kept:
            nodes.append(onnx.helper.make_node("Concat", kept, [value.name], axis=1))
            outputs.append(onnx.helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, ["N", None]))
    if not nodes:
        return None
    joined = {value.name for value in graph.output}
    body = [node for node in graph.node if not joined & set(node.output)]
    needed = reached_from([*body, *nodes], {value.name for value in outputs})
    reduced = onnx.ModelProto()
    reduced.CopyFrom(model)
    for field, items in (
        ("node", [node for node in [*body, *nodes] if needed & set(node.output)]),
        ("input", [value for value in graph.input if value.name in needed]),
        ("initializer", [tensor for tensor in graph.initializer if tensor.name in needed]),
        ("output", outputs),
    ):
        del getattr(reduced.graph, field)[:]
        getattr(reduced.graph, field).extend(items)
    return reduced


SPLITTERS = ("Tokenizer", "StringSplit")
"""Operators that make a row of each text, as long as the longest of them wants it."""


def padded_texts(model: onnx.ModelProto) -> set[str]:
    """The inputs that such an operator reads, at once or after others: what the longest text needs, every row takes."""
    texts = {value.name for value in model.graph.input if value.type.tensor_type.elem_type == onnx.TensorProto.STRING}
    split = {name for node in model.graph.node if node.op_type in SPLITTERS for name in node.input}
    return texts & reached_from(model.graph.node, split)


def pieces(name: str, producers: dict[str, onnx.NodeProto]) -> list[str]:
    """What a value is joined from along its second axis, in order; itself if it is not joined."""
    node = producers.get(name)
    if node is not None and node.op_type == "Identity":
        return pieces(node.input[0], producers)
    if node is not None and node.op_type == "Concat" and node.attribute[0].i == 1:
        return [piece for part in node.input for piece in pieces(part, producers)]
    return [name]


def reached_from(nodes: Sequence[onnx.NodeProto], outputs: Collection[str]) -> set[str]:
    """All values that the outputs are computed from, themselves included; nodes in topological order."""
    needed = set(outputs)
    for node in reversed(nodes):
        if needed & set(node.output):
            needed |= set(node.input)
    return needed


def towards(model: onnx.ModelProto, outputs: Collection[str]) -> onnx.ModelProto | None:
    """The part of the graph that some outputs are computed from; None if it has none of them."""
    graph = model.graph
    kept = [value for value in graph.output if value.name in outputs]
    if not kept:
        return None
    needed = reached_from(graph.node, {value.name for value in kept})
    part = onnx.ModelProto()
    part.CopyFrom(model)
    for field, items in (
        ("node", [node for node in graph.node if needed & set(node.output)]),
        ("input", [value for value in graph.input if value.name in needed]),
        ("initializer", [tensor for tensor in graph.initializer if tensor.name in needed]),
        ("output", kept),
    ):
        del getattr(part.graph, field)[:]
        getattr(part.graph, field).extend(items)
    return part
