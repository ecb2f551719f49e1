"""What a run was made from: versions, identity, and the seal over its files."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import platform
import re
from collections.abc import Collection, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from shopkit.errors import RunError
from shopkit.layout import EXPORTS
from shopkit.runs import FORMAT_VERSION, PARTIAL, Run, file_hash, kind_of, read_json, write_json
from shopkit.secrecy import blotted

LIBRARIES = (
    "duckdb",
    "hydra-core",
    "ibis-framework",
    "ndonnx",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "pandas",
    "pyarrow",
    "pytorch-lightning",
    "shopkit",
    "spox",
    "torch",
    "torchmetrics",
)
SEALED = (
    "config.yaml",
    "examples.parquet",
    "quarantine.parquet",
    "split.parquet",
    "features.onnx",
    "vocabularies.json",
    "weights.npz",
    "model.onnx",
    "predictions.parquet",
    "metrics.json",
    "cases.json",
)
IDENTITY = "identity.json"
SWEEP = "_sweep"
"""What the folder of a sweep ends in."""
_NAME = re.compile(r"[\w.-]+")
_OF_EXTRA = re.compile(r";.*\bextra\s*==")
_NOT_IDENTITY = ("resume", "logger", "name", "plugins", "exports")
"""Config keys that do not change what a run computes. What is exported beside the file is made from it, and can be added."""


def versions(distributions: Iterable[str], libraries: Iterable[str] = ()) -> dict[str, str]:
    """Installed version of each library that a result depends on, of the plugins used, and of what those require.

    Args:
        distributions: the plugins'.
        libraries: further ones that take part, where they are installed.
    """
    names = [*LIBRARIES, *libraries]
    for name in distributions:
        # Those of extras take part only as `libraries`: installing pytest makes no other run.
        needed = [requirement for requirement in metadata.requires(name) or () if not _OF_EXTRA.search(requirement)]
        names += [name, *(_NAME.match(requirement)[0] for requirement in needed)]  # type: ignore[index]
    found = {"python": platform.python_version()}
    for name in dict.fromkeys(names):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def determinism(train: Mapping[str, Any]) -> dict[str, Any]:
    """What else the last bits of a result hang on: the machine, and how training used it."""
    machine = {"system": platform.system(), "machine": platform.machine(), "cpu_cores": os.cpu_count()}
    return {**machine, **{key: train.get(key) for key in ("device", "threads", "deterministic")}}


def identity(config: Mapping[str, Any], fingerprint: str, library_versions: Mapping[str, str]) -> str:
    """Equal for runs that compute the same: hash of config (but no password in it), data and versions."""
    kept = blotted({key: value for key, value in config.items() if key not in _NOT_IDENTITY})
    text = json.dumps([kept, fingerprint, dict(library_versions)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def begin(folder: Path, identity: str) -> None:
    """Say what work a folder holds, and since when; what was begun keeps its moment, however often it is resumed."""
    moment = began(folder) if _identity_of(folder) == identity else _now()
    write_json(folder / IDENTITY, {"identity": identity, "began": moment.isoformat()})


def began(folder: Path) -> dt.datetime:
    """The moment at which the work in a folder was begun, UTC: what `now` means in it. This one where it does not say."""
    try:
        return dt.datetime.fromisoformat(read_json(folder / IDENTITY)["began"])
    except (ValueError, KeyError, TypeError, OSError):
        return _now()


def begin_as(run: Run, other: Run) -> None:
    """Begin a run at the moment at which another was begun."""
    if (moment := other.manifest.get("began")) is not None:
        write_json(run.path / IDENTITY, {**read_json(run.path / IDENTITY), "began": moment})


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)


def find_run(folder: Path, wanted: str) -> Path | None:
    """The newest run in `folder`, beside it, or in an earlier sweep, that has this identity, complete or not."""
    beside = [*folder.parent.glob("*")]
    if folder.parent.name.endswith(SWEEP):
        beside += folder.parent.parent.glob(f"*{SWEEP}/*")
    found = [path for path in dict.fromkeys(beside) if _identity_of(path) == wanted]
    return max(found, key=lambda path: (path / IDENTITY).stat().st_mtime, default=None)


def refuse_another(folder: Path, wanted: str, resume: bool) -> None:
    """Hold a folder to the one work that was begun in it: a run, a cross-validation, or a search.

    Raises:
        RunError: it holds results of a work of another identity, or of the same that is not to be resumed.
    """
    if next(folder.rglob("stages/*.json"), None) is None and next(folder.glob("trials/*/trial.json"), None) is None:
        return
    kind = kind_of(folder)
    what = kind.name if kind else "run"
    if _identity_of(folder) != wanted:
        raise RunError(
            f"{folder} holds an unfinished {what} of another configuration, other data or other versions. Choose another folder, "
            "or delete it."
        )
    if not resume:
        raise RunError(f"{folder} holds this {what}, unfinished. Add resume=true to go on with it, or delete it.")


def _identity_of(path: Path) -> str | None:
    marker = path / IDENTITY
    try:
        return str(read_json(marker)["identity"]) if marker.is_file() else None
    except (ValueError, KeyError, OSError):  # damaged: no run that can be known again
        return None


def seal(run: Run, facts: Mapping[str, Any]) -> None:
    """Write the manifest: the hash of every sealed file, all that exporters wrote among them, and what the run was made from."""
    assets, export = (run.facts("features") or {}).get("assets", []), run.facts("export") or {}
    names = dict.fromkeys((*SEALED, *assets, *export.get("files", []), *_exported(run)))
    files = {name: file_hash(run.path / name) for name in names if (run.path / name).is_file()}
    write_json(run.manifest_path, {"format_version": FORMAT_VERSION, "files": files, **facts})


def seal_exports(run: Run, without: Collection[str] = ()) -> None:
    """Bring the manifest of a complete run up to what was exported beside its own file.

    Args:
        without: files that are about to change, relative to the run folder: they are not sealed.
    """
    manifest, names = run.manifest, [name for name in _exported(run) if name not in without]
    files = {name: value for name, value in manifest["files"].items() if not name.startswith(f"{EXPORTS}/")}
    write_json(run.manifest_path, {**manifest, "files": files | {name: file_hash(run.path / name) for name in names}})


def has_sealed_exports(run: Run) -> bool:
    """Whether the manifest names what was exported beside the run's own file, and nothing else there."""
    return {name for name in run.manifest["files"] if name.startswith(f"{EXPORTS}/")} == set(_exported(run))


def _exported(run: Run) -> list[str]:
    """Files that were exported beside the run's own, relative to its folder."""
    found = (run.facts("exports") or {}).get("exports", {}).values()
    return [name for one in found for name in one.get("files", []) if (run.path / name).is_file()]


def final_path(partial: Path) -> Path:
    """Where a finished run goes: its name without `.partial`, with a number if that is taken."""
    name = partial.name.removesuffix(PARTIAL)
    target = partial.with_name(name)
    number = 2
    while target.exists():
        target = partial.with_name(f"{name}-{number}")
        number += 1
    return target
