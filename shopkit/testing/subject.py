"""What is examined: a component, or a plugin as a whole."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from shopkit.component import GROUPS, Component
from shopkit.entry_points import Origin
from shopkit.errors import ShopkitError
from shopkit.pins import ENTRY_POINT_GROUP
from shopkit.registry import BUILTINS, Failure, Registry


class ConformanceError(ShopkitError, AssertionError):
    """A component that breaks a law of its family: which component, which law, what was seen."""


class NotApplicable(Exception):  # noqa: N818  (it is not an error)
    """A law that cannot be tried on this component or in this environment; the text says why."""


@dataclass(frozen=True)
class Subject:
    """One installed component, and how to build it."""

    registry: Registry
    family: str
    name: str
    folder: Path
    """An empty folder to work in."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from the defaults, e.g. fewer trees, to be quick."""
    seed: int = 0

    def __str__(self) -> str:
        return f"{GROUPS.get(self.family, self.family)} {self.name}"

    @property
    def component(self) -> Component:
        return self.registry.get(self.family, self.name)

    @property
    def tags(self) -> frozenset[str]:
        return self.component.tags

    @property
    def rng(self) -> np.random.Generator:
        """Fresh random numbers, the same for every check."""
        return np.random.default_rng(self.seed)

    def settings(self) -> Any:
        """The settings, checked as those of a run are."""
        return self.registry.choice(self.family, {"name": self.name, **self.overrides}).settings

    def target(self) -> Any:
        """The component's class, imported."""
        module, _, name = self.component.target.partition(":")
        return getattr(importlib.import_module(module), name)

    def build(self, *arguments: Any) -> Any:
        """A new instance: `Class(settings, *arguments)`."""
        return self.target()(self.settings(), *arguments)

    def fail(self, seen: str) -> NoReturn:
        raise ConformanceError(f"{self}: {seen}")

    def require(self, holds: bool, seen: str) -> None:
        """
        Raises:
            ConformanceError: it does not hold.
        """
        if not holds:
            self.fail(seen)

    def require_equal(self, got: np.ndarray, expected: np.ndarray, law: str, tolerance: float = 0.0) -> None:
        """Arrays of one shape, and numbers within the tolerance (absolute, and relative to the expected value); NaN equals NaN.

        Raises:
            ConformanceError: they differ; names the law, the place and both values.
        """
        got, expected = np.asarray(got), np.asarray(expected)
        self.require(got.shape == expected.shape, f"{law}, but the shapes are {got.shape} and {expected.shape}.")
        if got.dtype.kind == expected.dtype.kind == "f":
            same = np.isclose(got, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
        else:
            same = np.asarray(got == expected)
        if not same.all():
            place = tuple(int(index) for index in np.argwhere(~same)[0])
            self.fail(f"{law}, but at {place} they are {got[place]!r} and {expected[place]!r} ({int((~same).sum())} differ).")


def as_objects(values: np.ndarray) -> np.ndarray:
    """Texts as Python objects, whichever way numpy or a runtime holds them; other arrays as they are."""
    return values.astype(object) if values.dtype.kind in "OUT" else values


@dataclass(frozen=True)
class Plugin:
    """A plugin as a whole: its hook module."""

    registry: Registry
    origin: Origin
    failure: Failure | None = None
    """Why it did not load."""

    def __str__(self) -> str:
        return f"plugin {self.origin.plugin} ({self.origin})"

    @property
    def module(self) -> str:
        """The hook module."""
        if self.origin.plugin == "builtins":
            return BUILTINS
        entries = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP, name=self.origin.plugin)
        return next(
            entry.module for entry in entries if entry.dist is None or entry.dist.name in (self.origin.distribution, "unknown")
        )

    def fail(self, seen: str) -> NoReturn:
        raise ConformanceError(f"{self}: {seen}")
