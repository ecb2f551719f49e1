"""Joining graphs into one file: features → model → decision, with stable names, versions and constants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import ndonnx as ndx
import numpy as np
import onnx
import spox
from onnx import numpy_helper

from shopkit.errors import ExportError
from shopkit.exporters.base import Fitted
from shopkit.exporters.fold import drop_identities, fold_affine
from shopkit.onnx_format import hoist_constants, pin_versions
from shopkit.runtime.artifact import FORMAT_VERSION, METADATA_KEY
from shopkit.schema import INPUT_PREFIX, LENGTHS, LENGTHS_INPUT, Column

_INPUT_DTYPES = {"number": np.float32, "string": np.str_, "time": np.int64}
_ELEMENT_TYPES = {
    np.dtype("float32"): "float32",
    np.dtype("float64"): "float64",
    np.dtype("int64"): "int64",
    np.dtype("bool"): "bool",
}
SEQUENCES = (
    "A sequence column is an array (N, L), its rows padded on the right to a common L of at least 1; `lengths` names the int64 "
    "input (N,) that says how many steps each row has. What stands beyond them is not read; among them, '' and NaN are missing."
)
"""What the file says to those who feed it without shopkit."""


def compose(fitted: Fitted) -> onnx.ModelProto:
    """One graph from raw columns to the named outputs, with its self-description.

    Raises:
        ExportError: the pieces do not fit together, or need newer operators than runtimes read.
    """
    task = fitted.task
    columns = fitted.schema.of_role("feature")
    arguments = {INPUT_PREFIX + column.name: spox.argument(_input_type(column)) for column in columns}
    if any(column.sequence for column in columns):
        arguments[LENGTHS_INPUT] = spox.argument(spox.Tensor(np.int64, ("N",)))
    features = spox.inline(fitted.features)(**arguments)
    needed = {value.name for value in fitted.model.graph.input}
    if missing := needed - set(features):
        raise ExportError(f"The model's graph wants the inputs {sorted(missing)}, the feature graph gives {sorted(features)}.")
    scores = spox.inline(fitted.model)(**{name: features[name] for name in needed})["scores"]
    decided = task.decide(ndx.asarray(scores))
    model = spox.build(arguments, {output.name: decided[output.name].unwrap_spox() for output in task.outputs})
    names, lengths = _rename_inputs(model.graph)
    hoist_constants(model.graph)
    fold_affine(model.graph)
    drop_identities(model.graph)
    facts = {
        **fitted.metadata,
        "format_version": FORMAT_VERSION,
        "schema": fitted.schema.to_json(),
        "inputs": names,
        "outputs": [_output_facts(output.__dict__) for output in task.outputs],
        "decision": task.state,
    }
    if lengths:
        facts["lengths"] = lengths
        facts["sequences"] = SEQUENCES
    finish(model, facts)
    return model


def _rename_inputs(graph: onnx.GraphProto) -> tuple[dict[str, str], str]:
    """Give each input its column's own name, unless some value in the graph has it; that of sequences' lengths is `lengths`.

    Returns:
        Column → input name, and the name of the lengths' input, empty where there is none.
    """
    taken = {name for node in graph.node for name in node.output} | {tensor.name for tensor in graph.initializer}
    names, renamed = {}, {}
    for value in graph.input:
        if value.name != LENGTHS_INPUT:
            column = value.name.removeprefix(INPUT_PREFIX)
            names[column] = renamed[value.name] = value.name if column in taken else column
    lengths = LENGTHS if LENGTHS not in {*taken, *renamed.values()} else LENGTHS_INPUT
    if any(value.name == LENGTHS_INPUT for value in graph.input):
        renamed[LENGTHS_INPUT] = lengths
    for value in graph.input:
        value.name = renamed[value.name]
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    return names, renamed.get(LENGTHS_INPUT, "")


def finish(model: onnx.ModelProto, facts: Mapping[str, Any]) -> None:
    """Pin versions, drop build-time traces, set names of dimensions and metadata. In place."""
    pin_versions(model)
    model.doc_string = ""
    _strip(model.graph)
    for function in model.functions:
        del function.metadata_props[:]
        for node in function.node:
            _strip_node(node)
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if dims:
            dims[0].Clear()
            dims[0].dim_param = "N"
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if len(dims) == 2:  # a sequence
            dims[1].Clear()
            dims[1].dim_param = "L"
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(facts, sort_keys=True, ensure_ascii=False)
    onnx.checker.check_model(model, full_check=True)


def _strip(graph: onnx.GraphProto) -> None:
    del graph.metadata_props[:]
    for value in graph.value_info:
        del value.metadata_props[:]
    for tensor in graph.initializer:
        del tensor.metadata_props[:]
    for node in graph.node:
        _strip_node(node)


def _strip_node(node: onnx.NodeProto) -> None:
    # torch leaves stack traces with source paths here: they would leak them and make equal runs differ.
    del node.metadata_props[:]
    node.doc_string = ""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            _strip(attribute.g)


def _input_type(column: Column) -> spox.Tensor:
    dtype = np.float64 if column.double else _INPUT_DTYPES[column.kind]
    return spox.Tensor(dtype, ("N", "L") if column.sequence else ("N",))


def _output_facts(output: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in output.items() if value not in ("", ())}


def parameters(model: onnx.ModelProto) -> int:
    """Number of values in the graph's initialisers."""
    return int(sum(np.prod(numpy_helper.to_array(tensor).shape) for tensor in model.graph.initializer))
