"""The registry: every installed component, gathered through the plugin door.

Nothing is imported but what plugins' hook modules import themselves, and those are light: a component's target is imported
when a run builds it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy

from shopkit import hookspecs
from shopkit.component import FAMILIES, GROUPS, Component
from shopkit.errors import ConfigError, PluginError, nearest
from shopkit.settings import build, types_of, unfit

ENTRY_POINT_GROUP = "shopkit"
RESTRICT = "SHOPKIT_PLUGINS"
BUILTINS = "shopkit.builtins"

FIRST_PARTY: dict[str, dict[str, str]] = {"models": {"gbdt": "shopkit-gbdt", "hist_gbdt": "shopkit-gbdt"}}
"""Family → component → the first-party plugin that has it, for the hint given when it is not installed."""


@dataclass(frozen=True)
class Choice:
    """A component chosen by name, with its settings built and checked."""

    family: str
    """A hook family, or the config group of a core component (`split`)."""
    name: str
    settings: Any


@dataclass(frozen=True)
class Registered:
    """A component and where it comes from."""

    component: Component
    plugin: str
    distribution: str
    version: str


@dataclass(frozen=True)
class Failure:
    """A plugin that could not be used."""

    plugin: str
    distribution: str
    version: str
    problem: str
    """One sentence."""
    traceback: str
    """Where it went wrong, whole; empty when the plugin broke a rule rather than raised."""

    def __str__(self) -> str:
        return f"{self.plugin} ({self.distribution} {self.version}): {self.problem}"


@dataclass(frozen=True)
class Origin:
    """Where a plugin was installed from."""

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True)
class Registry:
    """Every component by family and name. Made by `load_registry`."""

    hook: Any
    """pluggy's hook relay, for the life-cycle hooks."""
    families: Mapping[str, Mapping[str, Registered]]
    """Family (or core group) → name → component."""
    failures: tuple[Failure, ...] = ()
    config_paths: tuple[Path, ...] = ()
    """Folders of YAML that plugins bring."""
    plugins: tuple[Origin, ...] = ()
    """Every plugin that loaded, the built-ins first."""

    def components(self, family: str) -> list[Registered]:
        """The components of a family, in the order they were registered.

        Raises:
            ConfigError: there is no such family.
        """
        return list(self.families[self.family(family)].values())

    def family(self, name: str) -> str:
        """A family by its own name or its config group: `models` and `model` are both `models`.

        Raises:
            ConfigError: there is no such family.
        """
        by_group = {group: family for family, group in GROUPS.items()}
        family = by_group.get(name, name)
        if family not in self.families:
            raise ConfigError(
                f"There is no family '{name}'.{nearest(name, [*self.families, *by_group])} Families: {', '.join(self.families)}."
            )
        return family

    def find(self, family: str, name: str) -> Registered:
        """A component by name, with where it comes from.

        Raises:
            ConfigError: there is none; names the nearest, all there are, and the plugin that would bring it.
        """
        family = self.family(family)
        known = self.families[family]
        if name in known:
            return known[name]
        word = _word(family)
        sentences = [f"There is no {word} '{name}'.{nearest(name, known)}"]
        sentences.append(f"{word.capitalize()}s: {', '.join(sorted(known)) or 'none'}.")
        if home := FIRST_PARTY.get(family, {}).get(name):
            sentences.append(f"'{name}' comes with {home}: pip install {home}")
        sentences += [f"A plugin failed to load and may have it: {failure}" for failure in self.failures]
        raise ConfigError(" ".join(sentences))

    def get(self, family: str, name: str) -> Component:
        """A component by name; raises as `find` does."""
        return self.find(family, name).component

    def choice(self, family: str, spec: str | Mapping[str, Any], path: str = "") -> Choice:
        """A component chosen by name, or by a mapping with its `name` and settings, which are checked.

        Args:
            path: where the choice stands in the configuration, for messages.

        Raises:
            ConfigError: an unknown component, a misspelt setting or one of the wrong type.
        """
        family = self.family(family)
        data = {"name": spec} if isinstance(spec, str) else dict(spec)
        name = data.pop("name", None)
        if not isinstance(name, str):
            raise ConfigError(f"{path or family} has no name: write a component's name, or {{name: …, <setting>: …}}.")
        component = self.get(family, name)
        word = _word(family)
        return Choice(family, name, build(component.config, data, path, owner=f"{word} {name}"))

    def build(self, choice: Choice, *arguments: Any) -> Any:
        """Import a chosen component and construct it: `Class(settings, *arguments)`.

        Raises:
            PluginError: its module cannot be imported, or has no such class.
        """
        found = self.find(choice.family, choice.name)
        return _resolve(_word(choice.family), found)(choice.settings, *arguments)


def _word(family: str) -> str:
    """What one member of a family is called in a message."""
    return "extractor" if family == "features" else GROUPS.get(family, family)


def _resolve(word: str, found: Registered) -> Any:
    module, _, name = found.component.target.partition(":")
    who = f"The {word} '{found.component.name}' of {found.distribution} {found.version}"
    try:
        imported = importlib.import_module(module)
    except Exception as error:
        hint = ""
        if isinstance(error, ModuleNotFoundError) and found.distribution == "shopkit":
            hint = ' Training needs: pip install "shopkit[train,cpu]"'
        raise PluginError(
            f"{who} cannot be used: importing {module} failed with {type(error).__name__}: {error}.{hint}"
        ) from error
    if not name or not hasattr(imported, name):
        classes = [key for key, value in vars(imported).items() if isinstance(value, type) and value.__module__ == module]
        raise PluginError(f"{who} cannot be used: {module} has no class '{name}'.{nearest(name, classes)}")
    return getattr(imported, name)


