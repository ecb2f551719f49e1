"""How large the arrays are that a graph makes of its own constants, told before anything is made.

Arrays that are few numbers are computed, as shapes are; of the others only the shape is known, or nothing. What no rule here
knows is unknown: this finds sizes that a graph states by its constants, not every large array that a graph can make.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FEW = 64
"""Numbers of an array that are computed: no shape has as many."""


@dataclass(frozen=True)
class Constant:
    """An array that does not depend on what is asked."""

    shape: tuple[int, ...] | None = None
    """None where it is not known."""
    values: np.ndarray | None = None
    """Few numbers."""

    @classmethod
    def of(cls, values: np.ndarray) -> Constant:
        return cls(values.shape, values if values.size <= FEW else None)

    @property
    def size(self) -> int:
        """Number of its values, 1 where that is not known."""
        return 1 if self.shape is None else math.prod(self.shape)


UNKNOWN = Constant()
SIZED = frozenset({"ConstantOfShape", "Expand", "Tile", "Range", "OneHot", "Resize", "Pad", "RandomNormal", "RandomUniform"})
"""Operators that make large arrays of small ones."""
Inputs = Sequence["Constant | None"]
"""None is an input that is left out, or that depends on what is asked."""
Attributes = Mapping[str, Sequence[int]]
"""Name → its whole numbers; none of an attribute of another kind."""


_WRONG = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)
"""What comes of inputs and attributes that no graph has which ONNX Runtime would load."""


def outcome(op: str, inputs: Inputs, attributes: Attributes) -> Constant:
    """What a node makes of constants.

    Args:
        op: an operator of ai.onnx.
    """
    shape: tuple[int, ...] | None = None
    try:
        if op in _SHAPES or op in _ELEMENTWISE:
            shape = _SHAPES[op](inputs, attributes) if op in _SHAPES else _broadcast(inputs)
            if shape is None or math.prod(shape) > FEW:
                return Constant(shape)
        if op not in _VALUES:
            return Constant(shape)
        with np.errstate(all="ignore"):
            return Constant.of(np.asarray(_VALUES[op](inputs, attributes)))
    except _WRONG:
        return Constant(shape)


def makes(op: str, inputs: Inputs, attributes: Attributes) -> int:
    """Values of the array that a node of `SIZED` makes, as far as its constants say so: its other inputs count as one value."""
    inputs = [None if one is None or one.shape is None else one for one in inputs]
    try:
        if op == "Resize":
            scales, sizes = _numbers(inputs, 2), _numbers(inputs, 3)
            return _product([abs(x) for x in scales]) * max(1, _size(inputs, 0)) if scales else _product(sizes)
        if op == "Pad":
            pads = _numbers(inputs, 1)
            half = len(pads) // 2
            return _product([1 + abs(first) + abs(last) for first, last in zip(pads[:half], pads[half:], strict=False)])
        if op in ("RandomNormal", "RandomUniform"):
            return _product(attributes.get("shape", ()))
        shape = _SHAPES[op](inputs, attributes)
        return 1 if shape is None else math.prod(abs(dim) for dim in shape)
    except _WRONG:
        return 1


def rounds_of(inputs: Inputs) -> int:
    """How often a Loop goes round, 1 where its constants do not say."""
    limit = _numbers(inputs, 0)
    return max(1, limit[0]) if len(limit) == 1 and isinstance(limit[0], int) else 1


# -- shapes -------------------------------------------------------------------------------------------------------------


def _numbers(inputs: Inputs, at: int) -> list[Any]:
    one = inputs[at] if at < len(inputs) else None
    return [] if one is None or one.values is None else one.values.reshape(-1).tolist()


def _product(numbers: Sequence[float]) -> int:
    found = math.prod(numbers)
    return int(found) if math.isfinite(found) else 1 << 62


def _size(inputs: Inputs, at: int) -> int:
    one = inputs[at] if at < len(inputs) else None
    return 1 if one is None else one.size


def _shape(inputs: Inputs, at: int) -> tuple[int, ...] | None:
    one = inputs[at] if at < len(inputs) else None
    return () if one is None else one.shape


def _broadcast(inputs: Inputs) -> tuple[int, ...] | None:
    shapes = [one.shape for one in inputs if one is not None]
    if any(shape is None for shape in shapes):
        return None
    rank = max((len(shape or ()) for shape in shapes), default=0)
    aligned = [(1,) * (rank - len(shape or ())) + (shape or ()) for shape in shapes]
    return tuple(0 if 0 in dims else max(dims) for dims in zip(*aligned, strict=True))


def _of_numbers(at: int) -> Callable[[Inputs, Attributes], tuple[int, ...] | None]:
    def shape(inputs: Inputs, attributes: Attributes) -> tuple[int, ...] | None:
        one = inputs[at] if at < len(inputs) else None
        return None if one is None or one.values is None else tuple(int(dim) for dim in _numbers(inputs, at))

    return shape


def _expanded(inputs: Inputs, attributes: Attributes) -> tuple[int, ...] | None:
    wanted, given = _of_numbers(1)(inputs, attributes), _shape(inputs, 0)
    return None if wanted is None or given is None else _broadcast([Constant(wanted), Constant(given)])


def _tiled(inputs: Inputs, attributes: Attributes) -> tuple[int, ...] | None:
    repeats, given = _of_numbers(1)(inputs, attributes), _shape(inputs, 0)
    if repeats is None or given is None:
        return None
    return tuple(n * dim for n, dim in zip(repeats, given if inputs[0] else (1,) * len(repeats), strict=True))


def _ranged(inputs: Inputs, attributes: Attributes) -> tuple[int, ...] | None:
    ends = [_numbers(inputs, at) for at in range(3)]
    if any(len(end) != 1 for end in ends) or not ends[2][0] or not all(math.isfinite(end[0]) for end in ends):
        return None
    return (max(0, math.ceil((ends[1][0] - ends[0][0]) / ends[2][0])),)


def _joined(inputs: Inputs, attributes: Attributes) -> tuple[int, ...] | None:
    shapes = [one.shape for one in inputs if one is not None]
    first = next((shape for shape in shapes if shape is not None), None)
    (axis,) = attributes.get("axis") or (0,)
    if not first or None in shapes or not -len(first) <= axis < len(first) or any(len(s or ()) != len(first) for s in shapes):
        return None
    return tuple(sum(s[at] for s in shapes if s) if at == axis % len(first) else dim for at, dim in enumerate(first))


def _multiplied(inputs: Inputs, attributes: Attributes) -> tuple[int, ...] | None:
    left, right = _shape(inputs, 0), _shape(inputs, 1)
    if not left or not right or None in inputs[:2]:
        return None
    if len(left) == 1 or len(right) == 1:
        return (*left[:-1], *right[:-2], *right[-1:])[: max(len(left), len(right)) - 1]
    batch = _broadcast([Constant(left[:-2]), Constant(right[:-2])]) or ()
    return (*batch, left[-2], right[-1])


def _gemm(inputs: Inputs, attributes: Attributes) -> tuple[int, ...] | None:
    left, right = _shape(inputs, 0), _shape(inputs, 1)
    if left is None or right is None or None in inputs[:2] or len(left) != 2 or len(right) != 2:
        return None
    turned = [bool((attributes.get(name) or (0,))[0]) for name in ("transA", "transB")]
    return (left[1 if turned[0] else 0], right[0 if turned[1] else 1])


def _one_hot(inputs: Inputs, attributes: Attributes) -> tuple[int, ...] | None:
    depth, given = _numbers(inputs, 1), _shape(inputs, 0)
    return None if len(depth) != 1 or given is None else (*given, int(depth[0]))


def _gathered(inputs: Inputs, attributes: Attributes) -> tuple[int, ...] | None:
    table, places = _shape(inputs, 0), _shape(inputs, 1)
    (axis,) = attributes.get("axis") or (0,)
    if not table or places is None or None in inputs[:2] or not -len(table) <= axis < len(table):
        return None
    at = axis % len(table)
    return (*table[:at], *places, *table[at + 1 :])


_SHAPES: dict[str, Callable[[Inputs, Attributes], tuple[int, ...] | None]] = {
    "ConstantOfShape": _of_numbers(0),
    "Expand": _expanded,
    "Tile": _tiled,
    "Range": _ranged,
    "Concat": _joined,
    "MatMul": _multiplied,
    "Gemm": _gemm,
    "OneHot": _one_hot,
    "Gather": _gathered,
    **dict.fromkeys(("Identity", "Cast", "Neg", "Abs", "Floor", "Ceil", "Sqrt", "Relu"), lambda inputs, _: _shape(inputs, 0)),
}
_ELEMENTWISE = frozenset(
    {"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Where", "Equal", "Greater", "Less", "And", "Or", "Mod"}
)


# -- values of few numbers ------------------------------------------------------------------------------------------------


def _value(inputs: Inputs, at: int) -> np.ndarray:
    one = inputs[at]
    if one is None or one.values is None:
        raise ValueError("not known")
    return one.values


def _all(inputs: Inputs) -> list[np.ndarray]:
    return [_value(inputs, at) for at in range(len(inputs))]


def _axes(inputs: Inputs, attributes: Attributes) -> tuple[int, ...]:
    return tuple(_numbers(inputs, 1) or attributes.get("axes") or ())


def _divided(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.asarray(left // right if left.dtype.kind in "iu" else left / right)


def _slice(inputs: Inputs, attributes: Attributes) -> np.ndarray:
    values, starts, stops = _value(inputs, 0), _numbers(inputs, 1), _numbers(inputs, 2)
    axes = _numbers(inputs, 3) or list(range(len(starts)))
    steps = _numbers(inputs, 4) or [1] * len(starts)
    places: list[slice] = [slice(None)] * values.ndim
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        places[axis] = slice(start, None if step < 0 and stop < -(1 << 30) else stop, step)
    return values[tuple(places)]


def _reduced(reduce: Callable[..., Any]) -> Callable[[Inputs, Attributes], np.ndarray]:
    def values(inputs: Inputs, attributes: Attributes) -> np.ndarray:
        keeps = bool((attributes.get("keepdims") or (1,))[0])
        return np.asarray(reduce(_value(inputs, 0), axis=_axes(inputs, attributes) or None, keepdims=keeps))

    return values


_DTYPES = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 11: np.float64}


def _shape_of(inputs: Inputs, attributes: Attributes) -> np.ndarray:
    shape = _shape(inputs, 0)
    if shape is None or inputs[0] is None:
        raise ValueError("not known")
    return np.array(shape, np.int64)


_VALUES: dict[str, Callable[[Inputs, Attributes], Any]] = {
    "Shape": _shape_of,
    "Identity": lambda inputs, _: _value(inputs, 0),
    "Cast": lambda inputs, attributes: _value(inputs, 0).astype(_DTYPES[attributes["to"][0]]),
    "Concat": lambda inputs, attributes: np.concatenate(_all(inputs), axis=attributes["axis"][0]),
    "Unsqueeze": lambda inputs, attributes: np.expand_dims(_value(inputs, 0), _axes(inputs, attributes)),
    "Squeeze": lambda inputs, attributes: np.squeeze(_value(inputs, 0), _axes(inputs, attributes) or None),
    "Reshape": lambda inputs, _: _value(inputs, 0).reshape([int(dim) for dim in _numbers(inputs, 1)]),
    "Gather": lambda inputs, attributes: np.take(_value(inputs, 0), _value(inputs, 1), axis=(attributes.get("axis") or (0,))[0]),
    "Slice": _slice,
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "ReduceMax": _reduced(np.max),
    "Add": lambda inputs, _: np.add(*_all(inputs)),
    "Sub": lambda inputs, _: np.subtract(*_all(inputs)),
    "Mul": lambda inputs, _: np.multiply(*_all(inputs)),
    "Div": lambda inputs, _: _divided(*_all(inputs)),
    "Pow": lambda inputs, _: np.power(*_all(inputs)),
    "Max": lambda inputs, _: np.maximum.reduce(np.broadcast_arrays(*_all(inputs))),
    "Min": lambda inputs, _: np.minimum.reduce(np.broadcast_arrays(*_all(inputs))),
    "Where": lambda inputs, _: np.where(*_all(inputs)),
    "Equal": lambda inputs, _: np.equal(*_all(inputs)),
    "Neg": lambda inputs, _: -_value(inputs, 0),
    "Abs": lambda inputs, _: np.abs(_value(inputs, 0)),
    "Floor": lambda inputs, _: np.floor(_value(inputs, 0)),
    "Ceil": lambda inputs, _: np.ceil(_value(inputs, 0)),
    "Sqrt": lambda inputs, _: np.sqrt(_value(inputs, 0)),
    "Expand": lambda inputs, attributes: np.broadcast_to(_value(inputs, 0), _expanded(inputs, attributes) or ()),
    "Tile": lambda inputs, attributes: np.tile(_value(inputs, 0), _numbers(inputs, 1)),
    "Range": lambda inputs, _: np.arange(*(end.item() for end in _all(inputs))),
}
"""ConstantOfShape is not among them: what it is filled with is not looked at."""
