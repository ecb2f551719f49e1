"""The operators of `com.microsoft` that texts need, as spox functions. ONNX Runtime has them in Python, Node and the browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import spox
from spox._attributes import AttrInt64, AttrString, AttrStrings
from spox._fields import BaseAttributes, BaseInputs, BaseOutputs
from spox._node import Node, OpType
from spox._type_system import Type
from spox._value_prop import PropDict
from spox._var import _VarInfo

DOMAIN, VERSION = "com.microsoft", 1


class _Tokenizer(Node):
    @dataclass
    class Attributes(BaseAttributes):
        mark: AttrInt64
        mincharnum: AttrInt64
        pad_value: AttrString
        tokenexp: AttrString | None
        separators: AttrStrings | None

    @dataclass
    class Inputs(BaseInputs):
        X: _VarInfo

    @dataclass
    class Outputs(BaseOutputs):
        Y: _VarInfo

    op_type: ClassVar[OpType] = OpType("Tokenizer", DOMAIN, VERSION)
    attrs: Attributes
    inputs: Inputs
    outputs: Outputs

    def infer_output_types(self, input_prop_values: PropDict) -> dict[str, Type]:
        return {"Y": spox.Tensor(np.str_, (None, None))}


class _MurmurHash3(Node):
    @dataclass
    class Attributes(BaseAttributes):
        positive: AttrInt64
        seed: AttrInt64

    @dataclass
    class Inputs(BaseInputs):
        X: _VarInfo

    @dataclass
    class Outputs(BaseOutputs):
        Y: _VarInfo

    op_type: ClassVar[OpType] = OpType("MurmurHash3", DOMAIN, VERSION)
    attrs: Attributes
    inputs: Inputs
    outputs: Outputs

    def infer_output_types(self, input_prop_values: PropDict) -> dict[str, Type]:
        return {"Y": spox.Tensor(np.int32, (None,))}


def tokenize(texts: spox.Var, pattern: str | None = None) -> spox.Var:
    """Strings (N,), N at least 1 → the matches of an RE2 pattern, or every character, (N, T) padded with ""; T may be 0."""
    attributes = _Tokenizer.Attributes(
        AttrInt64(0, name="mark"),
        AttrInt64(1, name="mincharnum"),
        AttrString("", name="pad_value"),
        AttrString.maybe(pattern, name="tokenexp"),
        AttrStrings.maybe([""] if pattern is None else None, name="separators"),
    )
    inputs = _Tokenizer.Inputs(texts._var_info)
    return _only_output(_Tokenizer(attributes, inputs))


def murmur_hash3(texts: spox.Var) -> spox.Var:
    """Strings (n,) → int32 (n,): MurmurHash3 (x86, 32 bits, seed 0) of their UTF-8 bytes, as `sklearn.utils.murmurhash3_32`."""
    attributes = _MurmurHash3.Attributes(AttrInt64(0, name="positive"), AttrInt64(0, name="seed"))
    inputs = _MurmurHash3.Inputs(texts._var_info)
    return _only_output(_MurmurHash3(attributes, inputs))


def _only_output(node: Node) -> spox.Var:
    output = node.get_output_vars().Y
    assert isinstance(output, spox.Var)
    return output
