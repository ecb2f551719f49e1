"""What is looked at in an .onnx file before ONNX Runtime is given it.

The file is walked as protobuf, without a library: no package beyond numpy is needed, large tensors are passed over without
being copied, and nothing in the file is followed, run or unpacked. Field numbers are those of `onnx.proto`
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shopkit.errors import ArtifactError
from shopkit.runtime.constants import FEW, SIZED, UNKNOWN, Constant, makes, outcome, rounds_of
from shopkit.runtime.pickles import PICKLE, is_pickle
from shopkit.runtime.protobuf import (
    FLOATS,
    INTS,
    STRING_DATA,
    STRINGS,
    DamagedError,
    fields_of,
    integers_of,
    message_of,
    text_of,
)

MAX_BYTES = 2 << 30
"""No larger file is loaded. It is also the most that protobuf, and so ONNX, can hold in one file."""
MAX_VALUES = 1 << 28
"""Values of a constant that a graph makes out of its shape alone; 1 GiB of float32."""
MAX_ROUNDS = 1 << 20
"""Of a loop that its constants keep going, with the loops around it."""
MAX_UNFOLDED = 1_000_000
"""Nodes that the file's own functions become."""
MAX_DEPTH = 16
"""Graphs inside graphs."""
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Whose operators every build of ONNX Runtime has; others load libraries or run Python."""
READS_FILES = frozenset({"EPContext"})
"""Operators of these domains that name other files."""

_DAMAGED = (
    "{name} is not an ONNX file that onnxruntime can load: it may be truncated or damaged ({reason}). "
    "Copy it again, or export it again."
)
_UINT8, _INT8 = 2, 3
_NUMBERS: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 6: np.dtype("<i4"), 7: np.dtype("<i8"), 11: np.dtype("<f8")}
"""Element types whose values are looked at."""
_EXTERNAL = 1


def check_model(model: bytes, name: str) -> int:
    """Refuse a model that is not one self-contained graph of known operators and of a size that it says openly.

    Args:
        model: the file's bytes.
        name: what it is called in messages.

    Returns:
        How many of its nodes ONNX Runtime may compute as it loads the graph: at least those whose inputs are constant.

    Raises:
        ArtifactError: not an ONNX file, too large, a pickle or tensors in other files, operators of an unknown domain, or
            constants of an enormous shape, or endless loops.
    """
    if len(model) > MAX_BYTES:
        raise ArtifactError(f"{name} has {len(model):,} bytes; files of up to {MAX_BYTES:,} are loaded.")
    if model[:4] == b"PK\x03\x04" or is_pickle(model):
        raise ArtifactError(
            f"{name} is a pickle or an archive, which can run code when it is read: it is not opened. Give a .onnx."
        )
    try:
        return _Walk(name, len(model)).model(memoryview(model))
    except DamagedError as error:
        raise ArtifactError(_DAMAGED.format(name=name, reason=error)) from None


# -- what is in a model ---------------------------------------------------------------------------------------------


@dataclass
class _Node:
    op: str = ""
    domain: str = ""
    name: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, _Attribute] = field(default_factory=dict)

    @property
    def integers(self) -> dict[str, list[int]]:
        return {name: attribute.integers for name, attribute in self.attributes.items()}

    def __str__(self) -> str:
        return f"node '{self.name or self.op}'"


@dataclass
class _Attribute:
    name: str = ""
    integers: list[int] = field(default_factory=list)
    number: float | None = None
    constant: Constant | None = None
    graphs: list[memoryview] = field(default_factory=list)

    def as_constant(self) -> Constant:
        """What a node `Constant` with this attribute gives."""
        if self.constant is not None:
            return self.constant
        if self.number is not None:
            return Constant.of(np.array(self.number, np.float32))
        if not self.integers:
            return UNKNOWN
        return Constant.of(np.array(self.integers[0] if self.name == "value_int" else self.integers, np.int64))


@dataclass
class _Walk:
    """One pass over a model; every check is made where the thing is met."""

    name: str
    size: int
    opsets: dict[str, int] = field(default_factory=dict)
    functions: dict[tuple[str, str], int] = field(default_factory=dict)
    """Of the file's own: nodes that each unfolds to, once that is known."""

    def model(self, data: memoryview) -> int:
        parts: list[tuple[int, memoryview]] = []
        bodies: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for number, value in fields_of(data):
            if number == 8:
                opset = dict(fields_of(message_of(value)))
                self.opsets[text_of(opset.get(1, b""))] = int(opset.get(2, 0)) if isinstance(opset.get(2, 0), int) else 0
            elif number == 14:
                for _, text in fields_of(message_of(value)):
                    self._refuse_pickle(text, "its metadata")
            elif number in (7, 25):
                parts.append((number, message_of(value)))
                if number == 25:
                    found = dict(fields_of(message_of(value)))
                    nodes = [self._node(message_of(part)) for number, part in fields_of(message_of(value)) if number == 7]
                    key = (text_of(found.get(10, b"")), text_of(found.get(1, b"")))
                    bodies[key] = [(node.domain, node.op) for node in nodes]
        # Protobuf would join several into one, which is then not what was looked at.
        if sum(number == 7 for number, _ in parts) != 1:
            raise DamagedError("it does not hold one graph")
        for key in bodies:
            self._unfold(key, bodies)
        return sum(self._graph(part, {}, 0, nodes_in=1 if number == 7 else 7) for number, part in parts)

    def _unfold(self, key: tuple[str, str], bodies: Mapping[tuple[str, str], list[tuple[str, str]]], depth: int = 0) -> int:
        """The nodes that a function of the file becomes: those that call each other can be many more than were written."""
        if key not in bodies:
            return 1
        if key not in self.functions:
            if depth > MAX_DEPTH:
                raise self._refused(f"has functions that call functions, more than {MAX_DEPTH} deep")
            found = sum(self._unfold(inner, bodies, depth + 1) for inner in bodies[key])
            if found > MAX_UNFOLDED:
                raise self._refused(f"has a function, {key[1]}, that unfolds to {found:,} nodes; {MAX_UNFOLDED:,} are allowed")
            self.functions[key] = found
        return self.functions[key]

    def _graph(self, data: memoryview, outer: Mapping[str, Constant], depth: int, nodes_in: int = 1, rounds: int = 1) -> int:
        """The number of nodes that ONNX Runtime may compute as it loads the graph, or more."""
        if depth > MAX_DEPTH:
            raise self._refused(f"has graphs inside graphs, more than {MAX_DEPTH} deep")
        constants, nodes = dict(outer), []
        for number, value in fields_of(data):
            if number == nodes_in:
                nodes.append(self._node(message_of(value)))
            elif number == 5 and nodes_in == 1:
                constants |= dict([self._tensor(message_of(value))])
            elif number == 15 and nodes_in == 1:
                self._sparse(message_of(value))
        for node in nodes:
            if node.op == "Constant":
                value = next(iter(node.attributes.values()), _Attribute())
                constants |= dict.fromkeys(node.outputs, value.as_constant())
        read: set[str] = set()
        n_folded, n_nodes, in_order = 0, 0, True
        for node in nodes:
            self._check_operator(node)
            given = [constants.get(name) for name in node.inputs]
            inside = self._check_size(node, given, rounds)
            for attribute in node.attributes.values():
                for graph in attribute.graphs:
                    n_folded += self._graph(graph, constants, depth + 1, rounds=inside)
            weight = self.functions.get((node.domain, node.op), 1)
            n_nodes += weight
            in_order &= read.isdisjoint(node.outputs)
            if node.op in ("Shape", "Size") or (node.inputs and all(constants.get(name) or not name for name in node.inputs)):
                # An input of a fixed size has a shape that is as good as a constant.
                made = outcome(node.op, given, node.integers) if node.domain in ("", "ai.onnx") else UNKNOWN
                self._check_values(made.size, node)
                constants |= zip(node.outputs, (made, *[UNKNOWN] * len(node.outputs)), strict=False)
                n_folded += weight
            else:
                read.update(node.inputs)
        return n_folded if in_order and depth == 0 and nodes_in == 1 else n_nodes + n_folded

    def _node(self, data: memoryview) -> _Node:
        node = _Node()
        for number, value in fields_of(data):
            if number == 1:
                node.inputs.append(text_of(value))
            elif number == 2:
                node.outputs.append(text_of(value))
            elif number in (3, 4, 7):
                setattr(node, {3: "name", 4: "op", 7: "domain"}[number], text_of(value))
            elif number == 5:
                attribute = self._attribute(message_of(value))
                node.attributes[attribute.name] = attribute
        return node

    def _attribute(self, data: memoryview) -> _Attribute:
        found = _Attribute()
        passed_over = {FLOATS}
        for number, value in fields_of(data, passed_over):
            if number == 1:
                found.name = text_of(value)
            elif number == 2:
                found.number = float(np.frombuffer(message_of(value)[:4].tobytes().ljust(4), "<f4")[0])
            elif number in (3, 8):
                if len(found.integers) < FEW:
                    found.integers += integers_of(value)
                else:
                    passed_over.add(INTS)
            elif number in (4, 9):
                if not isinstance(value, int) and is_pickle(value):
                    raise self._pickle(f"attribute '{found.name}'")
                # Where no pickle begins anywhere, no text of a vocabulary needs to be looked at by itself.
                if number == 9 and STRINGS not in passed_over and not PICKLE.search(data):
                    passed_over.add(STRINGS)
            elif number == 5 and found.constant is not None:
                raise DamagedError("an attribute has two values")
            elif number in (5, 10):
                _, found.constant = self._tensor(message_of(value))
            elif number in (6, 11):
                found.graphs.append(message_of(value))
            elif number in (22, 23):
                self._sparse(message_of(value))
        return found

    def _tensor(self, data: memoryview) -> tuple[str, Constant]:
        """Name and shape, and the values if they are few numbers."""
        label, kind, raw, floats = "", 0, None, b""
        dims: list[int] = []
        whole: list[int] = []
        external: list[memoryview] = []
        is_external = has_pickle = False
        passed_over: set[int] = set()
        for number, value in fields_of(data, passed_over):
            if number == 1:
                dims += integers_of(value)
            elif number == 2:
                kind = int(value) if isinstance(value, int) else 0
            elif number == 8:
                label = text_of(value)
            elif number in (5, 7) and len(whole) < FEW and (isinstance(value, int) or len(value) <= 1024):
                whole += integers_of(value)
            elif number in (4, 10) and len(floats) <= 8 * FEW and not isinstance(value, int):
                floats += bytes(value[: 8 * FEW + 1])
            elif number == 6:
                has_pickle |= not isinstance(value, int) and is_pickle(value)
                if not passed_over and not PICKLE.search(data):
                    passed_over.add(STRING_DATA)
            elif number == 9:
                raw = message_of(value)
            elif number == 13:
                external.append(message_of(value))
            elif number == 14:
                is_external = value == _EXTERNAL
        if external or is_external:
            raise self._external(label, external)
        if len(dims) > FEW or any(dim < 0 for dim in dims) or math.prod(dims) > 2 * self.size:
            raise self._refused(f"declares tensor '{label}' as {dims[:FEW]}, more values than the whole file has bytes")
        if has_pickle or (raw is not None and kind in (_UINT8, _INT8) and is_pickle(raw)):
            raise self._pickle(f"tensor '{label}'")
        shape, dtype = tuple(dims), _NUMBERS.get(kind)
        size = math.prod(shape)
        if dtype is None or size > FEW:
            return label, Constant(shape)
        content = floats if raw is None and dtype.kind == "f" else raw
        values = np.array(whole[:FEW], dtype) if content is None else np.frombuffer(content[: size * dtype.itemsize], dtype)
        return label, Constant(shape, values.reshape(shape)) if values.size == size else Constant(shape)

    def _sparse(self, data: memoryview) -> None:
        dims: list[int] = []
        for number, value in fields_of(data):
            if number in (1, 2):
                self._tensor(message_of(value))
            elif number == 3:
                dims += integers_of(value)
        self._check_values(math.prod(dims), "sparse tensor")

    # -- the refusals -------------------------------------------------------------------------------------------

    def _check_operator(self, node: _Node) -> None:
        if (node.domain, node.op) in self.functions:
            return
        version = self.opsets.get(node.domain, 0)
        if node.domain not in DOMAINS:
            raise self._refused(
                f"uses the operator {node.op} of the domain '{node.domain}' (operator set {version}; {node}). Operators of "
                "ai.onnx, ai.onnx.ml and com.microsoft are run, and functions that the file itself defines"
            )
        if node.op in READS_FILES:
            raise self._refused(f"uses the operator {node.op} ({node}), which reads other files")

    def _check_size(self, node: _Node, given: Sequence[Constant | None], rounds: int) -> int:
        """Refuse a node that makes an enormous array of small constants, or a loop that they keep going; the rounds inside it."""
        if node.op in SIZED:
            self._check_values(makes(node.op, given, node.integers), node)
        if node.op != "Loop":
            return rounds
        rounds *= rounds_of(given)
        if not any(node.inputs[:1]) or rounds > MAX_ROUNDS:
            said = f"of {rounds:,} rounds" if any(node.inputs[:1]) else "without a limit"
            raise self._refused(f"has a loop {said} ({node}); {MAX_ROUNDS:,} are allowed")
        return rounds

    def _check_values(self, values: int, maker: object) -> None:
        if values > MAX_VALUES:
            what = f"the operator {maker.op} ({maker})" if isinstance(maker, _Node) else f"a {maker}"
            raise self._refused(f"makes an array of {values:,} values by {what}; {MAX_VALUES:,} are allowed")

    def _refuse_pickle(self, value: Any, where: str) -> None:
        if not isinstance(value, int) and is_pickle(value):
            raise self._pickle(where)

    def _pickle(self, where: str) -> ArtifactError:
        return self._refused(f"holds a Python pickle in {where}, which can run code when it is read")

    def _external(self, label: str, entries: list[memoryview]) -> ArtifactError:
        texts = [dict(fields_of(entry)) for entry in entries]
        stated = {text_of(entry.get(1, b"")): text_of(entry.get(2, b"")) for entry in texts}
        location = stated.get("location", "")
        leads_out = location.startswith(("/", "\\", "~")) or ".." in re.split(r"[/\\]", location) or ":" in location
        where = ", a path outside its folder" if leads_out else ""
        return self._refused(
            f"keeps the values of tensor '{label}' in another file, '{location}'{where}. A file must hold all of its model"
        )

    def _refused(self, what: str) -> ArtifactError:
        return ArtifactError(f"{self.name} {what}: it is not loaded. Use files from a source you trust, or export it again.")
