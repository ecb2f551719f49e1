"""What the jobs of a sweep leave word of, so that a page can compare their runs, whichever process they ran in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shopkit.runs import Run, read_json, write_json

_FOLDER = "SHOPKIT_SWEEP_NOTES"
"""Environment variable that names the folder of the notes: processes that a launcher starts inherit it."""
PAGE = "sweep.html"


@contextmanager
def notes() -> Iterator[Path]:
    """The folder that jobs leave their notes in while the block runs."""
    before = os.environ.get(_FOLDER)
    with tempfile.TemporaryDirectory(prefix="shopkit-sweep-") as folder:
        os.environ[_FOLDER] = folder
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ[_FOLDER]
            else:
                os.environ[_FOLDER] = before


def note(**facts: Any) -> None:
    """Leave word of this job: its run, or why it failed."""
    from hydra.core.hydra_config import HydraConfig

    node, folder = HydraConfig.get(), os.environ.get(_FOLDER)
    if folder is None or not Path(folder).is_dir():
        return  # on another machine; its runs are complete, only the page over all of them is not made there
    overrides = [text.replace("++", "") for text in node.overrides.task]
    about = {"number": int(node.job.num), "sweep": str(Path(node.sweep.dir).absolute()), "overrides": overrides}
    write_json(Path(folder) / f"{node.job.num}.json", {**about, **facts})


def failures(folder: Path) -> list[str]:
    """Why jobs failed, in the order of the jobs."""
    return [entry["error"] for entry in _read(folder) if "error" in entry]


def page(folder: Path) -> Path | None:
    """Write the page that compares the runs into the sweep's folder; None where there are not two of one kind to compare."""
    from shopkit.report.headline import primary_metric
    from shopkit.report.search import render_search

    entries = _read(folder)
    found = {int(entry["number"]): Run(Path(entry["run"])) for entry in entries if "run" in entry}
    runs = {number: run for number, run in found.items() if run.is_complete}
    if len(runs) < 2:
        return None
    sweep = Path(entries[0]["sweep"])
    metrics = {number: run.metrics for number, run in runs.items()}
    first = next(iter(metrics.values()))
    name = primary_metric(first)
    if any(primary_metric(one) != name for one in metrics.values()):
        return None
    options = [dict(text.lstrip("+").partition("=")[::2] for text in entry["overrides"]) for entry in entries]
    keys = dict.fromkeys(key for given in options for key in given)
    swept = [key for key in keys if len({given.get(key) for given in options}) > 1]
    trials = []
    for entry, given in zip(entries, options, strict=True):
        run = runs.get(entry["number"])
        trials.append(
            {
                "number": entry["number"],
                "state": "failed" if run is None else "complete",
                "params": {key: _plain(given.get(key, "")) for key in swept},
                "value": metrics[entry["number"]]["metrics"]["validation"][name]["value"] if run is not None else None,
                "seconds": 0.0 if run is None else _seconds(run),
                "reason": entry.get("error", ""),
                "path": os.path.relpath(run.path, sweep) if run is not None else "",
            }
        )
    facts = {
        "experiment": next(iter(runs.values())).manifest["experiment"],
        "model": ", ".join(dict.fromkeys(str((run.facts("train") or {}).get("model")) for run in runs.values())),
        "monitor": {"name": name, "mode": "min" if first["about"][name].get("better") == "lower" else "max"},
        "about": first["about"],
        "command": [],
        "trials": trials,
    }
    sweep.mkdir(parents=True, exist_ok=True)
    render_search(facts, sweep / PAGE)
    return sweep / PAGE


def _seconds(run: Run) -> float:
    return sum(float((run.facts(path.stem) or {}).get("stage_seconds", 0)) for path in (run.path / "stages").glob("*.json"))


def _plain(text: str) -> Any:
    from shopkit.config.screen import plain_value

    value = plain_value(text) if text else None
    try:
        return float(text) if isinstance(value, str) or value is None else value
    except ValueError:
        return text


def _read(folder: Path) -> list[dict[str, Any]]:
    return sorted((dict(read_json(path)) for path in folder.glob("*.json")), key=lambda entry: int(entry["number"]))
