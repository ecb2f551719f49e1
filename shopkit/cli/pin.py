"""`shopkit pin RUN`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shopkit.cli.console import Parser


def main(arguments: Sequence[str]) -> int:
    parser = Parser("pin", "Keep a run, a cross-validation or a search from `shopkit clean`.")
    parser.add_argument("run", metavar="RUN", type=Path, help="its folder")
    parser.add_argument("--remove", action="store_true", help="let it go again")
    parsed = parser.parse(arguments)

    from shopkit.housekeeping import pin

    pin(parsed.run, not parsed.remove)
    print(f"{parsed.run} is {'not ' if parsed.remove else ''}pinned")
    return 0
