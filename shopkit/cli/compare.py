"""`shopkit compare RUN RUN…`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shopkit.cli.console import Parser, print_table, require_writable


def main(arguments: Sequence[str]) -> int:
    parser = Parser("compare", "Set runs side by side: metrics with intervals (* is the best), and the settings that differ.")
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="two or more run folders")
    parser.add_argument("-o", dest="output", metavar="FILE", type=Path, help="also write a page with overlaid curves, .html")
    parsed = parser.parse(arguments)
    if len(parsed.runs) < 2:
        parser.error("give at least two runs to compare")

    if parsed.output is not None:
        require_writable(parsed.output, "-o")

    from shopkit.report import compare
    from shopkit.runs import Run

    comparison = compare([Run.open(path) for path in parsed.runs], parsed.output)
    print_table(
        ("Metric", *comparison.runs),
        [
            (
                row.title,
                *(f"{cell.text}{'*' * cell.is_best}{f' ({cell.interval})' if cell.interval else ''}" for cell in row.cells),
            )
            for row in comparison.metrics
        ],
    )
    if comparison.differences:
        print()
        print_table(("Setting", *comparison.runs), [(setting, *values) for setting, values in comparison.differences])
    for note in comparison.notes:
        print(f"\nNote: {note}")
    if parsed.output is not None:
        print(f"\n{parsed.output}")
    return 0
