"""What is looked at in an .onnx file before ONNX Runtime is given it.

The file is walked as protobuf, without a library: no package beyond Python is needed, large tensors are passed over without
being copied, and nothing in the file is followed, run or unpacked. Field numbers are those of `onnx.proto`
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shopkit.errors import ArtifactError
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

MANIFEST = "manifest.json"
"""Beside a model in a run folder: the sha256 of every file of the run."""
MAX_BYTES = 2 << 30
"""No larger file is loaded. It is also the most that protobuf, and so ONNX, can hold in one file."""
MAX_VALUES = 1 << 28
"""Values of a constant that a graph makes out of its shape alone; 1 GiB of float32."""
MAX_RANK = 64
"""Whole numbers of a constant that are looked at as a shape; no array has as many dimensions."""
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
_UINT8, _INT8, _INT32, _INT64 = 2, 3, 6, 7
_EXTERNAL = 1
_PICKLE = re.compile(rb"\x80[\x02-\x05]")


@contextmanager
def check_manifest(path: Path, content: bytes) -> Iterator[None]:
    """Compare a file of a run folder with what the run's manifest says of it, while the block loads it: a hash takes a fifth of
    the time that loading takes. Files elsewhere have no manifest.

    Raises:
        ArtifactError: the file was changed after the run was sealed, whatever the block found wrong with it; or the manifest
            cannot be read.
    """
    manifest = path.with_name(MANIFEST)
    expected = _sealed_hash(manifest, path) if manifest.is_file() else None
    if expected is None:
        yield
        return
    # Not for files elsewhere, which answer sooner without them.
    import hashlib
    import threading

    found: list[str] = []
    hashing = threading.Thread(target=lambda: found.append(hashlib.sha256(content).hexdigest()))
    hashing.start()
    try:
        yield
    finally:
        hashing.join()
        if found != [expected]:
            raise ArtifactError(
                f"{path} was changed after its run was sealed (its sha256 is not that in {MANIFEST}). Restore it from a backup, "
                "or run the experiment again. A file that was changed on purpose can be used from outside its run folder."
            )


def _sealed_hash(manifest: Path, path: Path) -> str | None:
    """What a manifest says the sha256 of a file is; None if it says nothing of it."""
    try:
        facts = json.loads(manifest.read_bytes())
    except ValueError as error:
        raise ArtifactError(f"{manifest} cannot be read ({error}), so {path.name} cannot be checked against it.") from error
    files = facts.get("files") if isinstance(facts, dict) else None
    expected: str | None = files.get(path.name) if isinstance(files, dict) else None
    return expected


def is_pickle(data: bytes | memoryview) -> bool:
    """Whether bytes are a Python pickle of protocol 2 or later, told without loading it.

    >>> import pickle
    >>> is_pickle(pickle.dumps({"a": 1})), is_pickle(b"a text")
    (True, False)
    """
    if len(data) < 3 or data[0] != 0x80 or not _PICKLE.match(data) or data[-1] != ord("."):
        return False
    import pickletools

    try:
        return all(True for _ in pickletools.genops(bytes(data)))
    except Exception:  # genops raises whatever its reading of the bytes runs into; then they are something else
        return False


def check_model(model: bytes, name: str) -> None:
    """Refuse a model that is not one self-contained graph of known operators and of a size that it says openly.

    Args:
        model: the file's bytes.
        name: what it is called in messages.

    Raises:
        ArtifactError: not an ONNX file, too large, a pickle or tensors in other files, operators of an unknown domain, or
            constants of an enormous shape.
    """
    if len(model) > MAX_BYTES:
        raise ArtifactError(f"{name} has {len(model):,} bytes; files of up to {MAX_BYTES:,} are loaded.")
    if model[:4] == b"PK\x03\x04" or is_pickle(model):
        raise ArtifactError(
            f"{name} is a pickle or an archive, which can run code when it is read: it is not opened. Give a .onnx."
        )
    try:
        _Walk(name, len(model)).model(memoryview(model))
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

    def __str__(self) -> str:
        return f"node '{self.name or self.op}'"


@dataclass
class _Attribute:
    name: str = ""
    integers: list[int] = field(default_factory=list)
    constant: tuple[int, ...] | None = None
    """The values of a small tensor of whole numbers."""


@dataclass
class _Walk:
    """One pass over a model; every check is made where the thing is met."""

    name: str
    size: int
    opsets: dict[str, int] = field(default_factory=dict)
    functions: set[tuple[str, str]] = field(default_factory=set)

    def model(self, data: memoryview) -> None:
        parts: list[tuple[int, memoryview]] = []
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
                    self.functions.add((text_of(found.get(10, b"")), text_of(found.get(1, b""))))
        # Protobuf would join several into one, which is then not what was looked at.
        if sum(number == 7 for number, _ in parts) != 1:
            raise DamagedError("it does not hold one graph")
        for number, part in parts:
            self._graph(part, {}, 0, nodes_in=1 if number == 7 else 7)

    def _graph(self, data: memoryview, outer: Mapping[str, tuple[int, ...]], depth: int, nodes_in: int = 1) -> None:
        if depth > MAX_DEPTH:
            raise self._refused(f"has graphs inside graphs, more than {MAX_DEPTH} deep")
        constants, nodes = dict(outer), []
        for number, value in fields_of(data):
            if number == nodes_in:
                nodes.append(self._node(message_of(value), constants, depth))
            elif number == 5 and nodes_in == 1:
                label, values = self._tensor(message_of(value))
                constants[label] = values
            elif number == 15 and nodes_in == 1:
                self._sparse(message_of(value))
        for node in nodes:
            if node.op == "Constant":
                value = next(iter(node.attributes.values()), _Attribute())
                found = value.constant if value.constant is not None else tuple(value.integers)
                constants |= dict.fromkeys(node.outputs, found)
        for node in nodes:
            self._check_operator(node)
            self._check_shape(node, constants)

    def _node(self, data: memoryview, constants: Mapping[str, tuple[int, ...]], depth: int) -> _Node:
        node = _Node()
        for number, value in fields_of(data):
            if number == 1:
                node.inputs.append(text_of(value))
            elif number == 2:
                node.outputs.append(text_of(value))
            elif number in (3, 4, 7):
                setattr(node, {3: "name", 4: "op", 7: "domain"}[number], text_of(value))
            elif number == 5:
                attribute = self._attribute(message_of(value), constants, depth)
                node.attributes[attribute.name] = attribute
        return node

    def _attribute(self, data: memoryview, constants: Mapping[str, tuple[int, ...]], depth: int) -> _Attribute:
        found = _Attribute()
        passed_over = {FLOATS}
        for number, value in fields_of(data, passed_over):
            if number == 1:
                found.name = text_of(value)
            elif number in (3, 8):
                if len(found.integers) < MAX_RANK:
                    found.integers += integers_of(value)
                else:
                    passed_over.add(INTS)
            elif number in (4, 9):
                if not isinstance(value, int) and is_pickle(value):
                    raise self._pickle(f"attribute '{found.name}'")
                # Where no pickle begins anywhere, no text of a vocabulary needs to be looked at by itself.
                if number == 9 and STRINGS not in passed_over and not _PICKLE.search(data):
                    passed_over.add(STRINGS)
            elif number == 5 and found.constant is not None:
                raise DamagedError("an attribute has two values")
            elif number in (5, 10):
                _, found.constant = self._tensor(message_of(value))
            elif number in (6, 11):
                self._graph(message_of(value), constants, depth + 1)
            elif number in (22, 23):
                self._sparse(message_of(value))
        return found

    def _tensor(self, data: memoryview) -> tuple[str, tuple[int, ...]]:
        """Name, and the values if they are a few whole numbers, else none."""
        label, kind, raw = "", 0, None
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
            elif number in (5, 7) and len(whole) < MAX_RANK and (isinstance(value, int) or len(value) <= 1024):
                whole += integers_of(value)
            elif number == 6:
                has_pickle |= not isinstance(value, int) and is_pickle(value)
                if not passed_over and not _PICKLE.search(data):
                    passed_over.add(STRING_DATA)
            elif number == 9:
                raw = message_of(value)
            elif number == 13:
                external.append(message_of(value))
            elif number == 14:
                is_external = value == _EXTERNAL
        if external or is_external:
            raise self._external(label, external)
        if any(dim < 0 for dim in dims) or math.prod(dims) > 2 * self.size:
            raise self._refused(f"declares tensor '{label}' as {dims}, more values than the whole file has bytes")
        if has_pickle or (raw is not None and kind in (_UINT8, _INT8) and is_pickle(raw)):
            raise self._pickle(f"tensor '{label}'")
        if kind in (_INT32, _INT64) and raw is not None and len(raw) <= 1024:
            width = 4 if kind == _INT32 else 8
            whole = [int.from_bytes(raw[at : at + width], "little", signed=True) for at in range(0, len(raw), width)]
        return label, tuple(whole)

    def _sparse(self, data: memoryview) -> None:
        dims: list[int] = []
        for number, value in fields_of(data):
            if number in (1, 2):
                self._tensor(message_of(value))
            elif number == 3:
                dims += integers_of(value)
        self._check_values(math.prod(dims), "a sparse tensor")

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

    def _check_shape(self, node: _Node, constants: Mapping[str, tuple[int, ...]]) -> None:
        """Refuse a node that makes an enormous array of a small constant."""

        def given(at: int) -> tuple[int, ...]:
            return constants.get(node.inputs[at], ()) if at < len(node.inputs) else ()

        values = 1
        if node.op == "ConstantOfShape":
            values = math.prod(given(0))
        elif node.op in ("Expand", "Tile", "OneHot"):
            values = math.prod(given(1))
        elif node.op == "Resize":
            values = math.prod(given(3))
        elif node.op == "Pad":
            values = sum(map(abs, given(1)))
        elif node.op == "Range" and all(len(given(at)) == 1 for at in range(3)) and given(2)[0]:
            values = (given(1)[0] - given(0)[0]) // given(2)[0]
        elif node.op in ("RandomNormal", "RandomUniform") and "shape" in node.attributes:
            values = math.prod(node.attributes["shape"].integers)
        self._check_values(values, f"the operator {node.op} ({node})")

    def _check_values(self, values: int, what: str) -> None:
        if abs(values) > MAX_VALUES:
            raise self._refused(f"makes an array of {abs(values):,} values by {what}; {MAX_VALUES:,} are allowed")

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
