"""Nodes that a file can do without: a row that goes through it alone pays for every one of them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper


def drop_identities(graph: onnx.GraphProto) -> None:
    """Let values that `Identity` only passes on to an output carry the output's name themselves, in place."""
    producers = {name: node for node in graph.node for name in node.output}
    outputs = {value.name for value in graph.output}
    for node in [node for node in graph.node if node.op_type == "Identity"]:
        source, name = node.input[0], node.output[0]
        if name not in outputs or source in outputs or source not in producers:
            continue
        producer = producers[source]
        producer.output[:] = [name if output == source else output for output in producer.output]
        producers[name] = producer
        for reader in graph.node:
            reader.input[:] = [name if read == source else read for read in reader.input]
        graph.node.remove(node)


_THROUGH = {"Squeeze", "Reshape", "Identity"}


def fold_affine(graph: onnx.GraphProto) -> None:
    """Rewrite `Gemm → (Squeeze) → · scale → + offset`, both single numbers, as one `Gemm`, in place.

    Constants must be initialisers.
    """
    while _fold_one(graph):
        pass
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    kept = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _fold_one(graph: onnx.GraphProto) -> bool:
    producers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, int] = {}
    for name in [name for node in graph.node for name in node.input] + [value.name for value in graph.output]:
        readers[name] = readers.get(name, 0) + 1
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    outputs = {value.name for value in graph.output}
    for node in graph.node:
        if node.op_type not in ("Mul", "Add") or node.output[0] in outputs:
            continue
        source, operand = sorted(node.input, key=lambda name: name in constants)
        if source in constants or operand not in constants or constants[operand].size != 1:
            continue
        path = source
        while path in producers and readers[path] == 1 and producers[path].op_type in _THROUGH:
            path = producers[path].input[0]
        gemm = producers.get(path)
        if gemm is None or gemm.op_type != "Gemm" or readers[path] != 1 or len(gemm.input) < 3:
            continue
        if any(attribute.name in ("alpha", "beta") and attribute.f != 1 for attribute in gemm.attribute):
            continue
        if gemm.input[1] not in constants or gemm.input[2] not in constants:
            continue
        value = constants[operand].reshape(())
        weight, bias = constants[gemm.input[1]], constants[gemm.input[2]]
        weight, bias = (weight * value, bias * value) if node.op_type == "Mul" else (weight, bias + value)
        for position, array in ((1, weight), (2, bias)):
            name = f"{node.output[0]}_{position}"
            graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
            gemm.input[position] = name
        for reader in graph.node:
            reader.input[:] = [source if name == node.output[0] else name for name in reader.input]
        graph.node.remove(node)
        return True
    return False
