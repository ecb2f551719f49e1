"""One run of all measurements, as plain data."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from shopkit.bench import process, scikit
from shopkit.bench.clock import Call, CannotError, Contestant, LeftOut, summary, take_turns
from shopkit.bench.files import BARE, FEATURES, FLOOR, OfFile, OfHalves, of_export
from shopkit.bench.rebuilt import Rebuilt
from shopkit.bench.rows import Rows, made, of_run, of_table
from shopkit.errors import ConfigError, ShopkitError
from shopkit.runs import Run
from shopkit.runtime import Predictor
from shopkit.stages.exports import recorded

SIZES = (1, 8, 64, 512, 4096)
SECONDS = 60.0
MOST_COLD_STARTS = 5
"""Of each kind: one for every five seconds, up to this many."""
FORMAT_VERSION = 1
MOST_ROWS, MOST_THREADS, DAY = 1 << 20, 1024, 86_400
"""Rows and threads of a call, at most; all rows of the largest call are in memory. No measuring takes longer than a day."""
LARGEST_SHARE = 0.1
"""Of all the time, that one call may take; a contestant that would take more is left out at that size."""
PACKAGES = ("onnxruntime", "onnxruntime-gpu", "numpy", "pandas", "torch", "scikit-learn", "openvino", "shopkit")
SESSION = {
    "intra-op threads": "as stated for each figure; one by default, of the Predictor too",
    "inter-op threads": "1",
    "graph optimisation": "all",
    "memory arena and pattern": "on",
    "IO binding": "none",
}
"""How sessions are opened; docs/bench.md says what was measured for each."""

Progress = Callable[[str, float], None]
"""Told what is measured now, and the share that is done."""


def bench(
    path: str | Path,
    *,
    data: str | Path | None = None,
    sizes: Sequence[int] = SIZES,
    threads: Sequence[int] | None = None,
    seconds: float = SECONDS,
    progress: Progress = lambda what, share: None,
) -> dict[str, Any]:
    """Measure a run's file, or any exported file, beside what would have been done without it.

    Args:
        path: a complete run's folder, or an exported .onnx file.
        data: a table with rows to ask about; else the run's test part, or made rows.
        sizes: rows of a call.
        threads: of a call; one and all by default.
        seconds: for the calls, all together; cold starts, compiling and fitting of baselines come on top.

    Returns:
        Plain data: `machine`, `file`, `rows`, `contestants`, `left_out`, `timings`, `features`, `process`, `exports`.

    Raises:
        ArtifactError, RunError: no such file or run.
        DataError: rows that cannot be read.
        ConfigError: a size, a number of threads or of seconds that is not above 0, or beyond what anybody asks for.
    """
    path = Path(path)
    every = all_threads()
    counts = tuple(dict.fromkeys(threads or ((1, every) if every > 1 else (1,))))
    for what, values, most in (("--sizes", sizes, MOST_ROWS), ("--threads", counts, MOST_THREADS), ("--seconds", [seconds], DAY)):
        _require_within(what, values, most)
    run = Run.open(path) if path.is_dir() else None
    file = run.model_path if run is not None else path
    predictor = Predictor(file)
    rows = _rows(run, predictor, data, max(sizes))
    progress("baselines", 0.0)
    contestants, left_out, exports, rebuilt = _contestants(file, run, rows)
    timings: list[dict[str, Any]] = []
    groups = [(n_threads, n_rows) for n_threads in counts for n_rows in sorted(set(sizes))]
    for at, (n_threads, n_rows) in enumerate(groups):
        what = f"{n_rows:,} rows, {n_threads} {'thread' if n_threads == 1 else 'threads'}"
        with _torch_threads(n_threads):
            found, not_now = _group(contestants, n_rows, n_threads, seconds, len(groups), timings, what, at, progress)
        timings += found
        left_out += [one for one in not_now if one not in left_out]
    progress("cold starts", 1.0)
    cold = _cold(file, predictor, rows, max(sizes), repeats=max(1, min(MOST_COLD_STARTS, int(seconds // 5))))
    return {
        "format_version": FORMAT_VERSION,
        "machine": machine(),
        "session": SESSION,
        "file": {"name": file.name, "bytes": file.stat().st_size},
        "rows": {"origin": rows.origin, "n_distinct": len(rows), "n_columns": len(predictor.inputs.columns)},
        "seconds": seconds,
        "weights": "the run's" if rebuilt is None or rebuilt.has_weights else "others than the run's, which keeps none: as fast",
        "contestants": [{"name": c.name, "what": c.what, "takes": c.takes} for c in contestants],
        "left_out": [vars(one) for one in left_out],
        "timings": timings,
        "features": features_cost(timings, len(predictor.inputs.columns)),
        "process": cold,
        "exports": exports,
    }


def _require_within(what: str, values: Sequence[float], most: float) -> None:
    if not values or not all(0 < value <= most for value in values):
        got = ", ".join(map(str, values)) or "nothing"
        raise ConfigError(f"{what} must be above 0 and at most {most:,}, got {got}.")


def _rows(run: Run | None, predictor: Predictor, data: str | Path | None, most: int) -> Rows:
    if data is not None:
        return of_table(Path(data), predictor, most)
    return of_run(run, predictor, most) if run is not None else made(predictor)


def _contestants(
    file: Path, run: Run | None, rows: Rows
) -> tuple[list[Contestant], list[LeftOut], list[dict[str, Any]], Rebuilt | None]:
    of_file = OfFile(file, rows)
    found = list(of_file.contestants(file.name))
    accelerated, left_out = of_file.accelerated(file.name)
    found += accelerated
    try:
        found += OfHalves.of(of_file).contestants()
    except CannotError as why:
        left_out.append(LeftOut(BARE, str(why)))
    if run is None:
        return found, [*left_out, LeftOut("baselines", "a file alone does not hold its model: give the run's folder")], [], None
    exports = []
    for name, one in recorded(run).items():
        if "path" not in one:
            continue
        exports.append({"name": name, "bytes": one["size_bytes"]})
        try:
            found.append(of_export(name, run.path / one["path"], rows))
        except CannotError as why:
            left_out.append(LeftOut(name, str(why)))
    try:
        rebuilt = Rebuilt(run, rows)
    except CannotError as why:
        return found, [*left_out, LeftOut("baselines", str(why))], exports, None
    more, not_there = rebuilt.contestants()
    found, left_out = [*found, *more], [*left_out, *not_there]
    try:
        found.append(scikit.contestant(rebuilt))
    except CannotError as why:
        left_out.append(LeftOut(scikit.NAME, str(why)))
    return found, left_out, exports, rebuilt


def _group(
    contestants: Sequence[Contestant],
    n_rows: int,
    n_threads: int,
    seconds: float,
    n_groups: int,
    before: Sequence[dict[str, Any]],
    what: str,
    at: int,
    progress: Progress,
) -> tuple[list[dict[str, Any]], list[LeftOut]]:
    """The timings of all contestants at one size, and who is left out there."""
    calls: dict[str, Call] = {}
    left_out = []
    for one in contestants:
        progress(f"{what}: {one.name}", at / n_groups)
        expected = _expected(one.name, n_rows, n_threads, before)
        if expected > LARGEST_SHARE * seconds:
            more = f"--seconds {expected / LARGEST_SHARE:.0f} or more measures it"
            left_out.append(LeftOut(one.name, f"one call would take about {expected:.0f} s; {more}", n_rows))
            continue
        try:
            call = one.prepare(n_rows, n_threads)
            call()
        except (CannotError, ShopkitError) as why:  # the latter of a file that is damaged, or does not run here
            left_out.append(LeftOut(one.name, str(why), n_rows))
            continue
        calls[one.name] = call
    progress(what, (at + 0.5) / n_groups)
    found = take_turns(calls, seconds / n_groups)
    return [{"name": name, "rows": n_rows, "threads": n_threads, **summary(t, n_rows)} for name, t in found.items()], left_out


def _expected(name: str, n_rows: int, n_threads: int, before: Sequence[dict[str, Any]]) -> float:
    """Seconds of a call, by what fewer rows took."""
    known = [one for one in before if one["name"] == name and one["threads"] == n_threads and one["rows"] < n_rows]
    last = max(known, key=lambda one: int(one["rows"]), default=None)
    return 0.0 if last is None else float(last["p50_ms"]) / 1e3 * n_rows / int(last["rows"])


def features_cost(timings: Sequence[dict[str, Any]], n_columns: int) -> list[dict[str, Any]]:
    """What the features in the file cost beyond the call itself and feeding the columns: the features alone, less the floor."""
    by_place = {(one["name"], one["rows"], one["threads"]): one["p50_ms"] * 1e3 for one in timings}
    found = []
    for (name, n_rows, n_threads), whole in by_place.items():
        floor = by_place.get((FLOOR, n_rows, n_threads))
        if name != FEATURES or floor is None:
            continue
        cost = whole - floor
        per_column = {"per_column": cost / n_columns, "per_value": cost / n_columns / n_rows}
        found.append({"rows": n_rows, "threads": n_threads, "microseconds": cost, **per_column, "feeding": floor})
    return found


def _cold(file: Path, predictor: Predictor, rows: Rows, most: int, repeats: int) -> dict[str, Any]:
    one = next(predictor.feeds(rows.take(1)))
    many = next(predictor.feeds(rows.take(most)))
    return process.measure(file, one, many, repeats)


@contextmanager
def _torch_threads(n_threads: int) -> Iterator[None]:
    """Torch and BLAS with so many threads."""
    import torch

    before = torch.get_num_threads()
    with _blas_threads(n_threads):
        torch.set_num_threads(n_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _blas_threads(n_threads: int) -> AbstractContextManager[Any]:
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:  # it comes with scikit-learn, without which nothing here uses BLAS
        return nullcontext()
    limits: AbstractContextManager[Any] = threadpool_limits(n_threads)
    return limits


def all_threads() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    found: dict[str, Any] = {
        "processor": _processor(),
        "cores": all_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {},
    }
    for name in PACKAGES:
        try:
            found["versions"][name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def p50(result: dict[str, Any], name: str, n_rows: int, n_threads: int = 1) -> float:
    """Median milliseconds of one contestant; NaN where it did not take part."""
    for one in result["timings"]:
        if (one["name"], one["rows"], one["threads"]) == (name, n_rows, n_threads):
            return float(one["p50_ms"])
    return float(np.nan)
