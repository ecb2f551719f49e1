"""Composing without Hydra, where a configuration is plain: half the time to the message of a config error.

What is plain: the primary configuration, one experiment that chooses components and sets values, and overrides that are words
or numbers. For everything else `compose_light` gives None, and Hydra has the word. What it does give is what Hydra gives: tests
compare the two. It is only ever checked; a run goes by what Hydra composed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shopkit.config.experiment import SECTIONS
from shopkit.config.folders import Folders
from shopkit.config.overrides import Override
from shopkit.config.screen import component_groups, plain_value
from shopkit.registry import Registry
from shopkit.settings import defaults

_REFERENCE = re.compile(r"\$\{([A-Za-z_][\w.]*)\}")
_OVERRIDE = re.compile(r"override /(\w+)")


class _NotPlainError(Exception):
    """Something that only Hydra can read."""


def compose_light(
    overrides: Sequence[Override], registry: Registry, folders: Folders, primary: str
) -> tuple[dict[str, Any], list[tuple[str, str]]] | None:
    """The composed configuration as plain data, and the files it is made of as `(config path, package)`.

    None where something in it is not plain.
    """
    try:
        return _compose([override for override in overrides if not override.key.startswith("hydra")], registry, folders, primary)
    except _NotPlainError:
        return None


def _compose(
    overrides: Sequence[Override], registry: Registry, folders: Folders, primary: str
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    groups = component_groups(registry)
    _require(all(override.sign in ("", "+", "++") and re.fullmatch(r"[A-Za-z_][\w.]*", override.key) for override in overrides))
    first = _read(folders.file(primary))
    choices = _primary_choices(first)
    typed = {override.key: override.value for override in overrides if override.is_choice}
    _require(len(typed) == sum(override.is_choice for override in overrides))
    choices |= {"experiment": typed["experiment"]} if "experiment" in typed else {}
    files, bodies = [(primary, "")], [first]
    if choices.get("experiment") is not None:
        file = folders.file(f"experiment/{choices['experiment']}")
        body = _read(file)
        _require(file is not None and file.read_text(encoding="utf-8").startswith("# @package _global_\n"))
        choices |= _overridden(body)
        files.append((f"experiment/{choices['experiment']}", ""))
        bodies.append(body)
    choices |= typed
    _require(set(choices) == {*groups, *SECTIONS, "experiment"})
    data: dict[str, Any] = {}
    for group, option in choices.items():
        if group != "experiment":
            _require(folders.file(f"{group}/{option}") is None)
            data[group] = _node(group, option, groups, registry)
    for body in bodies:
        _merge(data, {key: value for key, value in body.items() if key not in ("defaults", "hydra")})
    for override in overrides:
        if not override.is_choice:
            _set(data, override.key.split("."), plain_value(override.value))
    resolved: dict[str, Any] = _resolved(data, data, 0)
    return resolved, files


def _require(is_plain: bool) -> None:
    if not is_plain:
        raise _NotPlainError


def _node(group: str, option: str | None, groups: Mapping[str, str], registry: Registry) -> dict[str, Any]:
    if group in SECTIONS:
        name, settings = SECTIONS[group]
        _require(option == name)
        return defaults(settings)
    components = registry.families[groups[group]]
    _require(option in components)
    return {"name": option, **defaults(components[str(option)].component.config)}


# -- files ----------------------------------------------------------------------------------------------------------


def _read(file: Path | None) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]

    if file is None:
        raise _NotPlainError
    loader = yaml.SafeLoader(file.read_text(encoding="utf-8"))
    try:
        node = loader.get_single_node()
        _require(node is not None and _has_unique_keys(node))
        body = loader.construct_document(node)
    except (yaml.YAMLError, ValueError):
        raise _NotPlainError from None
    finally:
        loader.dispose()
    _require(isinstance(body, dict) and _is_plain(body))
    return dict(body)


def _has_unique_keys(node: Any) -> bool:
    if isinstance(node.value, str):
        return True
    pairs = [pair for pair in node.value if isinstance(pair, tuple)]
    keys = [key.value for key, _ in pairs]
    inner = [value for _, value in pairs] if pairs else node.value
    return all(isinstance(key, str) for key in keys) and len(set(keys)) == len(keys) and all(map(_has_unique_keys, inner))


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, str):
        # Hydra's reader takes 1e-3 for a number, which YAML 1.1 does not.
        return not re.fullmatch(r"[-+.\d_]+([eE][-+]?\d+)?", value) and (
            "${" not in value or _REFERENCE.fullmatch(value) is not None
        )
    return value is None or isinstance(value, (bool, int, float))


def _primary_choices(body: Mapping[str, Any]) -> dict[str, str | None]:
    choices: dict[str, str | None] = {}
    for item in body.get("defaults", []):
        if item == "_self_":
            continue
        _require(isinstance(item, dict) and len(item) == 1)
        ((key, option),) = item.items()
        if key.startswith("override hydra/"):
            continue
        _require(re.fullmatch(r"\w+", key) is not None and (option is None or isinstance(option, str)))
        choices[key] = option
    return choices


def _overridden(body: Mapping[str, Any]) -> dict[str, str | None]:
    choices: dict[str, str | None] = {}
    items = body.get("defaults", [])
    _require(isinstance(items, list))
    for item in items:
        if item == "_self_":
            _require(item is items[-1])
            continue
        _require(isinstance(item, dict) and len(item) == 1)
        ((key, option),) = item.items()
        match = _OVERRIDE.fullmatch(key)
        if match is None or not isinstance(option, str) or match[1] == "experiment":
            raise _NotPlainError
        choices[match[1]] = option
    return choices


# -- values ---------------------------------------------------------------------------------------------------------


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _set(data: dict[str, Any], path: Sequence[str], value: Any) -> None:
    _require(value is not None)
    *around, last = path
    for key in around:
        data = data.setdefault(key, {})
        _require(isinstance(data, dict))
    data[last] = value


def _resolved(value: Any, data: Mapping[str, Any], depth: int) -> Any:
    """The value with every `${a.b}` in it looked up."""
    _require(depth < 20)
    if isinstance(value, dict):
        return {key: _resolved(item, data, depth) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, data, depth) for item in value]
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    found: Any = data
    for key in match[1].split("."):
        _require(isinstance(found, dict) and key in found)
        found = found[key]
    return _resolved(found, data, depth + 1)
