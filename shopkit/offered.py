"""What a plugin offers: its own hooks called, and what they return checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shopkit.component import FAMILIES, GROUPS, Component
from shopkit.errors import PluginError
from shopkit.settings import types_of, unfit


@dataclass(frozen=True)
class Offered:
    """All of it."""

    components: dict[str, list[Component]]
    config_paths: list[Path]


def collect(plugin: object) -> Offered:
    """Call a plugin's own hooks and check what they return.

    Raises:
        PluginError: something that is not a usable component.
    """
    components: dict[str, list[Component]] = {}
    for family in FAMILIES:
        hook = _own_hook(plugin, f"shopkit_{family}")
        components[family] = list(hook()) if hook else []
        for component in components[family]:
            _check_component(family, component)
    hook = _own_hook(plugin, "shopkit_config_paths")
    paths = [Path(path) for path in hook()] if hook else []
    for path in paths:
        if not path.is_dir():
            raise PluginError(f"shopkit_config_paths names the folder {path}, which does not exist.")
    return Offered(components, paths)


def _own_hook(plugin: object, name: str) -> Any:
    hook = getattr(plugin, name, None)
    # pluggy leaves this mark on a function decorated with `hookimpl`.
    return hook if hasattr(hook, "shopkit_impl") else None


def _check_component(family: str, component: object) -> None:
    if not isinstance(component, Component):
        raise PluginError(f"shopkit_{family} must return Components, got {type(component).__name__}.")
    what = f"{GROUPS[family]} '{component.name}'"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", component.name):
        raise PluginError(f"{what}: a component's name is lower-case letters, digits and underscores.")
    if not re.fullmatch(r"[\w.]+:\w+", component.target):
        raise PluginError(f"{what}: its target '{component.target}' must read 'package.module:Class'.")
    if reason := unfit(component.config):
        raise PluginError(f"{what}: {reason}.")
    if "name" in types_of(component.config):
        raise PluginError(f"{what}: its settings {component.config.__name__} must not have a field 'name': that key names it.")
