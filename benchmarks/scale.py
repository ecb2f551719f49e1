"""Time and memory of `purchase_intent` as the shop grows, beside the same view in plain pandas.

    python benchmarks/scale.py FOLDER [--factors 1 10 100] [--pandas-limit 10] [--json FILE]

For each factor a shop is made on disk (made_shop.py; 1× is the 1,469,307 purchased lines of the real year), and a run goes the
whole way on it in a process of its own: source, view, contract, split, features, training, export, evaluation with intervals,
report. Training is bounded alike at every factor: `--epochs` passes over all training rows.

Memory is read from /proc every 50 ms: `anonymous` is what the process needs and nobody can take back; `resident` is that and the
pages of mapped files (programs, most of all), which the system takes back when it needs them. The pandas view runs in a process
of its own that may take `--pandas-limit` GiB (RLIMIT_DATA); where it stops is written down.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from made_shop import LINES, source, write

AIM = 1.5
EVERY = 0.05


class Memory:
    """Peaks of a process, seen from outside."""

    def __init__(self, pid: int) -> None:
        self.path = Path(f"/proc/{pid}/status")
        self.peaks: dict[str, dict[str, float]] = {}
        self.stage = "start"

    def watch(self) -> None:
        names = {"RssAnon:": "anonymous", "VmRSS:": "resident"}
        while True:
            try:
                lines = self.path.read_text().splitlines()
            except OSError:
                return
            peak = self.peaks.setdefault(self.stage, {"anonymous": 0.0, "resident": 0.0})
            found = {names[line.split()[0]]: int(line.split()[1]) / 1024 for line in lines if line.split()[0] in names}
            if not found:
                return
            for name, mebibytes in found.items():
                peak[name] = max(peak[name], round(mebibytes, 1))
            time.sleep(EVERY)

    def peak(self, name: str) -> float:
        return max(of_stage[name] for of_stage in self.peaks.values())


def watched(command: list[str]) -> dict[str, Any]:
    """Run a command whose lines of JSON name the stages as they end; time, peaks in MiB, and what it said."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    memory = Memory(process.pid)
    watcher = threading.Thread(target=memory.watch, daemon=True)
    watcher.start()
    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.extend(process.stderr or ()), daemon=True)
    reader.start()
    stages: dict[str, dict[str, Any]] = {}
    said: dict[str, Any] = {}
    for line in process.stdout or ():
        if not line.startswith("{"):
            continue
        told = json.loads(line)
        if "stage" in told:
            peak = memory.peaks.pop(memory.stage, {})
            memory.peaks[told["stage"]] = peak
            memory.stage = "next"
            stages[told["stage"]] = {"seconds": round(told["seconds"], 1), **peak}
            print(f"    {told['stage']:<10}{told['seconds']:>9.1f} s {peak.get('anonymous', 0):>8.0f} MiB anonymous "
                  f"{peak.get('resident', 0):>8.0f} MiB resident   {told['line']}", flush=True)  # fmt: skip
        else:
            said |= told
    code = process.wait()
    watcher.join()
    reader.join()
    found = {"seconds": round(time.perf_counter() - start, 1), **{name: memory.peak(name) for name in ("anonymous", "resident")}}
    if code:
        last = [line.strip() for line in errors if line.strip()]
        found["stopped"] = f"killed by signal {-code}" if code < 0 else (last[-1][:300] if last else f"exit code {code}")
    return {**found, **said, "stages": stages}


def run_child(tables: dict[str, str], folder: Path, epochs: int, changes: list[str]) -> None:
    """In a process of its own."""
    import shopkit

    def announce(stage: str, line: str, seconds: float) -> None:
        print(json.dumps({"stage": stage, "line": line, "seconds": seconds}), flush=True)

    settings = [f"trainer.max_epochs={epochs}", "trainer.accelerator=cpu", "trainer.threads=1", *changes]
    run = shopkit.run("purchase_intent", [*source(tables), *settings], folder=folder, announce=announce)
    metrics = run.metrics
    print(json.dumps({"examples": sum(metrics["n_rows"].values()), "test": metrics["metrics"]["test"]["auroc"]}), flush=True)


