"""Installed plugins as entry points: which are to be loaded, where each comes from, and for which hooks it was built."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shopkit import hookspecs
from shopkit.errors import PluginError, nearest
from shopkit.pins import check_pin

RESTRICT = "SHOPKIT_PLUGINS"
"""The environment's list of the plugins to load."""


@dataclass(frozen=True)
class Origin:
    """Where a plugin was installed from."""

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


def origin_of(entry: importlib.metadata.EntryPoint) -> Origin:
    distribution = entry.dist
    if distribution is None:
        return Origin(entry.name, entry.module, "unknown")
    return Origin(entry.name, distribution.name, distribution.version)


def selected(entries: Iterable[importlib.metadata.EntryPoint], plugins: str | None) -> list[importlib.metadata.EntryPoint]:
    """In the order of their names; `plugins` as of `load_registry`.

    Raises:
        PluginError: a name in `plugins` that is not installed, or whose files are not those that were pinned.
    """
    # One plugin can be listed twice when its folder stands twice on sys.path.
    unique = {(entry.name, entry.value): entry for entry in entries}
    ordered = sorted(unique.values(), key=lambda entry: entry.name)
    if plugins is None:
        return ordered
    wanted = []
    for name, _, pin in (item.strip().partition("@") for item in plugins.split(",") if item.strip()):
        if pin:
            check_pin(name, pin, f"{RESTRICT}: {name}")
        wanted.append(name)
    if not wanted:
        return []
    names = {name for entry in ordered for name in (entry.name, origin_of(entry).distribution)}
    for name in wanted:
        if name not in names:
            installed = ", ".join(sorted({origin_of(entry).distribution for entry in ordered})) or "none"
            raise PluginError(f"{RESTRICT} names '{name}', which is not installed.{nearest(name, names)} Plugins: {installed}.")
    return [entry for entry in ordered if entry.name in wanted or origin_of(entry).distribution in wanted]


def check_version(stated: object) -> None:
    """
    Raises:
        PluginError: the plugin was built for another version of the hooks.
    """
    from shopkit import __version__

    if stated != hookspecs.API_VERSION:
        is_older = isinstance(stated, int) and stated < hookspecs.API_VERSION
        advice = "a newer version of the plugin" if is_older else "a newer shopkit, or an older version of the plugin"
        raise PluginError(
            f"it is built for version {stated} of the hook API, and shopkit {__version__} has version {hookspecs.API_VERSION}. "
            f"Install {advice}."
        )


def version_problem(entry: importlib.metadata.EntryPoint) -> str:
    """The sentence about another hook API, if the source of a module that did not import states one; else nothing."""
    try:
        spec = importlib.util.find_spec(entry.module)
        source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
        stated = re.search(r"^shopkit_api_version\s*(?::\s*int\s*)?=\s*(\d+)", source, re.MULTILINE)
        check_version(int(stated[1]) if stated else hookspecs.API_VERSION)
    except PluginError as error:
        return str(error)
    except (Exception, SystemExit):
        # Looking for the source imports the packages around the module, which may fail as well: the first error says more.
        return ""
    return ""
