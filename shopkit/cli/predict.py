"""`shopkit predict RUN_OR_ONNX DATA -o FILE`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from shopkit.cli.console import Parser, is_terminal


def main(arguments: Sequence[str]) -> int:
    parser = Parser("predict", "Score a CSV, TSV or Parquet file of any size with an exported file.")
    parser.add_argument("artifact", metavar="RUN_OR_ONNX", type=Path, help="a run's folder, or its model.onnx")
    parser.add_argument("data", metavar="DATA", type=Path, help="a table with the raw columns, in any order")
    parser.add_argument(
        "-o",
        dest="output",
        metavar="FILE",
        type=Path,
        required=True,
        help="where the key columns and the outputs go: .csv, .tsv or .parquet",
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of ONNX Runtime (1)")
    parsed = parser.parse(arguments)

    from shopkit.predict import predict_file

    if is_terminal():
        from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("rows"), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, transient=True) as progress:
            bar = progress.add_task("", total=None)
            n_rows = predict_file(
                parsed.artifact, parsed.data, parsed.output, threads=parsed.threads, on_batch=lambda n: progress.advance(bar, n)
            )
    else:
        n_rows = predict_file(parsed.artifact, parsed.data, parsed.output, threads=parsed.threads)
    print(f"{n_rows:,} rows → {parsed.output}")
    return 0
