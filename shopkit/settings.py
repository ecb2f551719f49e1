"""Settings dataclasses: the types a setting may have, its default, its documentation, and strict building from plain data."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union

from shopkit.errors import ConfigError, nearest

T = TypeVar("T")

MISSING = "???"
"""What a setting without a default holds until it is given (OmegaConf's own mark)."""

_SCALARS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}


_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


class SettingError(ConfigError):
    """A value that does not fit its dataclass: `path` says which setting, the text says what is wrong."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}" if path and not problem.startswith(path) else problem)
        self.path = path
        self.problem = problem


def types_of(cls: type) -> dict[str, Any]:
    """Field name → resolved type of a settings dataclass, in order."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def defaults(cls: type) -> dict[str, Any]:
    """The defaults of a settings dataclass as plain data; `MISSING` where there is none. Nothing is validated."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        if field.default is not dataclasses.MISSING:
            values[field.name] = plain(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            values[field.name] = plain(field.default_factory())
        else:
            values[field.name] = MISSING
    return values


def plain(value: Any) -> Any:
    """Settings as plain data: dataclasses become dicts, tuples become lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def size_in_bytes(name: str, text: str) -> int:
    """The bytes of a size such as `2GB` or `512MiB`.

    Raises:
        ConfigError: no such size; names the setting.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([MGT]i?B)", text)
    size = round(float(found[1]) * _UNITS[found[2]]) if found else 0
    if not size:
        raise ConfigError(f"{name} must be a size such as 512MB, 2GB or 1.5GiB, got {text!r}.")
    return size


def unfit(cls: object) -> str | None:
    """Why a class cannot hold settings, as the end of a sentence; None when it can."""
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        return f"its settings {getattr(cls, '__name__', repr(cls))} must be a dataclass"
    try:
        hints = types_of(cls)
    except (NameError, TypeError, AttributeError) as error:
        return f"a type in its settings {cls.__name__} cannot be resolved: {error}"
    for name, hint in hints.items():
        if not _is_plain(hint):
            return (
                f"the field '{name}' of its settings {cls.__name__} has the type {type_name(hint)}; settings are plain: bool, "
                "int, float, str, Literal, None, list[…], tuple[…, ...], dict[str, …] or a nested dataclass"
            )
    return None


def _is_plain(hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in _SCALARS or hint is Any:
        return True
    if origin is Literal:
        return True
    if origin in (Union, types.UnionType):
        return all(_is_plain(argument) for argument in arguments)
    if origin is list:
        return _is_plain(arguments[0])
    if origin is tuple:
        return len(arguments) == 2 and arguments[1] is Ellipsis and _is_plain(arguments[0])
    if origin is dict:
        return arguments[0] is str and _is_plain(arguments[1])
    return isinstance(hint, type) and dataclasses.is_dataclass(hint) and unfit(hint) is None


def type_name(hint: Any) -> str:
    """A type as a person writes it: `int`, `str | None`, `'f1' | 'cost'`, `list[int]`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is type(None):
        return "None"
    if origin is Literal:
        return " | ".join(repr(argument) for argument in arguments)
    if origin in (Union, types.UnionType):
        return " | ".join(type_name(argument) for argument in arguments)
    if origin is not None:
        inside = ", ".join("..." if argument is Ellipsis else type_name(argument) for argument in arguments)
        return f"{getattr(origin, '__name__', origin)}[{inside}]"
    return getattr(hint, "__name__", str(hint))


def build(cls: type[T], data: Mapping[str, Any], path: str = "", owner: str = "") -> T:
    """The settings made from plain data, every key and type checked.

    Args:
        path: where the data stand in the configuration, e.g. `model`; put before every key in messages.
        owner: whose settings they are, e.g. `model mlp`.

    Raises:
        SettingError: an unknown key, a missing value or a value of the wrong type.
        ConfigError: what the dataclass itself refuses.
    """
    hints = types_of(cls)
    for key in data:
        if key not in hints:
            raise SettingError(_join(path, key), unknown_setting(cls, str(key), owner or cls.__name__))
    values = {key: convert(hints[key], value, _join(path, key)) for key, value in data.items()}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.name in hints and field.name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise SettingError(_join(path, field.name), "must be given; it has no default.")
    try:
        return cls(**values)
    except SettingError:
        raise
    except ConfigError as error:
        raise SettingError(_named_in(str(error), path, hints), str(error)) from None


