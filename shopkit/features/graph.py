"""All extractors as one ONNX model: raw columns in, `dense` and `ids` out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import ndonnx as ndx
import numpy as np
import onnx
import spox

from shopkit.errors import ConfigError
from shopkit.features import traced
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FeatureSpec, FitContext, State
from shopkit.features.plan import Assignment, ResolvedPlan
from shopkit.features.sequences import ALL_STEPS, Limit, Steps, steps_context
from shopkit.features.subgraph import pieces, reached_from
from shopkit.features.tensors import ARRAYS, FIXED, Tensor
from shopkit.onnx_format import check, hoist_constants, pin_versions
from shopkit.progress import counted
from shopkit.schema import INPUT_PREFIX, LENGTHS, LENGTHS_INPUT, Column

_DTYPES = {"number": ndx.float32, "string": ndx.utf8, "time": ndx.int64, "image": ndx.uint8}


@dataclass(frozen=True)
class FittedFeatures:
    """What fitting leaves: a graph, what its outputs mean, and the training rows' own values where they differ."""

    model: onnx.ModelProto
    """Inputs: every feature column, (N,), as `column.<name>`; a sequence column is (N, L), and there is the input
    `sequences.lengths` int64 (N,). Outputs: the arrays of `spec.shapes`."""
    spec: FeatureSpec
    training_overrides: dict[int, np.ndarray]
    """First position in `dense` → (training rows, width) float32 that replaces the graph's values in training, e.g.
    out-of-fold target rates."""
    description: list[dict[str, Any]]
    """Plain data for the report: `column, kind, extractor, settings, why, width` (positions of its tensor)."""
    vocabularies: dict[str, list[str]]
    """Column → its categories in the order of their ids, from id 2 on."""
    assets: dict[str, str]
    """Name → text of files that stand beside the exported one."""
    groups: tuple[Group, ...]
    """The extractors with what they learnt."""


@dataclass(frozen=True)
class Group:
    """Columns that share an extractor and its settings, transformed at once."""

    extractor: Extractor
    assignments: tuple[Assignment, ...]
    states: tuple[State, ...]

    @property
    def sequence(self) -> bool:
        return self.assignments[0].column.sequence

    def blocks(self) -> list[FeatureBlock]:
        """In the order of `Encoded`: every column's first block of a tensor, then every column's second, …"""
        blocks = [self.extractor.blocks(a.column.name, state) for a, state in zip(self.assignments, self.states, strict=True)]
        depth = max(len(of_column) for of_column in blocks)
        in_order = [of_column[at] for at in range(depth) for of_column in blocks if at < len(of_column)]
        if not self.sequence:
            return in_order
        return [replace(b, tensor="sequence_ids" if b.tensor == "ids" else "sequence_dense") for b in in_order]


def fit(plan: ResolvedPlan, context: FitContext) -> FittedFeatures:
    """Fit every extractor on the training part and trace the graph.

    Raises:
        ConfigError: an extractor needs what the task does not have.
    """
    columns = plan.schema.of_role("feature")
    together = grouped(plan.assignments)
    groups = [fit_group(assignments, context) for assignments in counted(together, "fitting alike columns", len(together))]
    model, spec = trace(columns, groups, plan.limit), lay_out(groups)
    places = iter(spec.blocks)
    overrides: dict[int, np.ndarray] = {}
    widths: dict[int, int] = {}
    vocabularies: dict[str, list[str]] = {}
    notes: dict[int, str] = {}
    for group in groups:
        starts = {block.column: block.start for block in reversed([next(places) for _ in group.blocks()])}
        for assignment, state in zip(group.assignments, group.states, strict=True):
            column = assignment.column.name
            rows = group.extractor.fit_transform_rows(column, context, state)
            if rows is not None:
                overrides[starts[column]] = rows
            widths[id(assignment)] = sum(block.width for block in group.extractor.blocks(column, state))
            if (categories := group.extractor.categories(state)) is not None:
                vocabularies[column] = list(categories)
            if categories is not None and not len(categories):
                notes[id(assignment)] = "; no category has rows enough, so that its id says only whether there is a value"
    description = [
        {**one.to_json(), "why": one.why + notes.get(id(one), ""), "width": widths[id(one)]} for one in plan.assignments
    ]
    assets = {name: text for group in groups for name, text in group.extractor.assets(group.states).items()}
    return FittedFeatures(model, spec, overrides, description, vocabularies, assets, tuple(groups))


def grouped(assignments: Sequence[Assignment]) -> list[list[Assignment]]:
    """Assignments by extractor, settings and input type, in order of first appearance."""
    groups: dict[str, list[Assignment]] = {}
    for assignment in assignments:
        column = assignment.column
        like = [assignment.name, dict(assignment.settings), column.kind, column.double, column.sequence, column.channels]
        key = json.dumps(like, sort_keys=True)
        groups.setdefault(key, []).append(assignment)
    return list(groups.values())


def fit_group(assignments: Sequence[Assignment], context: FitContext) -> Group:
    extractor = assignments[0].extractor
    columns = [assignment.column for assignment in assignments]
    if columns[0].sequence:
        states = tuple(extractor.fit(c.name, steps_context(context, c.name)) for c in columns)
    else:
        states = extractor.fit_columns([c.name for c in columns], context)
    group = Group(extractor, tuple(assignments), states)
    for assignment, state in zip(assignments, states, strict=True):
        block = extractor.blocks(assignment.column.name, state)[0]
        if assignment.column.sequence and block.tensor not in FIXED:
            raise ConfigError(
                f"features.columns.{block.column}: {assignment.name} makes {block.tensor} of a value, which the steps of a "
                "sequence cannot become. Choose vocabulary, or another extractor that gives numbers or ids."
            )
    return group


