"""`shopkit reproduce RUN`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shopkit.cli.console import Parser, print_table


def main(arguments: Sequence[str]) -> int:
    parser = Parser(
        "reproduce",
        "Run a run again from its folder, beside it, and say what differs; the exit code is 1 if anything does.\n\n"
        "  shopkit reproduce runs/churn/2026-01-31_18-00-00\n"
        "  shopkit reproduce RUN source.url='postgres://user:password@host/shop'     # passwords are not kept in a run",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run's folder")
    parser.add_argument("overrides", metavar="key=value", nargs="*", help="settings that the folder lacks, or that have moved")
    parsed = parser.parse(arguments)

    from shopkit.cli.run import announcer
    from shopkit.reproduce import reproduce

    again, found = reproduce(parsed.run, parsed.overrides, announce=announcer())
    print(again.path)
    if not found:
        print("\nNothing differs: metrics, predictions and model.onnx are equal to the last bit.")
        return 0
    print()
    print_table(("What differs", "Before", "Now"), [(one.what, one.before, one.now) for one in found])
    return 1
