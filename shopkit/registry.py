"""The registry: every installed component, gathered through the plugin door.

Nothing is imported but what plugins' hook modules import themselves, and those are light: a component's target is imported
when a run builds it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy

from shopkit import hookspecs
from shopkit.component import FAMILIES, GROUPS, Component
from shopkit.entry_points import RESTRICT, Origin, check_version, origin_of, selected, version_problem
from shopkit.errors import ConfigError, PluginError, nearest, with_article
from shopkit.offered import Offered, collect
from shopkit.pins import ENTRY_POINT_GROUP
from shopkit.settings import build

BUILTINS = "shopkit.builtins"

_RECOMMEND = "popular markov item_knn session_knn ease als mf two_tower gru4rec sasrec blend"
FIRST_PARTY: dict[str, dict[str, str]] = {
    "models": {
        **dict.fromkeys(("gbdt", "hist_gbdt"), "shopkit-gbdt"),
        **dict.fromkeys(_RECOMMEND.split(), "shopkit-recommend"),
        "cnn": "shopkit-vision",
    },
    "sources": dict.fromkeys(("fashion_mnist", "image_folder"), "shopkit-vision"),
    "features": {**dict.fromkeys(("image", "pixels"), "shopkit-vision"), "catalogue": "shopkit-recommend"},
    "views": dict.fromkeys(("interactions", "item_sequences", "session_prefixes"), "shopkit-recommend"),
    "exporters": {"item_index": "shopkit-recommend"},
    "tasks": {"next_item": "shopkit-recommend"},
}
"""Family → component → the first-party plugin that has it, for the hint given when it is not installed."""

HEAVY: tuple[str, ...] = (
    *("torch", "pytorch_lightning", "torchmetrics", "transformers", "pandas", "pyarrow", "duckdb", "ibis", "scipy", "sklearn"),
    *("lightgbm", "matplotlib", "onnx", "onnxruntime", "spox", "ndonnx"),
)
"""What a hook module may not import: each costs every command a tenth of a second to several seconds."""


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
class Registry:
    """Every component by family and name. Made by `load_registry`."""

    hook: Any
    """pluggy's hook relay, for the life-cycle hooks."""
    families: Mapping[str, Mapping[str, Registered]]
    """Family (or core group) → name → component."""
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    """What is wrong with plugins that work, each a sentence."""
    contested: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Family and component → the sentence about the two plugins that both have it."""
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
            ConfigError: there is none; names the nearest, all there are, and the plugin that would bring it. Or two plugins
                have it.
        """
        family = self.family(family)
        known = self.families[family]
        if (family, name) in self.contested:
            raise ConfigError(self.contested[family, name])
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
            that is not set. Built-ins always load. `name@sha256:…` loads a distribution only if its files have this hash; see
            `shopkit.pins`.

    A plugin that cannot be used is one of `failures`, and all others work: it does not import, breaks a rule, misspells a hook,
    takes a name that is taken, or was built for another version of the hooks.

    Raises:
        PluginError: a name in `plugins` that is not installed, or whose files are not those that were pinned.
    """
    if plugins is None:
        plugins = os.environ.get(RESTRICT)
    loader = _Loader()
    for entry in selected(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), plugins):
        loader.load(entry)
    return loader.registry()


@dataclass
class _Loader:
    """Collects plugins one by one; a plugin comes in whole or not at all."""

    manager: pluggy.PluginManager = field(default_factory=lambda: pluggy.PluginManager("shopkit"))
    families: dict[str, dict[str, Registered]] = field(default_factory=lambda: {family: {} for family in FAMILIES})
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    contested: dict[tuple[str, str], str] = field(default_factory=dict)
    config_paths: list[Path] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)

    def __post_init__(self) -> None:
        from shopkit import __version__

        self.manager.add_hookspecs(hookspecs)
        builtins = importlib.import_module(BUILTINS)
        origin = Origin("builtins", "shopkit", __version__)
        self._register(origin, builtins)
        self._take(origin, collect(builtins))
        for group, components in builtins.CORE.items():
            self.families[group] = {component.name: Registered(component, *_fields(origin)) for component in components}

    def load(self, entry: importlib.metadata.EntryPoint) -> None:
        origin = origin_of(entry)
        light = set(HEAVY) - sys.modules.keys()
        try:
            plugin = entry.load()
            check_version(getattr(plugin, "shopkit_api_version", hookspecs.API_VERSION))
            offered = collect(plugin)
            self._check_names(origin, offered)
            self._register(origin, plugin)
        except PluginError as error:
            self._fail(origin, str(error), "")
        except (Exception, SystemExit) as error:
            self._fail(origin, version_problem(entry) or f"{type(error).__name__}: {error}", traceback.format_exc())
        else:
            self._take(origin, offered)
            if loaded := sorted(light & sys.modules.keys()):
                self.notes.append(
                    f"{origin.plugin} ({origin}): importing {entry.module} also imports {', '.join(loaded)}, which slows every "
                    "command. Import it in the component's own module."
                )

    def registry(self) -> Registry:
        return Registry(
            self.manager.hook,
            self.families,
            tuple(self.failures),
            tuple(self.notes),
            self.contested,
            tuple(self.config_paths),
            tuple(self.origins),
        )

    def _register(self, origin: Origin, plugin: object) -> None:
        """
        Raises:
            PluginError: a hook that does not exist, or with arguments it does not have.
        """
        try:
            self.manager.register(plugin, name=f"{origin.distribution}:{origin.plugin}")
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            if self.manager.is_registered(plugin):
                self.manager.unregister(plugin)
            known = [name for name, value in vars(hookspecs).items() if hasattr(value, "shopkit_spec")]
            found = re.search(r"unknown hook '(\w+)'", str(error))
            if found:
                what = f"there is no hook '{found[1]}'.{nearest(found[1], known)} Hooks: {', '.join(known)}."
            else:
                what = " ".join(str(error).split())
            raise PluginError(what) from error

    def _check_names(self, origin: Origin, offered: Offered) -> None:
        """
        Raises:
            PluginError: another plugin has a component of the same name. A built-in stays; else neither can be chosen.
        """
        for family, components in offered.components.items():
            for component in components:
                other = self.families[family].get(component.name)
                if other is not None:
                    problem = (
                        f"Two plugins have {with_article(_word(family))} '{component.name}': {other.distribution} "
                        f"{other.version} ({other.plugin}) and {origin} ({origin.plugin}). "
                        f"Uninstall one, or name the plugins to load in {RESTRICT}."
                    )
                    if other.distribution != "shopkit":
                        self.contested[family, component.name] = problem
                    raise PluginError(problem)

    def _take(self, origin: Origin, offered: Offered) -> None:
        for family, components in offered.components.items():
            self.families[family] |= {component.name: Registered(component, *_fields(origin)) for component in components}
        self.config_paths += offered.config_paths
        self.origins.append(origin)

    def _fail(self, origin: Origin, problem: str, trace: str) -> None:
        self.failures.append(Failure(*_fields(origin), problem=problem, traceback=trace))


def _fields(origin: Origin) -> tuple[str, str, str]:
    return origin.plugin, origin.distribution, origin.version