def load_registry(plugins: str | None = None) -> Registry:
    """Load the built-ins and every installed plugin.

    Args:
        plugins: comma list of the distributions or entry points to load; None takes `$SHOPKIT_PLUGINS`, and loads all when
            that is not set. Built-ins always load.

    Raises:
        PluginError: a misspelt hook, two plugins with one component name, or a name in `plugins` that is not installed.
    """
    if plugins is None:
        plugins = os.environ.get(RESTRICT)
    loader = _Loader()
    for entry in _selected(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), plugins):
        loader.load(entry)
    return loader.registry()


def _selected(entries: Iterable[importlib.metadata.EntryPoint], plugins: str | None) -> list[importlib.metadata.EntryPoint]:
    # One plugin can be listed twice when its folder stands twice on sys.path.
    unique = {(entry.name, entry.value): entry for entry in entries}
    ordered = sorted(unique.values(), key=lambda entry: entry.name)
    if plugins is None:
        return ordered
    wanted = [name.strip() for name in plugins.split(",") if name.strip()]
    names = {name for entry in ordered for name in (entry.name, _origin(entry).distribution)}
    for name in wanted:
        if name not in names:
            installed = ", ".join(sorted({_origin(entry).distribution for entry in ordered})) or "none"
            raise PluginError(f"{RESTRICT} names '{name}', which is not installed.{nearest(name, names)} Plugins: {installed}.")
    return [entry for entry in ordered if entry.name in wanted or _origin(entry).distribution in wanted]


def _origin(entry: importlib.metadata.EntryPoint) -> Origin:
    distribution = entry.dist
    if distribution is None:
        return Origin(entry.name, entry.module, "unknown")
    return Origin(entry.name, distribution.name, distribution.version)


@dataclass
class _Loader:
    """Collects plugins one by one; a plugin comes in whole or not at all."""

    manager: pluggy.PluginManager = field(default_factory=lambda: pluggy.PluginManager("shopkit"))
    families: dict[str, dict[str, Registered]] = field(default_factory=lambda: {family: {} for family in FAMILIES})
    failures: list[Failure] = field(default_factory=list)
    config_paths: list[Path] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)

    def __post_init__(self) -> None:
        from shopkit import __version__

        self.manager.add_hookspecs(hookspecs)
        builtins = importlib.import_module(BUILTINS)
        origin = Origin("builtins", "shopkit", __version__)
        self.manager.register(builtins, name=origin.plugin)
        self._take(origin, _collect(builtins))
        for group, components in builtins.CORE.items():
            self.families[group] = {component.name: Registered(component, *_fields(origin)) for component in components}

    def load(self, entry: importlib.metadata.EntryPoint) -> None:
        origin = _origin(entry)
        try:
            plugin = entry.load()
            offered = _collect(plugin)
        except PluginError as error:
            self._fail(origin, str(error), "")
            return
        except (Exception, SystemExit) as error:
            self._fail(origin, f"{type(error).__name__}: {error}", traceback.format_exc())
            return
        self._check_hooks(origin, plugin)
        self._take(origin, offered)

    def registry(self) -> Registry:
        return Registry(self.manager.hook, self.families, tuple(self.failures), tuple(self.config_paths), tuple(self.origins))

    def _check_hooks(self, origin: Origin, plugin: object) -> None:
        try:
            self.manager.register(plugin, name=f"{origin.distribution}:{origin.plugin}")
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            known = [name for name in vars(hookspecs) if name.startswith("shopkit_")]
            found = re.search(r"unknown hook '(\w+)'", str(error))
            if found:
                what = f"there is no hook '{found[1]}'.{nearest(found[1], known)} Hooks: {', '.join(known)}."
            else:
                what = " ".join(str(error).split())
            raise PluginError(
                f"Plugin {origin.plugin} ({origin}): {what} To go on without it, name the plugins to load in {RESTRICT}."
            ) from error

    def _take(self, origin: Origin, offered: _Offered) -> None:
        for family, components in offered.components.items():
            for component in components:
                other = self.families[family].get(component.name)
                if other is not None:
                    raise PluginError(
                        f"Two plugins have a {GROUPS[family]} '{component.name}': {other.distribution} {other.version} "
                        f"({other.plugin}) and {origin} ({origin.plugin}). "
                        f"Uninstall one, or name the plugins to load in {RESTRICT}."
                    )
                self.families[family][component.name] = Registered(component, *_fields(origin))
        self.config_paths += offered.config_paths
        self.origins.append(origin)

    def _fail(self, origin: Origin, problem: str, trace: str) -> None:
        self.failures.append(Failure(*_fields(origin), problem=problem, traceback=trace))


def _fields(origin: Origin) -> tuple[str, str, str]:
    return origin.plugin, origin.distribution, origin.version


@dataclass(frozen=True)
class _Offered:
    components: dict[str, list[Component]]
    config_paths: list[Path]


def _collect(plugin: object) -> _Offered:
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
    return _Offered(components, paths)


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