def unknown_setting(cls: type, key: str, owner: str) -> str:
    """The sentence about a key that is no setting: the nearest, and all there are."""
    known = sorted(types_of(cls))
    return f"{owner} has no setting '{key}'.{nearest(key, known)} Its settings: {', '.join(known) or 'none'}."


def _named_in(message: str, path: str, hints: Mapping[str, Any]) -> str:
    """The path of the setting that a dataclass's own message opens with, or of the settings as a whole."""
    opening = re.match(r"[\w.]+", message)
    last = opening[0].rpartition(".")[2] if opening else ""
    if opening and opening[0].startswith(f"{path}."):
        return opening[0].rstrip(".")
    return _join(path, last) if last in hints else path


def convert(hint: Any, value: Any, path: str) -> Any:
    """A plain value as the type says: strict, but a whole number is also a number, and a list also a tuple.

    Raises:
        SettingError: the value is of another type, named with the value received.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if value == MISSING and isinstance(value, str):
        raise SettingError(path, f"must be given ({described(hint)}); it has no default.")
    if hint is Any:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in _SCALARS and type(value) is hint:
        return value
    if origin is Literal and any(value == argument and type(value) is type(argument) for argument in arguments):
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(hint, arguments, value, path)
    if origin in (list, tuple) and isinstance(value, (list, tuple)):
        return origin(convert(arguments[0], item, f"{path}[{index}]") for index, item in enumerate(value))
    if origin is dict and isinstance(value, Mapping):
        return {str(key): convert(arguments[1], item, _join(path, str(key))) for key, item in value.items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if isinstance(value, hint):
            return value
        if isinstance(value, Mapping):
            return build(hint, value, path, owner=path)
    raise _wrong_type(hint, value, path)


def _convert_union(hint: Any, arguments: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    inner: list[SettingError] = []
    # An exact scalar wins over a widened one, so that `int | float` keeps 3 an int.
    for argument in sorted(arguments, key=lambda argument: type(value) is not argument):
        try:
            return convert(argument, value, path)
        except SettingError as error:
            inner.append(error)
    # The candidate of the value's own shape knows best what is wrong inside it.
    deeper = [error for error in inner if error.path != path]
    raise deeper[0] if len(deeper) == 1 else _wrong_type(hint, value, path)


def _wrong_type(hint: Any, value: Any, path: str) -> SettingError:
    near = ""
    if typing.get_origin(hint) is Literal and isinstance(value, str):
        near = nearest(value, [argument for argument in typing.get_args(hint) if isinstance(argument, str)])
    if hint is str and isinstance(value, (int, float)):
        near = f" Write it in quotes: '\"{value}\"'."
    return SettingError(path, f"must be {described(hint)}, got {_shown(value)}.{near}")


def _shown(value: Any) -> str:
    text = {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def described(hint: Any) -> str:
    """A type in words: "a whole number", "one of 'f1', 'cost'", "a list of text"."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in _SCALARS:
        return _SCALARS[hint]
    if origin is Literal:
        shown = ", ".join(repr(argument) for argument in arguments)
        return f"one of {shown}" if len(arguments) > 1 else shown
    if origin in (Union, types.UnionType):
        return " or ".join(described(argument) for argument in arguments)
    if origin in (list, tuple):
        return f"a list, each item {described(arguments[0])}"
    if origin is dict:
        return f"a mapping of names, each value {described(arguments[1])}"
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return f"settings ({', '.join(types_of(hint))})"
    return "anything"


def documentation(cls: type) -> dict[str, str]:
    """Field name → the docstring below the field, read from the source; empty where there is none."""
    import ast
    import inspect
    import itertools
    import textwrap

    texts = dict.fromkeys(types_of(cls), "")
    for base in reversed(cls.__mro__[:-1]):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        except (OSError, TypeError):  # made without source code: a dataclass from `make_dataclass`, or a zipped package
            continue
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for statement, following in itertools.pairwise(statements):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
                and isinstance(following.value.value, str)
                and statement.target.id in texts
            ):
                texts[statement.target.id] = " ".join(following.value.value.split())
    return texts


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else str(key)