def pandas_child(tables: dict[str, str], limit: int, out: str) -> None:
    """In a process of its own."""
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (limit << 30, limit << 30))
    from pandas_view import examples

    start = time.perf_counter()
    found = examples(tables)
    print(json.dumps({"examples": len(found), "view_seconds": round(time.perf_counter() - start, 1)}), flush=True)
    if out:
        found.to_parquet(out)


def measure(folder: Path, factor: int, asked: argparse.Namespace) -> dict[str, Any]:
    shop, run = folder / f"shop{factor}", folder / f"run{factor}"
    tables = write(shop, factor, memory="1GB")
    size = sum(path.stat().st_size for path in shop.iterdir())
    print(f"{factor}×: {LINES * factor:,} lines, {size / 2**20:,.0f} MiB of Parquet", flush=True)
    result: dict[str, Any] = {"lines": LINES * factor, "parquet_mib": round(size / 2**20)}
    for name in ("", ".partial"):
        shutil.rmtree(run.with_name(run.name + name), ignore_errors=True)
    child = [sys.executable, __file__, str(folder), "--tables", json.dumps(tables)]
    more = ["--epochs", str(asked.epochs), "--pandas-limit", str(asked.pandas_limit), "--set", *asked.set]
    if not asked.no_run:
        result["shopkit"] = watched([*child, "--child", "shopkit", "--run", str(run), *more])
        print(f"  shopkit: {_line(result['shopkit'])}", flush=True)
    if not asked.no_pandas:
        result["pandas"] = watched([*child, "--child", "pandas", "--run", str(asked.pandas_out or ""), *more])
        print(f"  pandas, the view alone: {_line(result['pandas'])}", flush=True)
    if not asked.keep:
        shutil.rmtree(run, ignore_errors=True)
        shutil.rmtree(shop)
    return result


def _line(found: dict[str, Any]) -> str:
    end = f", stopped: {found['stopped']}" if "stopped" in found else f", {found.get('examples', 0):,} examples"
    return f"{found['seconds']:,.0f} s, peak {found['anonymous']:,.0f} MiB anonymous, {found['resident']:,.0f} MiB resident{end}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--pandas-limit", type=int, default=10, metavar="GIB")
    parser.add_argument("--no-pandas", action="store_true")
    parser.add_argument("--no-run", action="store_true")
    parser.add_argument("--pandas-out", metavar="FILE")
    parser.add_argument("--keep", action="store_true", help="keep shops and runs")
    parser.add_argument("--set", nargs="*", default=[], metavar="SETTING")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--child", choices=["shopkit", "pandas"], help=argparse.SUPPRESS)
    parser.add_argument("--tables", help=argparse.SUPPRESS)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child == "shopkit":
        run_child(json.loads(asked.tables), Path(asked.run), asked.epochs, asked.set)
        return 0
    if asked.child == "pandas":
        pandas_child(json.loads(asked.tables), asked.pandas_limit, asked.run)
        return 0
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    results: dict[str, Any] = {}
    if asked.json and asked.json.is_file():
        results = json.loads(asked.json.read_text())["factors"]
    for factor in asked.factors:
        results[str(factor)] = measure(asked.folder, factor, asked)
        if asked.json:
            _write(asked, results)
    if {"10", "100"} <= set(results) and all("shopkit" in results[f] for f in ("10", "100")):
        print(json.dumps(_ratios(results), indent=2))
    return 0


def _ratios(results: dict[str, Any]) -> dict[str, Any]:
    ten, hundred = (results[factor]["shopkit"] for factor in ("10", "100"))
    memory = {name: round(hundred[name] / ten[name], 2) for name in ("anonymous", "resident")}
    return {
        **memory,
        "seconds": round(hundred["seconds"] / ten["seconds"], 2),
        "aim": AIM,
        "reached": "stopped" not in hundred and max(memory.values()) <= AIM and hundred["seconds"] <= 10 * ten["seconds"],
    }


def _write(asked: argparse.Namespace, results: dict[str, Any]) -> None:
    from timing import of_this_machine  # not where memory is measured

    about = of_this_machine("duckdb", "torch", "pandas", "numpy")
    found: dict[str, Any] = {"about": about, "epochs": asked.epochs, "pandas_limit_gib": asked.pandas_limit}
    found["factors"] = dict(sorted(results.items(), key=lambda each: int(each[0])))
    if {"10", "100"} <= set(results) and all("shopkit" in results[f] for f in ("10", "100")):
        found["from_10_to_100"] = _ratios(results)
    asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
