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
