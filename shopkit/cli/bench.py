"""`shopkit bench RUN_OR_ONNX`"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shopkit.cli.console import Parser, artifact, print_table, require_writable
from shopkit.errors import ConfigError, RunError
from shopkit.progress import is_terminal

SIZES, SECONDS = "1,8,64,512,4096", 60.0


def main(arguments: Sequence[str]) -> int:
    parser = Parser(
        "bench",
        "Measure an exported file: speed, cold start, memory and size, beside what would have been done without it.\n"
        "Contestants take turns. A run gets bench.json and a section of its report.html.\n\n"
        "  shopkit bench runs/purchase_intent/2026-01-31_18-00-00\n"
        "  shopkit bench model.onnx --data visits.csv --json bench.json",
    )
    parser.add_argument("artifact", metavar="RUN_OR_ONNX", type=artifact, help="a run's folder, or an exported .onnx file")
    parser.add_argument("--data", type=Path, metavar="FILE", help="rows to ask about; else the run's test part, or made rows")
    parser.add_argument("--sizes", default=SIZES, metavar="N,N", help=f"rows of a call ({SIZES})")
    parser.add_argument("--threads", default="", metavar="N,N", help="threads of a call (1 and all)")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help=f"for all calls together ({SECONDS:g})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go; else bench.json in the run's folder")
    parsed = parser.parse(arguments)
    sizes, threads = _numbers("--sizes", parsed.sizes), _numbers("--threads", parsed.threads)

    try:
        from shopkit.bench import bench
    except ModuleNotFoundError as error:
        raise RunError(f'shopkit bench needs {error.name}, as training does: pip install "shopkit[train]"') from error
    from shopkit.runs import ELSEWHERE, Run, write_json

    run = Run.open(parsed.artifact) if parsed.artifact.is_dir() else None
    target = parsed.json or (run.bench_path if run is not None else None)
    if target is not None:
        require_writable(target, "--json")
    options: dict[str, Any] = {"data": parsed.data, "sizes": sizes, "threads": threads, "seconds": parsed.seconds}
    if is_terminal():
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, transient=True) as progress:
            bar = progress.add_task("", total=1.0)
            options["progress"] = lambda what, share: progress.update(bar, completed=share, description=what)
            result = bench(parsed.artifact, **options)
    else:
        result = bench(parsed.artifact, **options)
    show(result)
    if target is not None:
        write_json(target, result, ELSEWHERE)
        print(target)
    if run is not None and target == run.bench_path:
        from shopkit.report import render

        for path in render(run):
            print(path)
    return 0


def _numbers(option: str, text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise ConfigError(f"{option} takes whole numbers with commas between, e.g. 1,64; got '{text}'.") from None


def show(result: Mapping[str, Any]) -> None:
    """A table for each number of threads: contestants down, sizes across; then the rest in a few lines."""
    from shopkit.report.formats import duration, size
    from shopkit.report.speed import left_out, table

    for n_threads in dict.fromkeys(one["threads"] for one in result["timings"]):
        sizes = sorted({one["rows"] for one in result["timings"]})
        print(f"Median and 99th percentile of a call, {n_threads} {'thread' if n_threads == 1 else 'threads'}:\n")
        headers = ("", "from", *(f"{n_rows:,} {'row' if n_rows == 1 else 'rows'}" for n_rows in sizes), "rows a second")
        print_table(headers, [(r.name, r.takes, *r.cells, r.fastest) for r in table(result, n_threads)])
        print()
    for name, one in result["process"].items():
        peak = f", {size(one['peak_bytes']['one row'])} at its peak" if "peak_bytes" in one else ""
        print(f"{name}: {duration(one['cold_start_seconds'])} {one['what']}{peak}")
    file = result["file"]
    print(f"{file['name']}: {size(file['bytes'])}" + "".join(f"; {e['name']}: {size(e['bytes'])}" for e in result["exports"]))
    for cost in result["features"]:
        if cost["rows"] == 1 and cost["threads"] == 1:
            print(f"Features of one row cost {cost['microseconds']:.1f} µs, {cost['per_column']:.2f} µs a raw column.")
    for line in left_out(result):
        print(f"Left out: {line}")
