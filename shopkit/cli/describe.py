"""`shopkit describe model mlp`"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from shopkit.cli.console import Parser, print_table
from shopkit.component import GROUPS, prefix_of
from shopkit.config.experiment import SECTIONS, General
from shopkit.errors import ConfigError, nearest
from shopkit.registry import Registry, load_registry
from shopkit.settings import MISSING, defaults, documentation, type_name, types_of


def main(arguments: Sequence[str]) -> int:
    parser = Parser("describe", "Show the settings of a component: types, defaults, meanings.")
    parser.add_argument("family", help="a family or config group, e.g. model, task, split, features, trainer")
    parser.add_argument("component", nargs="?", help="one of its components, e.g. mlp (shopkit list shows them)")
    parsed = parser.parse(arguments)
    registry = load_registry()
    if parsed.component is None:
        title, what, settings, prefix = _section(registry, parsed.family)
    else:
        title, what, settings, prefix = _component(registry, parsed.family, parsed.component)
    print(title)
    print(what)
    docstring = docstring_of(settings)
    if docstring and docstring.rstrip(".") != what.rstrip("."):
        print(f"\n{docstring}")
    rows = rows_of(settings, prefix)
    if rows:
        print()
        print_table(("Setting", "Type", "Default", "Meaning"), rows)
    else:
        print("\nIt has no settings.")
    return 0


def _component(registry: Registry, family: str, name: str) -> tuple[str, str, type, str]:
    found = registry.find(family, name)
    family = registry.family(family)
    group = GROUPS.get(family, family)
    title = f"{'extractor' if family == 'features' else group} {name} ({found.distribution} {found.version})"
    return title, found.component.summary, found.component.config, prefix_of(family, found.component)


def _section(registry: Registry, name: str) -> tuple[str, str, type, str]:
    if name in SECTIONS:
        return name, f"Settings given as {name}.<setting>=<value>", SECTIONS[name][1], f"{name}."
    if name == "general":
        return name, "Settings at the top of a configuration", General, ""
    try:
        family = registry.family(name)
    except ConfigError:
        groups = [*GROUPS.values(), "split", *(section for section in SECTIONS if section != "features"), "general"]
        raise ConfigError(
            f"There is nothing to describe as '{name}'.{nearest(name, groups)} There are: {', '.join(groups)}."
        ) from None
    components = ", ".join(found.component.name for found in registry.components(family))
    raise ConfigError(f"Say which {GROUPS.get(family, family)} to describe: {components}.")


def rows_of(settings: type, prefix: str) -> list[tuple[str, str, str, str]]:
    """Name, type, default and meaning of every setting, as they are shown."""
    meanings, values = documentation(settings), defaults(settings)
    return [
        (f"{prefix}{name}", type_name(hint), _shown(values[name]), meanings[name]) for name, hint in types_of(settings).items()
    ]


def _shown(value: Any) -> str:
    """A default as it is written in YAML."""
    if value == MISSING:
        return "(required)"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return value or "''"
    if isinstance(value, list):
        return f"[{', '.join(_shown(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_shown(item)}' for key, item in value.items())}}}"
    return str(value)


def docstring_of(settings: type) -> str:
    """What the settings' class says of itself; empty where it says nothing."""
    text = inspect.getdoc(settings) or ""
    # A dataclass without a docstring is given its signature for one.
    return "" if text.startswith(f"{settings.__name__}(") else text
