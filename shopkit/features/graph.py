"""All extractors as one ONNX model: raw columns in, `dense` and `ids` out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import ndonnx as ndx
import numpy as np
import onnx
import spox

from shopkit.features import traced
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FeatureSpec, FitContext, State
from shopkit.features.plan import Assignment, ResolvedPlan
from shopkit.features.subgraph import pieces, reached_from
from shopkit.onnx_format import hoist_constants, pin_versions
from shopkit.schema import INPUT_PREFIX, Column

TENSORS = ("dense", "ids")
_DTYPES = {"number": ndx.float32, "string": ndx.utf8, "time": ndx.int64}


@dataclass(frozen=True)
class FittedFeatures:
    """What fitting leaves: a graph, what its outputs mean, and the training rows' own values where they differ."""

    model: onnx.ModelProto
    """Inputs: every feature column, (N,), as `column.<name>`. Outputs: `dense` float32 (N, n_dense) and `ids` int64 (N, n_ids);
    one of width 0 is left out."""
    spec: FeatureSpec
    training_overrides: dict[int, np.ndarray]
    """First position in `dense` → (training rows, width) float32 that replaces the graph's values in training, e.g.
    out-of-fold target rates."""
    description: list[dict[str, Any]]
    """Plain data for the report: `column, kind, extractor, <settings>, why`."""


@dataclass(frozen=True)
class Group:
    """Columns that share an extractor and its settings, transformed at once."""

    extractor: Extractor
    assignments: tuple[Assignment, ...]
    states: tuple[State, ...]

    def blocks(self) -> list[FeatureBlock]:
        """In the order of `Encoded`: every column's first block of a tensor, then every column's second, …"""
        blocks = [self.extractor.blocks(a.column.name, state) for a, state in zip(self.assignments, self.states, strict=True)]
        depth = max(len(of_column) for of_column in blocks)
        return [of_column[at] for at in range(depth) for of_column in blocks if at < len(of_column)]


def fit(plan: ResolvedPlan, context: FitContext) -> FittedFeatures:
    """Fit every extractor on the training part and trace the graph.

    Raises:
        ConfigError: an extractor needs what the task does not have.
    """
    columns = plan.schema.of_role("feature")
    groups = [fit_group(assignments, context) for assignments in grouped(plan.assignments)]
    model, spec = trace(columns, groups), lay_out(groups)
    places = iter(spec.blocks)
    overrides: dict[int, np.ndarray] = {}
    for group in groups:
        starts = {block.column: block.start for block in reversed([next(places) for _ in group.blocks()])}
        for assignment, state in zip(group.assignments, group.states, strict=True):
            column = assignment.column.name
            rows = group.extractor.fit_transform_rows(column, context, state)
            if rows is not None:
                overrides[starts[column]] = rows
    return FittedFeatures(model, spec, overrides, plan.to_json())


def grouped(assignments: Sequence[Assignment]) -> list[list[Assignment]]:
    """Assignments by extractor, settings and input type, in order of first appearance."""
    groups: dict[str, list[Assignment]] = {}
    for assignment in assignments:
        column = assignment.column
        key = json.dumps([assignment.name, dict(assignment.settings), column.kind, column.double], sort_keys=True)
        groups.setdefault(key, []).append(assignment)
    return list(groups.values())


def fit_group(assignments: Sequence[Assignment], context: FitContext) -> Group:
    extractor = assignments[0].extractor
    states = tuple(extractor.fit(assignment.column.name, context) for assignment in assignments)
    return Group(extractor, tuple(assignments), states)


def lay_out(groups: Sequence[Group]) -> FeatureSpec:
    """The blocks of all groups with their positions."""
    filled = dict.fromkeys(TENSORS, 0)
    blocks = []
    for group in groups:
        for block in group.blocks():
            blocks.append(replace(block, start=filled[block.tensor]))
            filled[block.tensor] += block.width
    return FeatureSpec(tuple(blocks))


def trace(columns: Sequence[Column], groups: Sequence[Group]) -> onnx.ModelProto:
    """The groups as one model. Deterministic: equal states give equal bytes."""
    arguments = {c.name: ndx.argument(shape=("N",), dtype=ndx.float64 if c.double else _DTYPES[c.kind]) for c in columns}
    encoded: list[Encoded] = [
        group.extractor.transform([arguments[a.column.name] for a in group.assignments], group.states) for group in groups
    ]
    parts = {"dense": [e.dense for e in encoded if e.dense is not None], "ids": [e.ids for e in encoded if e.ids is not None]}
    outputs = {tensor: traced.side_by_side(arrays).unwrap_spox() for tensor, arrays in parts.items() if arrays}
    inputs = {INPUT_PREFIX + name: argument.unwrap_spox() for name, argument in arguments.items()}
    model = spox.build(inputs, outputs)
    finish(model, lay_out(groups), tuple(inputs))
    return model


def finish(model: onnx.ModelProto, spec: FeatureSpec, inputs: tuple[str, ...]) -> None:
    """Name dimensions and inner values, turn constants into initialisers, and check versions and types. In place."""
    pin_versions(model)
    del model.metadata_props[:]
    graph = model.graph
    graph.name = "features"
    hoist_constants(graph)
    _join_once(graph)
    _rename_inner(graph, {*inputs, *TENSORS})
    expected = {"dense": (onnx.TensorProto.FLOAT, spec.n_dense), "ids": (onnx.TensorProto.INT64, spec.n_ids)}
    for value in graph.output:
        element, width = expected[value.name]
        assert value.type.tensor_type.elem_type == element, f"{value.name} has element type {value.type.tensor_type.elem_type}"
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, element, ["N", width]))
    onnx.checker.check_model(model, full_check=True)


def _join_once(graph: onnx.GraphProto) -> None:
    """Make each output one `Concat` of all its pieces, where a group's own were joined first: every node costs time."""
    producers = {name: node for node in graph.node for name in node.output}
    joins = []
    for value in graph.output:
        parts = pieces(value.name, producers)
        joined = onnx.helper.make_node("Concat", parts, [value.name], axis=1)
        joins.append(joined if len(parts) > 1 else onnx.helper.make_node("Identity", parts, [value.name]))
    outer = {value.name for value in graph.output}
    nodes = [node for node in graph.node if not outer & set(node.output)] + joins
    needed = reached_from(nodes, outer)
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes if needed & set(node.output)]
    del graph.node[:]
    graph.node.extend(kept)


def _rename_inner(graph: onnx.GraphProto, outer: set[str]) -> None:
    """Inner values get short names of their own, apart from any column's: spox calls them after operators."""
    names: dict[str, str] = {"": ""}
    for name in [tensor.name for tensor in graph.initializer] + [name for node in graph.node for name in node.output]:
        if name not in outer:
            names[name] = f"features/{len(names)}"
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    for at, node in enumerate(graph.node):
        node.name = f"features/{node.op_type}_{at}"
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    del graph.value_info[:]
