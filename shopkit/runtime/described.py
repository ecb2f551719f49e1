"""Whether what a file says of itself can be true: of the right types, and of the graph beside it.

A description is taken at its word whenever a question is asked, so that all of it is looked at once, when the file is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Protocol, get_args

from shopkit.schema import Column, Kind, Role, Schema

DTYPES = {"float32": "tensor(float)", "int64": "tensor(int64)", "string": "tensor(string)", "bool": "tensor(bool)"}
"""Of an option → what ONNX Runtime calls it."""
_KINDS = {"number": "tensor(float)", "string": "tensor(string)", "time": "tensor(int64)", "image": "tensor(uint8)"}
_DEFAULTS: dict[str, tuple[type, ...]] = {"float32": (float, int), "int64": (int,), "string": (str,), "bool": (bool,)}


class Node(Protocol):
    """An input or output of a session."""

    name: str
    type: str
    shape: list[Any]


def schema_of(data: Any) -> Schema:
    """The schema that a description holds.

    Raises:
        ValueError: a column with a field of the wrong type, an unknown kind or role, or a name that another has.
    """
    types = {field.name: type(getattr(Column, field.name, "")) for field in fields(Column)}
    for number, column in enumerate(_list(data, "schema")):
        for name, value in _object(column, f"column {number}").items():
            if name not in types or not isinstance(value, types[name]):
                raise ValueError(f"column {number} has {name}={value!r}")
        for name, known in (("kind", get_args(Kind)), ("role", get_args(Role))):
            if column.get(name, "feature") not in known:
                raise ValueError(f"column {number} has {name}={column.get(name)!r}; there are {', '.join(known)}")
    schema = Schema.from_json(data)
    _distinct(schema.names, "column")
    for feature in schema.of_role("feature"):
        if (feature.kind == "image") != (feature.channels in (1, 3, 4)):
            raise ValueError(f"column '{feature.name}' of kind {feature.kind} has channels={feature.channels}")
        if feature.kind == "time" and feature.unit not in ("", "UTC"):
            _require_zone(feature)
    return schema


def _require_zone(column: Column) -> None:
    from zoneinfo import ZoneInfo  # only few files need it

    try:
        ZoneInfo(column.unit)
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(
            f"column '{column.name}' is in the time zone '{column.unit}', which Python does not find here; if there is such a "
            "zone, pip install tzdata"
        ) from error


def inputs_of(data: Any, schema: Schema) -> dict[str, str]:
    """Raw column → name of its input.

    Raises:
        ValueError: a feature without one, or two of one name.
    """
    inputs = {str(name): _text(value, f"the input of {name}") for name, value in _object(data, "inputs").items()}
    features = {column.name for column in schema.of_role("feature")}
    if not features:
        raise ValueError("no column is a feature")
    if missing := features - set(inputs):
        raise ValueError(f"no input is named for {', '.join(sorted(missing))}")
    _distinct([inputs[name] for name in features], "input")
    return inputs


def outputs_of(data: Any) -> tuple[dict[str, Any], ...]:
    """
    Raises:
        ValueError: there are none, or one without a name, or with classes that are no list of texts.
    """
    outputs = tuple(dict(_object(output, "an output")) for output in _list(data, "outputs"))
    if not outputs:
        raise ValueError("no output is named")
    for output in outputs:
        for key in ("name", "dtype", "meaning", "unit", "per"):
            if key == "name" or key in output:
                _text(output.get(key), f"the {key} of an output")
        for label in _list(output.get("classes", []), "classes"):
            _text(label, "a class")
    _distinct([output["name"] for output in outputs], "output")
    return outputs


def options_of(data: Any) -> tuple[dict[str, Any], ...]:
    """
    Raises:
        ValueError: an option that lacks a part, or whose default is not of its type.
    """
    options = tuple(dict(_object(option, "an option")) for option in _list(data, "options"))
    for option in options:
        for key in ("name", "input", "dtype", "meaning", *(["column"] if "column" in option else [])):
            _text(option.get(key), f"the {key} of an option")
        if option["dtype"] not in DTYPES:
            raise ValueError(f"option '{option['name']}' has dtype={option['dtype']!r}; there are {', '.join(DTYPES)}")
        shape, default = _list(option.get("shape", []), "shape"), option.get("default")
        values = _list(default, f"the default of option '{option['name']}'") if shape else [default]
        if len(shape) > 1 or not all(_is_a(option["dtype"], value) for value in values):
            raise ValueError(f"option '{option['name']}' of shape {shape} has default={default!r}")
    _distinct([option["name"] for option in options], "option")
    return options


def _is_a(dtype: str, value: Any) -> bool:
    return type(value) in _DEFAULTS[dtype] and not (type(value) is int and value.bit_length() > 63)


def block_rows_of(value: Any) -> int:
    """
    Raises:
        ValueError: not a number of rows.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"block_rows is {value!r}")
    return value


def check_graph(
    schema: Schema,
    inputs: Mapping[str, str],
    lengths: str,
    outputs: Iterable[Mapping[str, Any]],
    options: Iterable[Mapping[str, Any]],
    takes: Sequence[Node],
    gives: Sequence[Node],
) -> None:
    """Compare a description with the inputs and outputs that its graph has.

    Raises:
        ValueError: an input or output that the graph does not have, that the description does not know, or of another type.
    """
    columns = schema.of_role("feature")
    wanted: dict[str, tuple[str, int]] = {}
    for column in columns:
        dtype = "tensor(double)" if column.double else _KINDS[column.kind]
        wanted[inputs[column.name]] = (dtype, 4 if column.kind == "image" else 2 if column.sequence else 1)
    if any(column.sequence for column in columns):
        wanted[lengths] = (DTYPES["int64"], 1)
    wanted |= {option["input"]: (DTYPES[option["dtype"]], len(option.get("shape", []))) for option in options}
    found = {node.name: (node.type, len(node.shape)) for node in takes}
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            raise ValueError(
                f"the input '{name}' is {_said(wanted.get(name))} as it says, and {_said(found.get(name))} in the graph"
            )
    shapes = {node.name: node.shape for node in gives}
    for output in outputs:
        if output["name"] not in shapes:
            raise ValueError(f"the graph has no output '{output['name']}'")
        shape, classes = shapes[output["name"]], output.get("classes", [])
        rank = 2 if classes or output.get("per") else 1
        if len(shape) != rank or (classes and isinstance(shape[1], int) and shape[1] != len(classes)):
            raise ValueError(f"the output '{output['name']}' has the shape {shape} and {len(classes)} classes")


def _said(value: tuple[str, int] | None) -> str:
    return "not there" if value is None else f"a {value[0]} of {value[1]} dimensions"


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{what}: {value!r} is not a list")
    return value


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{what}: {value!r} is not an object")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what}: {value!r} is not a text")
    return value


def _distinct(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"there are two of the {what} '{name}'")
        seen.add(name)
