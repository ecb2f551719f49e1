"""Opening a folder to work in, and giving it its final name: one way for runs, cross-validations and searches."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shopkit import provenance
from shopkit.errors import RunError
from shopkit.runs import PARTIAL, discard_temporaries, lock

UNFINISHED = (".hydra", ".lock", "config.yaml", provenance.IDENTITY, "multirun.yaml", "work")
"""What stands in the folder of a run, or of several, before a stage is finished."""
Announce = Callable[[str, str, float], None]
"""Told of each finished stage: its name, one line of what came out, seconds."""


def silent(stage: str, line: str, seconds: float) -> None:
    """Announces nothing."""


@contextmanager
def opened(
    folder: Path,
    identity: str,
    *,
    resume: bool,
    announce: Announce,
    is_enough: Callable[[Path], bool] = lambda complete: True,
) -> Iterator[Path]:
    """The folder that work of this identity is done in (`….partial`), which no other process works in while the block runs; or,
    where it is found complete, the folder as it stands.

    Args:
        folder: where the work goes (`….partial`), unless `resume` finds work of this identity elsewhere.
        resume: whether to go on with work that was begun.
        is_enough: whether a complete folder is all that is wanted; one that is not is worked in again.

    Where the block fails before anything is finished, nothing is left: as of `without_trace`.

    Raises:
        RunError: the folder cannot be written, another process works there, or it holds unfinished work of another identity, or
            of this one that is not to be resumed.
    """
    if resume:
        folder = _take_up(folder, identity, announce)
        if not folder.name.endswith(PARTIAL):
            if is_enough(folder):
                yield folder
                return
            folder = folder.rename(folder.with_name(folder.name + PARTIAL))
    with without_trace(folder), locked(folder):
        provenance.refuse_another(folder, identity, resume)
        discard_temporaries(folder)
        # Before anything else is in the folder: what it holds is only ever taken for work of this identity.
        provenance.begin(folder, identity)
        try:
            yield folder
        except KeyboardInterrupt:
            if not (folder.parent / provenance.IDENTITY).is_file():  # or it is a part of what says so itself
                announce("stopped", f"{folder} is kept; start the same command with resume=true to go on", 0.0)
            raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A folder that can be written, in which no other process works while the block runs.

    Raises:
        RunError: it cannot, or another does.
    """
    make_folder(folder)
    with lock(folder) as mine:
        if not mine:
            raise RunError(f"Another process is working in {folder}. Wait for it, or stop it first.")
        yield


def finished(folder: Path) -> Path:
    """The last act in a folder that was `opened`: it gets its final name."""
    (folder / ".lock").unlink(missing_ok=True)
    return folder.rename(provenance.final_path(folder))


def make_folder(folder: Path) -> None:
    """Make a folder for results.

    Raises:
        RunError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunError(
            f"Cannot write the run folder {folder}: {error.strerror}. Choose another with hydra.run.dir=… (folder=… in Python)."
        ) from error


def _take_up(folder: Path, identity: str, announce: Announce) -> Path:
    """The folder of the newest work of this identity, at work (`….partial`) or complete; `folder` itself where there is none."""
    found = provenance.find_run(folder, identity)
    if found is None:
        return folder
    if found != folder:
        discard_unused(folder)
    announce("resume", f"going on in {found}" if found.name.endswith(PARTIAL) else f"{found} is complete already", 0.0)
    return found


@contextmanager
def without_trace(folder: Path) -> Iterator[None]:
    """Where the block fails, as for data that are not there, and nothing was finished in the folder, it goes, and with it the
    folders around it that were not there before and are empty."""
    made = [parent for parent in folder.absolute().parents if not parent.exists()]
    try:
        yield
    except Exception:
        with suppress(OSError):  # what cannot be removed stays: why the block failed is what is to be said
            discard_unused(folder)
            for parent in made:
                parent.rmdir()
        raise


def discard_unused(folder: Path) -> None:
    """Remove the folder of work that goes on elsewhere, or failed, if no stage of it was finished, nothing was put aside, and no
    other process works there."""
    if folder.is_dir() and all(path.name in UNFINISHED for path in folder.iterdir()):
        with lock(folder) as mine:
            if mine:
                shutil.rmtree(folder)