def lay_out(groups: Sequence[Group]) -> FeatureSpec:
    """The blocks of all groups with their positions."""
    filled: dict[str, int] = dict.fromkeys(get_args(Tensor), 0)
    blocks = []
    for group in groups:
        for block in group.blocks():
            blocks.append(replace(block, start=filled[block.tensor]))
            filled[block.tensor] += block.width
    return FeatureSpec(tuple(blocks))


def trace(columns: Sequence[Column], groups: Sequence[Group], limit: Limit = ALL_STEPS) -> onnx.ModelProto:
    """The groups as one model. Deterministic: equal states give equal bytes."""
    arguments = {c.name: ndx.argument(shape=input_shape(c), dtype=ndx.float64 if c.double else _DTYPES[c.kind]) for c in columns}
    inputs = {INPUT_PREFIX + name: argument.unwrap_spox() for name, argument in arguments.items()}
    outputs = {}
    if sequences := [c.name for c in columns if c.sequence]:
        lengths = ndx.argument(shape=("N",), dtype=ndx.int64)
        inputs[LENGTHS_INPUT] = lengths.unwrap_spox()
        steps = Steps({name: arguments[name] for name in sequences}, lengths, limit)
        arguments |= steps.read.columns
        encoded = _encoded([group for group in groups if group.sequence], arguments)
        outputs = {f"sequence_{tensor}": steps.read.rows(array) for tensor, array in encoded.items()}
        outputs[LENGTHS] = steps.lengths
        if of_rest := [group for group in groups if group.sequence and any(block.rest for block in group.blocks())]:
            outputs["rest_ids"] = steps.rest.rows(_encoded(of_rest, steps.rest.columns)["ids"])
    outputs = _encoded([group for group in groups if not group.sequence], arguments) | outputs
    model = spox.build(inputs, {name: array.unwrap_spox() for name, array in outputs.items()})
    finish(model, lay_out(groups), tuple(inputs))
    return model


def input_shape(column: Column) -> tuple[str | int, ...]:
    """Of a column's input."""
    if column.kind == "image":
        # Named after the column: runtimes take dimensions of one name to be equal.
        return ("N", f"{column.name}.height", f"{column.name}.width", column.channels)
    return ("N", "L") if column.sequence else ("N",)


def _encoded(groups: Sequence[Group], arguments: Mapping[str, ndx.Array]) -> dict[str, ndx.Array]:
    """The arrays of all groups, those there are."""
    encoded: list[Encoded] = [
        group.extractor.transform([arguments[a.column.name] for a in group.assignments], group.states) for group in groups
    ]
    parts: dict[str, list[ndx.Array]] = {}
    n_terms = 0
    for group, of_group in zip(groups, encoded, strict=True):
        for name in ARRAYS:
            array = getattr(of_group, name, None)
            if array is not None:
                parts.setdefault(name, []).append(array + np.int64(n_terms) if name == "bag_ids" and n_terms else array)
        n_terms += sum(block.width for block in group.blocks() if block.tensor == "bag")
    for name, what in (("tokens", "text"), ("image", "image")):
        if len(parts.get(name, [])) > 1:
            given = [f"{a.column.name} ({a.name})" for group in groups for a in group.assignments if _gives(group, name)]
            raise ConfigError(
                f"More than one extractor gives {name}: {', '.join(given)}. A model reads one {what}: choose one extractor with "
                "the same settings for these columns, or leave columns out with features.ignore."
            )
    return {name: traced.side_by_side(arrays) for name, arrays in parts.items()}


def _gives(group: Group, tensor: str) -> bool:
    return any(block.tensor == tensor for block in group.blocks())


def finish(model: onnx.ModelProto, spec: FeatureSpec, inputs: tuple[str, ...]) -> None:
    """Name dimensions and inner values, turn constants into initialisers, and check versions and types. In place."""
    pin_versions(model)
    del model.metadata_props[:]
    graph = model.graph
    graph.name = "features"
    hoist_constants(graph)
    _join_once(graph)
    _rename_inner(graph, {*inputs, *ARRAYS})
    for value in graph.output:
        element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(ARRAYS[value.name].dtype))
        assert value.type.tensor_type.elem_type == element, f"{value.name} has element type {value.type.tensor_type.elem_type}"
        value.CopyFrom(onnx.helper.make_tensor_value_info(value.name, element, ["N", *spec.shapes[value.name]]))
    check(model)


def _join_once(graph: onnx.GraphProto) -> None:
    """Make `dense` and `ids` one `Concat` of all their pieces, where a group's own were joined first: every node costs time."""
    producers = {name: node for node in graph.node for name in node.output}
    joins = []
    plain = {value.name for value in graph.output} & set(FIXED)
    for value in graph.output:
        if value.name not in plain:
            continue
        parts = pieces(value.name, producers)
        joined = onnx.helper.make_node("Concat", parts, [value.name], axis=1)
        joins.append(joined if len(parts) > 1 else onnx.helper.make_node("Identity", parts, [value.name]))
    nodes = [node for node in graph.node if not plain & set(node.output)] + joins
    needed = reached_from(nodes, {value.name for value in graph.output})
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
