"""`shopkit list [family]`"""

from __future__ import annotations

from collections.abc import Sequence

from shopkit.cli.console import Parser, print_table
from shopkit.component import GROUPS, choice_of
from shopkit.registry import Registry, load_registry


def main(arguments: Sequence[str]) -> int:
    parser = Parser("list", "List the components that can be chosen, and the plugins they come from.")
    parser.add_argument("family", nargs="?", help=f"only one family: {', '.join(GROUPS)}, split")
    parsed = parser.parse(arguments)
    registry = load_registry()
    families = [registry.family(parsed.family)] if parsed.family else list(registry.families)
    print_table(
        ("Choose", "Package", "Version", "What it is"),
        [
            (choice_of(family, found.component), found.distribution, found.version, found.component.summary)
            for family in families
            for found in registry.components(family)
        ],
    )
    print_failures(registry)
    return 0


def print_failures(registry: Registry) -> None:
    """The plugins that could not be used, and what is wrong with others, each with its one sentence."""
    if registry.failures:
        print("\nPlugins that failed to load (shopkit plugins doctor shows where):")
        for failure in registry.failures:
            print(f"  {failure}")
    for note in registry.notes:
        print(f"\nNote: {note}")
