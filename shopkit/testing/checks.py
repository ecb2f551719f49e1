"""The checks there are, which of them a component gets, and running them."""

from __future__ import annotations

import importlib
import inspect
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from shopkit.component import FAMILIES
from shopkit.entry_points import Origin
from shopkit.errors import ConfigError, PluginError, ShopkitError, nearest
from shopkit.registry import Registry, load_registry
from shopkit.testing.subject import ConformanceError, NotApplicable, Plugin, Subject

Status = Literal["passed", "failed", "skipped", "known failure", "unexpected pass"]
F = TypeVar("F", bound=Callable[..., None])
_MARK = "shopkit_applies"
SENTENCE = 20
"""Characters that a message with a reason has at least."""


def applies(tags: str = "", without: str = "") -> Callable[[F], F]:
    """Mark a check as one for components that have one tag and lack another."""

    def mark(function: F) -> F:
        setattr(function, _MARK, (tags, without))
        return function

    return mark


@dataclass(frozen=True)
class Check:
    """One law."""

    function: Callable[[Any], None]
    """Takes a `Subject` (or a `Plugin`), and raises `ConformanceError` or `NotApplicable`."""

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def law(self) -> str:
        """The docstring's first sentence."""
        return " ".join((inspect.getdoc(self.function) or "").split("\n\n")[0].split())

    def suits(self, tags: frozenset[str]) -> bool:
        wanted, unwanted = getattr(self.function, _MARK, ("", ""))
        return (not wanted or wanted in tags) and unwanted not in tags


def checks_in(module: str) -> list[Check]:
    """The checks of `shopkit.testing.<module>`, in the order they are written."""
    imported = importlib.import_module(f"shopkit.testing.{module}")
    functions = [value for name, value in vars(imported).items() if name.startswith("check_") and inspect.isfunction(value)]
    return [Check(function) for function in functions if function.__module__ == imported.__name__]


def checks_for(family: str, tags: frozenset[str] = frozenset()) -> list[Check]:
    """The checks of a component of this family with these tags: those of all components, then the family's own."""
    own = checks_in(family) if family in FAMILIES else []
    return [check for check in [*checks_in("components"), *own] if check.suits(tags)]


@dataclass(frozen=True)
class Case:
    """One check on one component, or on a plugin as a whole."""

    check: Check
    family: str
    """`plugins` for a plugin as a whole."""
    name: str
    examined: Callable[[Path], Subject | Plugin]
    """An empty folder to work in → what is examined."""
    known_failure: str = ""
    """The reason why it may fail; then it must."""

    @property
    def id(self) -> str:
        return f"{self.family}-{self.name}-{self.check.name}"

    def run(self, folder: Path) -> None:
        """
        Args:
            folder: an empty folder to work in.

        Raises:
            ConformanceError: the law is broken, or the component raised something on the way.
            NotApplicable: it cannot be tried.
        """
        examined = self.examined(folder)
        try:
            self.check.function(examined)
        except (ConformanceError, NotApplicable):
            raise
        except Exception as error:
            raise ConformanceError(
                f"{examined}: {self.check.law} Instead it raised {type(error).__name__}: {str(error) or 'without a message'}"
            ) from error

    def result(self, folder: Path) -> Result:
        """The same as data."""
        start = time.perf_counter()
        status: Status = "unexpected pass" if self.known_failure else "passed"
        message = f"Known to fail ({self.known_failure}), but it passed: take it off the list." if self.known_failure else ""
        try:
            self.run(folder)
        except NotApplicable as reason:
            status, message = "skipped", str(reason)
        except ConformanceError as error:
            status, message = ("known failure", self.known_failure) if self.known_failure else ("failed", str(error))
        return Result(self.family, self.name, self.check.name, self.check.law, status, message, time.perf_counter() - start)


@dataclass(frozen=True)
class Result:
    """How a check went."""

    family: str
    component: str
    check: str
    law: str
    status: Status
    message: str
    """What was seen, or why it was skipped; empty when passed."""
    seconds: float

    @property
    def ok(self) -> bool:
        return self.status in ("passed", "skipped", "known failure")


