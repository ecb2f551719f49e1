"""`shopkit new plugin NAME --family FAMILY`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shopkit.cli.console import Parser
from shopkit.component import FAMILIES
from shopkit.registry import load_registry


def main(arguments: Sequence[str]) -> int:
    parser = Parser("new", "Make the package of a plugin: complete, installable, and passing its own tests.")
    parser.add_argument("what", metavar="plugin", choices=["plugin"], help="what to make")
    parser.add_argument("name", metavar="NAME", help="name of the component, e.g. trees; the package becomes shopkit-trees")
    parser.add_argument("--family", metavar="FAMILY", required=True, help=f"one of {', '.join(FAMILIES)}")
    parser.add_argument("-o", dest="into", metavar="FOLDER", type=Path, default=Path(), help="where to make it (here)")
    parsed = parser.parse(arguments)

    from shopkit.scaffold import new_plugin

    folder = new_plugin(parsed.name, parsed.family, parsed.into, load_registry())
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            print(path)
    component = folder.name.removeprefix("shopkit-").replace("-", "_")
    print(
        f"\nTry it:\n  pip install -e {folder}\n  shopkit run +experiment={component}\n  shopkit plugins check {folder.name}\n"
        f"  pytest {folder}"
    )
    return 0
