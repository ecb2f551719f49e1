"""`shopkit plugins list|check|doctor`"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from shopkit.cli.console import Parser, print_table
from shopkit.cli.list import print_failures
from shopkit.component import FAMILIES
from shopkit.entry_points import Origin
from shopkit.errors import ConfigError, PluginError, nearest
from shopkit.pins import ENTRY_POINT_GROUP, plugin_hash
from shopkit.registry import Failure, Registry, load_registry

if TYPE_CHECKING:
    from shopkit.testing import Result

LIFE_CYCLE = ("shopkit_configured", "shopkit_run_started", "shopkit_run_finished")

_DESCRIPTION = """\
Show the plugins that are installed, check one, say what is wrong.

  shopkit plugins list [--hashes] every plugin: package, version, what it offers, why it failed
  shopkit plugins check NAME      the conformance suite on one plugin; exit code 1 if it breaks a law
  shopkit plugins doctor [NAME]   what is wrong with any of them: tracebacks, targets that do not import, missing packages
"""


def main(arguments: Sequence[str]) -> int:
    parser = Parser("plugins", _DESCRIPTION)
    parser.add_argument("action", nargs="?", default="list", metavar="list|check|doctor", help="list if not given")
    parser.add_argument("name", nargs="?", metavar="NAME", help="a package such as shopkit-gbdt, or its entry point")
    parser.add_argument("--hashes", action="store_true", help="list: show the hash of each, to pin it in a configuration")
    parsed = parser.parse(arguments)
    if parsed.hashes:
        return _hashes(load_registry(), parsed.name)
    actions = {"list": _list, "check": _check, "doctor": _doctor}
    if parsed.action not in actions:
        raise ConfigError(
            f"shopkit plugins cannot '{parsed.action}'.{nearest(parsed.action, actions)} It can: {', '.join(actions)}."
        )
    return actions[parsed.action](load_registry(), parsed.name)


# -- list -----------------------------------------------------------------------------------------------------------


def _list(registry: Registry, name: str | None) -> int:
    origins, failures = _named(registry, name)
    rows = [(origin.plugin, origin.distribution, origin.version, offers(registry, origin)) for origin in origins]
    rows += [(failure.plugin, failure.distribution, failure.version, "nothing: it failed to load") for failure in failures]
    print_table(("Plugin", "Package", "Version", "Offers"), rows)
    print_failures(registry)
    return 0


def _hashes(registry: Registry, name: str | None) -> int:
    """The lines that pin every plugin, ready for a configuration."""
    origins, failures = _named(registry, name)
    names = {origin.distribution for origin in origins} | {failure.distribution for failure in failures}
    found = sorted(names - {"shopkit", "unknown"})
    print("plugins:" if found else "plugins: {}")
    for distribution in found:
        print(f"  {distribution}: {plugin_hash(importlib.metadata.distribution(distribution))}")
    return 0


def offers(registry: Registry, origin: Origin) -> str:
    """What a plugin brings: `models: gbdt, hist_gbdt; hooks: run_finished; experiments: …`."""
    found: dict[str, list[str]] = {}
    for family, components in registry.families.items():
        own = [name for name, entry in components.items() if (entry.plugin, entry.distribution) == _key(origin)]
        if own:
            found[family] = own
    registered = f"{origin.distribution}:{origin.plugin}"
    own_hooks = {
        hook: implementation.function
        for hook in (*LIFE_CYCLE, "shopkit_config_paths")
        for implementation in getattr(registry.hook, hook).get_hookimpls()
        if implementation.plugin_name == registered
    }
    folders = own_hooks.pop("shopkit_config_paths", list)()
    if own_hooks:
        found["hooks"] = [hook.removeprefix("shopkit_") for hook in own_hooks]
    if experiments := sorted(path.stem for folder in folders for path in (folder / "experiment").glob("*.yaml")):
        found["experiments"] = experiments
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in found.items()) or "nothing"


def _key(origin: Origin | Failure) -> tuple[str, str]:
    return origin.plugin, origin.distribution


def _named(registry: Registry, name: str | None) -> tuple[list[Origin], list[Failure]]:
    """The plugins of that name, all without one.

    Raises:
        PluginError: there is none.
    """
    origins = [origin for origin in registry.plugins if name in (None, *_key(origin))]
    failures = [failure for failure in registry.failures if name in (None, *_key(failure))]
    if not origins and not failures:
        known = _installed(registry)
        raise PluginError(f"No plugin '{name}' is installed.{nearest(str(name), known)} Installed: {', '.join(known)}.")
    return origins, failures


def _installed(registry: Registry) -> list[str]:
    """The distributions of all plugins, those that failed included."""
    return sorted({origin.distribution for origin in registry.plugins} | {failure.distribution for failure in registry.failures})


# -- check ----------------------------------------------------------------------------------------------------------


def _check(registry: Registry, name: str | None) -> int:
    if name is None:
        raise ConfigError(f"Say which plugin to check: shopkit plugins check NAME. Installed: {', '.join(_installed(registry))}.")
    _named(registry, name)

    from shopkit.testing import check_distribution

    results = check_distribution(name, registry=registry)
    print_table(("Component", "Law", "Result", "Seconds"), [_row(result) for result in results])
    broken = [result for result in results if not result.ok]
    for result in broken:
        print(f"\n{result.component}, {result.check}: {result.message}")
    for reason in dict.fromkeys(f"{result.component}: {result.message}" for result in results if result.status == "skipped"):
        print(f"\nSkipped for {reason}")
    counts = Counter(result.status for result in results)
    print(f"\n{name}: {', '.join(f'{count} {status}' for status, count in counts.items())}.")
    return 1 if broken else 0


def _row(result: Result) -> tuple[str, str, str, str]:
    family = "plugin" if result.family == "plugins" else result.family
    law = result.check.removeprefix("check_").replace("_", " ")
    return f"{family} {result.component}", law, result.status if result.ok else result.status.upper(), f"{result.seconds:.1f}"


# -- doctor ---------------------------------------------------------------------------------------------------------


def _doctor(registry: Registry, name: str | None) -> int:
    origins, failures = _named(registry, name)
    n_problems = 0
    for failure in failures:
        n_problems += 1
        print(f"{failure}")
        if failure.traceback:
            print("  " + failure.traceback.strip().replace("\n", "\n  "))
        print()
    notes = [note for note in registry.notes if any(note.startswith(f"{origin.plugin} ({origin})") for origin in origins)]
    for problem in [*notes, *(problem for origin in origins for problem in _problems(registry, origin))]:
        n_problems += 1
        print(f"{problem}\n")
    print(f"{len(origins) + len(failures)} plugin(s), {n_problems or 'no'} problem(s).")
    return 1 if n_problems else 0


def _problems(registry: Registry, origin: Origin) -> Iterator[str]:
    """What is wrong with a plugin that loaded: packages that are missing, targets that are not there."""
    missing = [requirement for requirement in _requirements(origin) if not _is_installed(requirement)]
    if missing:
        yield f"{origin.plugin} ({origin}) needs {', '.join(missing)}, not installed: pip install {' '.join(missing)}"
    for family in FAMILIES:
        for found in registry.families[family].values():
            if (found.plugin, found.distribution) != _key(origin):
                continue
            module = found.component.target.partition(":")[0]
            try:
                is_there = importlib.util.find_spec(module) is not None
            except ImportError:
                is_there = False
            if not is_there:
                yield f"{origin.plugin} ({origin}): the target of {family} '{found.component.name}', {module}, is no module."


def _requirements(origin: Origin) -> list[str]:
    """The packages that a distribution needs wherever it is; extras and environments left out."""
    if origin.plugin == "builtins":
        return []
    entries = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP, name=origin.plugin)
    distribution = next((entry.dist for entry in entries if entry.dist and entry.dist.name == origin.distribution), None)
    stated = distribution.requires or [] if distribution else []
    plain = [requirement.partition(";")[0] for requirement in stated if ";" not in requirement]
    return [requirement.strip() for requirement in plain]


def _is_installed(requirement: str) -> bool:
    name = requirement
    for end in "[<>=!~ (":
        name = name.partition(end)[0]
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
