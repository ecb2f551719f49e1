"""The run folder: its layout, its stage markers, its seal."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shopkit.errors import RunError
from shopkit.layout import EXPORTS, MANIFEST

PARTIAL = ".partial"
OF_FOLDS = "cv.json"
OF_TRIALS = "search.json"
FORMAT_VERSION = 1
IN_A_RUN, ELSEWHERE = "choose another folder with hydra.run.dir=…", "name a file elsewhere"
"""What to do where no space can be freed for a file of a run, or for one that was named by itself."""
STAGE_FILES = {
    "examples": ("examples.parquet", "quarantine.parquet"),
    "split": ("split.parquet",),
    "features": ("features.onnx", "work/features"),
}
"""Stage → files and folders it leaves, for the stages that another run can take over."""


def write_json(path: Path, data: Any, otherwise: str = IN_A_RUN) -> None:
    """Write plain data whole or not at all, keys in the order they have, which readers may print them in; as `replacing`."""
    with replacing(path, otherwise) as temporary:
        temporary.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def replacing(path: Path, otherwise: str = IN_A_RUN) -> Iterator[Path]:
    """A path to write to, moved onto `path` only when the block ends well; nothing is left behind otherwise.

    Args:
        otherwise: what to do where no space can be freed.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"Cannot write {path}: {error.strerror or error}. Free some space or {otherwise}.") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """The same for a whole folder: an empty one to fill, which takes the place of `path` when the block ends well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"Cannot write {path}: {error.strerror or error}. Free some space or choose another folder.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def copy(source: Path, target: Path) -> None:
    """Copy a file whole or not at all; raises as `replacing` does."""
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


@contextmanager
def lock(folder: Path) -> Iterator[bool]:
    """Whether this process alone works in the folder while the block runs. A killed process lets go of it by itself."""
    try:
        import fcntl
    except ImportError:  # Windows has no advisory locks; two resumes at once are the user's to avoid there
        yield True
        return
    with (folder / ".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def discard_temporaries(folder: Path) -> None:
    """Remove what a killed process was about to write with `replacing` or `replacing_folder`."""
    for path in [*folder.rglob(".*.tmp")]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Kind:
    """A kind of folder that work is done in, as one: locked, resumed, pinned and removed."""

    name: str
    facts: str
    """The file that a finished one has."""
    parts: tuple[str, ...]
    """What is in it from its beginning."""


KINDS = (
    Kind("cross-validation", OF_FOLDS, ("fold-*",)),
    Kind("search", OF_TRIALS, ("trials", "shared.partial")),
    Kind("run", MANIFEST, ("config.yaml",)),
)


def kind_of(folder: Path) -> Kind | None:
    """Which kind of work a folder holds, begun or finished, if any."""
    return next((kind for kind in KINDS if any(next(folder.glob(part), None) for part in (kind.facts, *kind.parts))), None)


def _link(source: Path, target: Path) -> None:
    if source.is_dir():
        for path in source.iterdir():
            _link(path, target / path.name)
    elif source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            try:
                temporary.hardlink_to(source)
            except OSError:
                shutil.copyfile(source, temporary)


def file_hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class Run:
    """A run folder, at work (`….partial`) or complete."""

    path: Path

    # What stands where. Everything but reports, logs and checkpoints is sealed by the manifest.
    @property
    def config_path(self) -> Path:
        return self.path / "config.yaml"

    @property
    def examples_path(self) -> Path:
        """Every example with its canonical columns, in row order."""
        return self.path / "examples.parquet"

    @property
    def split_path(self) -> Path:
        """Key columns and `part` of every example, in the same order."""
        return self.path / "split.parquet"

    @property
    def features_path(self) -> Path:
        return self.path / "features.onnx"

    @property
    def model_path(self) -> Path:
        return self.path / "model.onnx"

    @property
    def exports_path(self) -> Path:
        """A folder of what `exports=[…]` asked for beside the file; only there if something was made."""
        return self.path / EXPORTS

    @property
    def predictions_path(self) -> Path:
        """Key columns, target and the file's outputs on the test part."""
        return self.path / "predictions.parquet"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.json"

    @property
    def cases_path(self) -> Path:
        """Test rows with what moved their answers; only there if they were asked for."""
        return self.path / "cases.json"

    @property
    def report_path(self) -> Path:
        return self.path / "report.html"

    @property
    def card_path(self) -> Path:
        return self.path / "model_card.md"

    @property
    def bench_path(self) -> Path:
        """What `shopkit bench` measured, beside the seal."""
        return self.path / "bench.json"

    @property
    def manifest_path(self) -> Path:
        return self.path / MANIFEST

    @property
    def work(self) -> Path:
        """Scratch space of the stages (tensors, checkpoints); removed when the run is complete."""
        return self.path / "work"

    # -- stages -------------------------------------------------------------------------------------------------

    def facts(self, stage: str) -> dict[str, Any] | None:
        """What a finished stage reported, or None if it has not finished."""
        marker = self.path / "stages" / f"{stage}.json"
        try:
            return dict(read_json(marker)) if marker.is_file() else None
        except ValueError as error:
            raise RunError(f"{marker} is damaged ({error}). Delete it, and start again with resume=true.") from error

    def finish_stage(self, stage: str, facts: Mapping[str, Any]) -> None:
        """Mark a stage as finished: its results are whole."""
        (self.path / "stages").mkdir(exist_ok=True)
        write_json(self.path / "stages" / f"{stage}.json", facts)

    def forget_stage(self, stage: str) -> None:
        """Take a finished stage for one that has not run."""
        (self.path / "stages" / f"{stage}.json").unlink(missing_ok=True)

    def adopt(self, other: Run, stages: Sequence[str]) -> None:
        """Take over finished stages of a run of the same rows, as hard links where the file system has them."""
        for stage in stages:
            facts = other.facts(stage)
            if facts is None or self.facts(stage) is not None:
                continue
            for name in STAGE_FILES[stage]:
                _link(other.path / name, self.path / name)
            self.finish_stage(stage, facts)

    # -- reading ------------------------------------------------------------------------------------------------

    @property
    def is_complete(self) -> bool:
        return self.manifest_path.is_file() and not self.path.name.endswith(PARTIAL)

    @property
    def manifest(self) -> dict[str, Any]:
        return dict(read_json(self.manifest_path))

    @property
    def metrics(self) -> dict[str, Any]:
        return dict(read_json(self.metrics_path))

    def verify(self) -> None:
        """Compare every sealed file with the manifest.

        Raises:
            RunError: a sealed file is missing or was changed after the run.
        """
        for name, expected in self.manifest["files"].items():
            path = self.path / name
            if not path.is_file():
                raise RunError(f"Run {self.path}: the sealed file {name} is missing.")
            if file_hash(path) != expected:
                raise RunError(f"Run {self.path}: {name} was changed after the run was sealed (sha256 differs from {MANIFEST}).")

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """A complete run by its folder.

        Raises:
            RunError: no such folder, or one that is not a complete run.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise RunError(f"There is no run folder {folder}.")
        run = cls(folder)
        if not run.is_complete:
            what = "was not finished; start it again with resume=true" if folder.name.endswith(PARTIAL) else f"has no {MANIFEST}"
            raise RunError(f"{folder} is not a complete run: it {what}.")
        version = run.manifest.get("format_version", FORMAT_VERSION)
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise RunError(
                f"{folder} is a run of format {version}, this shopkit reads up to format {FORMAT_VERSION}. "
                "Install a newer shopkit: pip install -U shopkit."
            )
        return run
