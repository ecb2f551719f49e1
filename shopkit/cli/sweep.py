"""What the jobs of a sweep leave word of, so that a page can compare what they made, whichever process they ran in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shopkit.runs import OF_FOLDS, Run, read_json, write_json
from shopkit.secrecy import blotted

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
    """Leave word of this job: the `path` of its run or cross-validation, or the `error` that it failed of."""
    from hydra.core.hydra_config import HydraConfig

    node, folder = HydraConfig.get(), os.environ.get(_FOLDER)
    if folder is None or not Path(folder).is_dir():
        return  # on another machine; its runs are complete, only the page over all of them is not made there
    overrides = blotted([text.replace("++", "") for text in node.overrides.task])
    about = {"number": int(node.job.num), "sweep": str(Path(node.sweep.dir).absolute()), "overrides": overrides}
    write_json(Path(folder) / f"{node.job.num}.json", {**about, **facts})


def failures(folder: Path) -> list[str]:
    """Why jobs failed, in the order of the jobs."""
    return [entry["error"] for entry in _read(folder) if "error" in entry]


def discard_unused(folder: Path) -> None:
    """Remove the sweep's folder where no job has left anything in it."""
    from shopkit import opening

    for sweep in {entry["sweep"] for entry in _read(folder)}:
        opening.discard_unused(Path(sweep))


def page(folder: Path) -> Path | None:
    """Write the page that compares the runs into the sweep's folder; None where there are not two of one kind to compare.

    A cross-validation is judged by the mean over its folds.
    """
    from shopkit.report.headline import primary_metric, unit_of
    from shopkit.report.search import render_search

    entries = _read(folder)
    found = {int(entry["number"]): _runs(Path(entry["path"])) for entry in entries if "path" in entry}
    runs = {number: made for number, made in found.items() if made and all(run.is_complete for run in made)}
    if len(runs) < 2:
        return None
    sweep = Path(entries[0]["sweep"])
    metrics = {number: [run.metrics for run in made] for number, made in runs.items()}
    first = next(iter(metrics.values()))[0]
    name = primary_metric(first)
    if any(primary_metric(made[0]) != name for made in metrics.values()):
        return None
    n_folds = {len(made) for made in runs.values()}
    options = [dict(text.lstrip("+").partition("=")[::2] for text in entry["overrides"]) for entry in entries]
    keys = dict.fromkeys(key for given in options for key in given)
    swept = [key for key in keys if len({given.get(key) for given in options}) > 1]
    trials = []
    for entry, given in zip(entries, options, strict=True):
        made = runs.get(entry["number"])
        trials.append(
            {
                "number": entry["number"],
                "state": "complete" if made else "failed",
                "params": {key: _plain(given.get(key, "")) for key in swept},
                "value": _mean([one["metrics"]["validation"][name]["value"] for one in metrics.get(entry["number"], ())]),
                "seconds": sum(map(_seconds, made or ())),
                "reason": entry.get("error", ""),
                "path": os.path.relpath(_page_of(Path(entry["path"])), sweep) if made else "",
            }
        )
    models = [str((run.facts("train") or {}).get("model")) for made in runs.values() for run in made]
    facts = {
        "experiment": next(iter(runs.values()))[0].manifest["experiment"],
        "model": ", ".join(dict.fromkeys(models)),
        "n_folds": n_folds.pop() if len(n_folds) == 1 else 1,
        "monitor": {"name": name, "mode": "min" if first["about"][name].get("better") == "lower" else "max"},
        "about": first["about"],
        "unit": unit_of(first),
        "command": [],
        "trials": trials,
    }
    sweep.mkdir(parents=True, exist_ok=True)
    render_search(facts, sweep / PAGE)
    return sweep / PAGE


def _runs(path: Path) -> list[Run]:
    """The run that a job made, or those of its folds."""
    folds = path / OF_FOLDS
    return [Run(path / f"fold-{fold}") for fold in range(read_json(folds)["n_folds"])] if folds.is_file() else [Run(path)]


def _page_of(path: Path) -> Path:
    page = path / "cv.html"
    return page if page.is_file() else Run(path).report_path


def _mean(values: Sequence[float | None]) -> float | None:
    """None where there are none, or one of them is not known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


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
