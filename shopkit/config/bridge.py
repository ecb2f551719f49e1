"""Hydra, with shopkit's components and folders offered to it for the time of a block. Nothing stays behind in its singletons."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from shopkit.config.experiment import SECTIONS
from shopkit.config.folders import Folders
from shopkit.config.screen import component_groups, options_of
from shopkit.registry import Registry
from shopkit.settings import defaults

VERSION_BASE = "1.3"


@contextmanager
def offered(registry: Registry, folders: Folders) -> Iterator[None]:
    """Every component as an option of its group, and every folder on Hydra's search path."""
    from hydra.core.config_store import ConfigNode, ConfigStore
    from hydra.core.plugins import Plugins
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class ShopkitFolders(SearchPathPlugin):
        def manipulate_search_path(self, search_path: Any) -> None:
            if folders.user is not None:
                search_path.prepend("user", f"file://{folders.user}")
            for path in folders.plugins:
                search_path.append("plugin", f"file://{path}")

    class Option(ConfigNode):
        """Hydra copies the whole store for each composition; what it loads from it, it copies again."""

        def __deepcopy__(self, memo: dict[int, Any]) -> Option:
            return self

    plugins, store = Plugins.instance(), ConfigStore.instance()
    kept = store.repo
    store.repo = {name: dict(node) if isinstance(node, dict) else node for name, node in kept.items()}
    try:
        for group, options in option_nodes(registry).items():
            for name, node in options.items():
                entry = Option(f"{name}.yaml", _Unmade(node), group, package=None, provider="shopkit")  # type: ignore[arg-type]
                store.repo.setdefault(group, {})[entry.name] = entry
        plugins.register(ShopkitFolders)
        yield
    finally:
        store.repo = kept
        plugins.plugin_type_to_subclass_list[SearchPathPlugin].remove(ShopkitFolders)


@dataclass(frozen=True)
class _Unmade:
    """An option that becomes a `DictConfig` when it is chosen: the store copies what it hands out; most are never asked for."""

    data: dict[str, Any]

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        from omegaconf import OmegaConf

        return OmegaConf.create(self.data)


def option_nodes(registry: Registry) -> dict[str, dict[str, dict[str, Any]]]:
    """Group → option → settings with their defaults, as plain data."""
    nodes: dict[str, dict[str, dict[str, Any]]] = {
        group: {name: {"name": name, **defaults(found.component.config)} for name, found in options_of(group, registry).items()}
        for group in component_groups(registry)
    }
    for group, (option, settings) in SECTIONS.items():
        nodes.setdefault(group, {})[option] = defaults(settings)
    return nodes


@contextmanager
def composing(registry: Registry, folders: Folders) -> Iterator[Any]:
    """Hydra's config loader, also from within a Hydra job."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    with offered(registry, folders):
        running = GlobalHydra.instance().hydra
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(folders.core.resolve()), job_name="shopkit", version_base=VERSION_BASE):
                yield GlobalHydra.instance().config_loader()
        finally:
            GlobalHydra.instance().hydra = running
