"""Joining graphs into one file: features → model → decision, with stable names, versions and constants."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import ndonnx as ndx
import numpy as np
import onnx
import spox
from onnx import numpy_helper

from shopkit.errors import ExportError
from shopkit.exporters.attention import simplify_attention
from shopkit.exporters.base import Fitted
from shopkit.exporters.fold import drop_identities, fold_affine
from shopkit.exporters.footprint import footprint
from shopkit.features.graph import input_shape
from shopkit.onnx_format import check, hoist_constants, pin_versions
from shopkit.runtime.artifact import FORMAT_VERSION, METADATA_KEY
from shopkit.schema import INPUT_PREFIX, LENGTHS, LENGTHS_INPUT, Column
from shopkit.tasks.base import Input, Output

_INPUT_DTYPES = {"number": np.float32, "string": np.str_, "time": np.int64, "image": np.uint8}
_ELEMENT_TYPES = {
    np.dtype("float32"): "float32",
    np.dtype("float64"): "float64",
    np.dtype("int64"): "int64",
    np.dtype("bool"): "bool",
}
OPTION_PREFIX = "option."
"""Put before the name of a task's own input inside graphs."""
SEQUENCES = (
    "A sequence column is an array (N, L), its rows padded on the right to a common L of at least 1; `lengths` names the int64 "
    "input (N,) that says how many steps each row has. What stands beyond them is not read; among them, '' and NaN are missing."
)
"""What the file says to those who feed it without shopkit."""
IMAGES = (
    "An image column is an array uint8 (N, H, W, C) of pixels from 0 to 255, rows from the top, channels last, any H and W; "
    "images of another size go in another call. A missing image is one black pixel."
)


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
    scores = spox.inline(_simplified(fitted.model))(**{name: features[name] for name in needed})["scores"]
    options = {OPTION_PREFIX + option.name: option_argument(option) for option in task.inputs}
    decided = task.decide(ndx.asarray(scores), **{option.name: options[OPTION_PREFIX + option.name] for option in task.inputs})
    arguments |= {name: option.unwrap_spox() for name, option in options.items()}
    model = spox.build(arguments, {output.name: decided[output.name].unwrap_spox() for output in task.outputs})
    renamed = _rename_inputs(model.graph)
    hoist_constants(model.graph)
    fold_affine(model.graph)
    drop_identities(model.graph)
    facts = {
        **fitted.metadata,
        "format_version": FORMAT_VERSION,
        "schema": fitted.schema.to_json(),
        "inputs": {column.name: renamed[INPUT_PREFIX + column.name] for column in columns},
        "outputs": [_facts(output) for output in task.outputs],
        "decision": task.state,
        "footprint": footprint(fitted).to_json(),
    }
    if LENGTHS_INPUT in renamed:
        facts["lengths"] = renamed[LENGTHS_INPUT]
        facts["sequences"] = SEQUENCES
    if any(column.kind == "image" for column in columns):
        facts["images"] = IMAGES
    if task.inputs:
        facts["options"] = [{**_facts(option), "input": renamed[OPTION_PREFIX + option.name]} for option in task.inputs]
    finish(model, facts)
    return model


def _simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with less to do for the same numbers."""
    if all(node.op_type != "Softmax" for node in model.graph.node):
        return model
    simpler: onnx.ModelProto = onnx.ModelProto.FromString(model.SerializeToString())
    hoist_constants(simpler.graph)
    simplify_attention(simpler)
    return simpler


def _rename_inputs(graph: onnx.GraphProto) -> dict[str, str]:
    """Give each input its column's or its option's own name, unless some value in the graph has it; that of sequences' lengths
    is `lengths`.

    Returns:
        The name inside → the name of the input.
    """
    taken = {name for node in graph.node for name in node.output} | {tensor.name for tensor in graph.initializer}
    renamed: dict[str, str] = {}
    # Columns first: theirs are the names that a caller knows.
    for value in sorted(graph.input, key=lambda value: not value.name.startswith(INPUT_PREFIX)):
        short = LENGTHS if value.name == LENGTHS_INPUT else value.name.removeprefix(INPUT_PREFIX).removeprefix(OPTION_PREFIX)
        renamed[value.name] = value.name if short in {*taken, *renamed.values()} else short
    for value in graph.input:
        value.name = renamed[value.name]
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    return renamed


def finish(model: onnx.ModelProto, facts: Mapping[str, Any]) -> None:
    """Pin versions, drop build-time traces, set names of dimensions and metadata. In place."""
    pin_versions(model)
    model.doc_string = ""
    _strip(model.graph)
    for function in model.functions:
        del function.metadata_props[:]
        for node in function.node:
            _strip_node(node)
    options = {option["input"]: option.get("shape", []) for option in facts.get("options", [])}
    per = {output["name"]: [output["per"]] for output in facts.get("outputs", []) if output.get("per")}
    for value in model.graph.input:
        is_image = len(value.type.tensor_type.shape.dim) == 4
        names = ["N", f"{value.name}.height", f"{value.name}.width"] if is_image else ["N", "L"]
        _name_dims(value, options.get(value.name, names))
    for value in model.graph.output:
        _name_dims(value, ["N", *per.get(value.name, [])])
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(facts, sort_keys=True, ensure_ascii=False)
    check(model)


def _name_dims(value: onnx.ValueInfoProto, names: Sequence[str | int]) -> None:
    for dim, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
        dim.Clear()
        if isinstance(name, int):
            dim.dim_value = name
        else:
            dim.dim_param = name


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


def option_argument(option: Input) -> ndx.Array:
    dtype = {"string": ndx.utf8, "float32": ndx.float32, "int64": ndx.int64, "bool": ndx.bool}[option.dtype]
    return ndx.argument(shape=option.shape, dtype=dtype)


def _input_type(column: Column) -> spox.Tensor:
    dtype = np.float64 if column.double else _INPUT_DTYPES[column.kind]
    return spox.Tensor(dtype, input_shape(column))


def _facts(described: Output | Input) -> dict[str, Any]:
    found = described.__dict__
    return {key: list(value) if isinstance(value, tuple) else value for key, value in found.items() if value not in ("", ())}


def parameters(model: onnx.ModelProto) -> int:
    """Number of values in the graph's initialisers."""
    return int(sum(np.prod(numpy_helper.to_array(tensor).shape) for tensor in model.graph.initializer))
