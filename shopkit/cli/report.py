"""`shopkit report RUN`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shopkit.cli.console import Parser


def main(arguments: Sequence[str]) -> int:
    parser = Parser("report", "Write report.html and model_card.md of a run again, from what the run left.")
    parser.add_argument("run", metavar="RUN", type=Path, help="a run's folder")
    parsed = parser.parse(arguments)

    from shopkit.report import render
    from shopkit.runs import Run

    for path in render(Run.open(parsed.run)):
        print(path)
    return 0
