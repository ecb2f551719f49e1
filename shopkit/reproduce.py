"""Running a run again from its own folder, and saying what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shopkit.config.composer import Composer
from shopkit.errors import RunError
from shopkit.opening import Announce
from shopkit.pipeline import execute
from shopkit.provenance import SEALED, begin_as
from shopkit.registry import load_registry
from shopkit.runs import PARTIAL, Run, file_hash
from shopkit.secrecy import HIDDEN

COMPARED = SEALED
"""Files that are equal, byte for byte, where configuration, data, versions and machine are."""


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it was."""

    what: str
    before: str
    now: str


def reproduce(
    path: Path, overrides: Sequence[str] = (), *, data: Any = None, announce: Announce | None = None
) -> tuple[Run, list[Difference]]:
    """Run the configuration of a complete run once more, beside it.

    Args:
        overrides: `key=value`, for what the folder does not hold (a password) or what has moved (a path).
        data: what `source=dataframe` was given.

    Returns:
        The new run, and what differs: versions, machine, data, files and metrics. Nothing, if it is the same to the last bit.

    Raises:
        RunError: not a complete run, changed since it was sealed, or its configuration lacks a password.
        ConfigError: a setting that this shopkit does not have.
    """
    run = Run.open(path)
    run.verify()
    registry = load_registry()
    experiment = Composer.of(registry).recompose(run.config_path, overrides)
    for key, value in _texts(experiment.raw):
        if HIDDEN in value:
            raise RunError(f"The configuration of {path} does not hold the secret in {key}. Give it again: {key}=…")
    target = run.path.with_name(f"{run.path.name}_reproduced{PARTIAL}")
    again = execute(experiment, target, registry=registry, data=data, announce=announce, prepare=lambda it: begin_as(it, run))
    return again, list(differences(run, again))


def differences(before: Run, now: Run) -> Iterator[Difference]:
    """What differs between two complete runs, causes first."""
    old, new = before.manifest, now.manifest
    for key, title in (("fingerprint", "data"), ("seed", "seed")):
        if old.get(key) != new.get(key):
            yield Difference(title, str(old.get(key)), str(new.get(key)))
    for section in ("versions", "determinism"):
        yield from _differing(section, old.get(section) or {}, new.get(section) or {})
    for name in COMPARED:
        hashes = [run.path / name for run in (before, now)]
        present = [file_hash(file)[:12] if file.is_file() else "missing" for file in hashes]
        if present[0] != present[1]:
            yield Difference(name, *present)
    yield from _differing("metric", _estimates(before), _estimates(now))


def _estimates(run: Run) -> dict[str, Any]:
    return {name: estimate.get("value") for name, estimate in run.metrics["metrics"]["test"].items()}


def _differing(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key):
            yield Difference(f"{what} {key}", str(old.get(key, "none")), str(new.get(key, "none")))


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, str):
        yield path, value
