"""A component that breaks one law."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from shopkit.component import Component
from shopkit.registry import Registered, Registry, load_registry
from shopkit.testing import Subject

REGISTRY = load_registry("")


@dataclass(frozen=True)
class Broken:
    """A component, and what the check must say of it."""

    family: str
    component: Component
    message: str
    """Regular expression."""

    def registry(self) -> Registry:
        registered = Registered(self.component, "broken", "shopkit-broken", "1.0")
        families = {**REGISTRY.families, self.family: {**REGISTRY.families[self.family], self.component.name: registered}}
        return replace(REGISTRY, families=families)

    def subject(self, folder: Path) -> Subject:
        return Subject(self.registry(), self.family, self.component.name, folder)


def broken(family: str, target: type, config: type, message: str, tags: frozenset[str] = frozenset()) -> Broken:
    """A class of one of these modules as a component."""
    return Broken(
        family, Component("broken", config, f"{target.__module__}:{target.__name__}", "Broken on purpose", tags), message
    )