@dataclass(frozen=True)
class Known:
    """Known failures by check, `{"check_x": reason}` for all components or `{"gbdt:check_x": reason}` for one."""

    reasons: Mapping[str, str]
    used: set[str] = field(default_factory=set)

    def reason(self, component: str, check: str) -> str:
        for key in (f"{component}:{check}", check):
            if key in self.reasons:
                self.used.add(key)
                return self.reasons[key]
        return ""

    def refuse_unused(self, known: list[str]) -> None:
        for key, reason in self.reasons.items():
            if not reason.strip():
                raise ConfigError(f"known_failures: '{key}' has no reason; say why it fails.")
            if key not in self.used:
                raise ConfigError(f"known_failures names '{key}', which is no check here.{nearest(key, known)}")


def cases(
    distribution: str,
    *,
    known_failures: Mapping[str, str] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    registry: Registry | None = None,
) -> list[Case]:
    """Every check of every component of a distribution.

    Args:
        distribution: e.g. `shopkit-gbdt`, or a plugin's entry-point name; `shopkit` itself for the built-ins.
        known_failures: `check_x` or `component:check_x` → why it fails, beside those that components declare. Such a check must
            fail: passing is an error.
        settings: component → settings that differ from the defaults, e.g. `{"gbdt": {"n_trees": 10}}`; they go before what the
            component itself is `tried_with`.
        registry: all that is installed if None.

    Raises:
        PluginError: nothing of that name is installed.
        ConfigError: `known_failures` or `settings` name what does not exist.
    """
    registry = registry or load_registry()
    own = [
        (family, name, registered.component)
        for family, components in registry.families.items()
        for name, registered in components.items()
        if distribution in (registered.distribution, registered.plugin)
    ]
    declared = {f"{name}:{law}": reason for _, name, component in own for law, reason in component.known_failures.items()}
    overrides, known = dict(settings or {}), Known({**declared, **(known_failures or {})})
    found = [*_plugin_cases(registry, distribution)]
    if not found:
        installed = sorted({origin.distribution for origin in registry.plugins} | {f.distribution for f in registry.failures})
        raise PluginError(
            f"No plugin '{distribution}' is installed.{nearest(distribution, installed)} Installed: {', '.join(installed)}."
        )
    for family, name, component in own:
        changed = {**component.tried_with, **overrides.pop(name, {})}
        found += [
            Case(check, family, name, _subject(registry, family, name, changed), known.reason(name, check.name))
            for check in checks_for(family, component.tags)
        ]
    if overrides:
        raise ConfigError(f"settings name the component '{next(iter(overrides))}', which {distribution} does not have.")
    known.refuse_unused([f"{case.name}:{case.check.name}" for case in found])
    return found


def _subject(registry: Registry, family: str, name: str, changed: Mapping[str, Any]) -> Callable[[Path], Subject]:
    return lambda folder: Subject(registry, family, name, folder, changed)


def _plugin_cases(registry: Registry, distribution: str) -> Iterator[Case]:
    plugins = [Plugin(registry, origin) for origin in registry.plugins]
    plugins += [Plugin(registry, Origin(f.plugin, f.distribution, f.version), f) for f in registry.failures]
    for plugin in plugins:
        if distribution in (plugin.origin.distribution, plugin.origin.plugin):
            for check in checks_in("plugins"):
                yield Case(check, "plugins", plugin.origin.plugin, lambda folder, plugin=plugin: plugin)  # type: ignore[misc]


def check_distribution(
    distribution: str,
    *,
    known_failures: Mapping[str, str] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    registry: Registry | None = None,
    on_result: Callable[[Result], None] | None = None,
) -> list[Result]:
    """Run every check of every component of a distribution; arguments and errors as of `cases`.

    Args:
        on_result: called as each result comes, for a table that grows.
    """
    results = []
    for case in cases(distribution, known_failures=known_failures, settings=settings, registry=registry):
        with tempfile.TemporaryDirectory(prefix="shopkit-") as folder:
            results.append(case.result(Path(folder)))
        if on_result:
            on_result(results[-1])
    return results


def refused(subject: Subject, action: Callable[[], object], what: str) -> None:
    """The action must raise a `ShopkitError` with a message.

    Raises:
        ConformanceError: it did not, or raised something else.
    """
    try:
        action()
    except ShopkitError as error:
        subject.require(
            len(str(error)) >= SENTENCE, f"{what} is refused with the message {str(error)!r}; say what is wrong and what to do."
        )
        return
    except Exception as error:
        subject.fail(
            f"{what} must be refused with a ShopkitError that says what to do, but it raised {type(error).__name__}: {error}"
        )
    subject.fail(f"{what} must be refused with a ShopkitError that says what to do, but nothing was raised.")
