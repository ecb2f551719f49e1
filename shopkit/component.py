"""What a plugin hook returns: plain data that names a component and its settings, without importing the component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FAMILIES: tuple[str, ...] = ("sources", "views", "features", "models", "tasks", "exporters")
"""The hook families: folder = hook `shopkit_<family>` = row of `shopkit list`."""

GROUPS: dict[str, str] = {
    "sources": "source",
    "views": "view",
    "features": "features",
    "models": "model",
    "tasks": "task",
    "exporters": "exporter",
}
"""Family → the Hydra config group and config key (`model=mlp`, `model.dropout=0.1`)."""


MAIN = "main"
"""Tag of an exporter that leaves a run's own file, `model.onnx`: only these are chosen by `exporter=`, any by `exports=[…]`."""
FOLDER = "folder"
"""Tag of a source that reads the rows of a folder, without their target, for `shopkit predict`: it has the method `rows`."""


@dataclass(frozen=True)
class Component:
    """One selectable piece of a run."""

    name: str
    """What the user writes: `model=<name>`. Lower case, digits and underscores."""
    config: type
    """The settings: a dataclass whose fields carry default, type and docstring. Must be importable without heavy libraries."""
    target: str
    """`package.module:Class`, imported only when a run builds it."""
    summary: str
    """One line of what it is, for `shopkit list`."""
    tags: frozenset[str] = field(default_factory=frozenset)
    """Facts that choose conformance checks and behaviour, e.g. `estimator`, `regression`."""
    tried_with: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Settings under which the conformance suite tries it, where the defaults are slow or do not suit the data it makes up."""
    known_failures: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Laws of the conformance suite that it cannot keep → why, as `{"check_models_batch_of_one": "batch normalisation"}`. Such a
    check must fail: passing is an error."""
    libraries: tuple[str, ...] = ()
    """What it computes with besides the libraries of every run and those its distribution requires: extras, installed or not.
    Their versions take part in the identity of a run that uses it."""


def choice_of(family: str, component: Component) -> str:
    """What one writes to choose a component.

    >>> choice_of("exporters", Component("int8", object, "", ""))
    'exports=[int8]'
    """
    if family == "features":  # not chosen by a group, but written beside a column
        return f"features: {component.name}"
    if family == "exporters" and MAIN not in component.tags:
        return f"exports=[{component.name}]"
    return f"{GROUPS.get(family, family)}={component.name}"


def prefix_of(family: str, component: Component) -> str:
    """What stands before a component's setting on the command line; empty where settings are written beside its name."""
    group = GROUPS.get(family, family)
    return f"{group}." if choice_of(family, component).startswith(f"{group}=") else ""
