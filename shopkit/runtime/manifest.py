"""What the manifest of a run says of its files, compared while they load."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shopkit.errors import ArtifactError
from shopkit.layout import EXPORTS, MANIFEST


@contextmanager
def check_manifest(path: Path, content: bytes) -> Iterator[None]:
    """Compare a file of a run folder with what the run's manifest says of it, while the block loads it: a hash takes half
    of the time that loading takes. Files elsewhere have no manifest; an export that was copied out of its run is one of them.

    Raises:
        ArtifactError: the file was changed after the run was sealed, whatever the block found wrong with it; or the manifest
            cannot be read.
    """
    expected = _sealed_hash(path)
    if expected is None:
        yield
        return
    # Not for files elsewhere, which answer sooner without them.
    import hashlib
    import threading

    found: list[str] = []
    hashing = threading.Thread(target=lambda: found.append(hashlib.sha256(content).hexdigest()))
    hashing.start()
    try:
        yield
    finally:
        hashing.join()
        if found != [expected]:
            raise ArtifactError(
                f"{path} was changed after its run was sealed (its sha256 is not that in {MANIFEST}). Restore it from a backup, "
                "or run the experiment again. A file that was changed on purpose can be used from outside its run folder."
            )


def _sealed_hash(path: Path) -> str | None:
    """What the manifest of its run says the sha256 of a file is; None where there is none, or it says nothing of the file."""
    # A link is looked at where it stands and where it leads to.
    for file in dict.fromkeys((path.absolute(), path.resolve())):
        runs = [file.parent, *(parent.parent for parent in file.parents if parent.name == EXPORTS)]
        for run in (run for run in runs if (run / MANIFEST).is_file()):
            try:
                facts = json.loads((run / MANIFEST).read_bytes())
            except (ValueError, RecursionError, OSError) as error:
                raise ArtifactError(
                    f"{run / MANIFEST} cannot be read ({error}), so {path.name} cannot be checked against it."
                ) from error
            files = facts.get("files") if isinstance(facts, dict) else None
            expected: str | None = files.get(file.relative_to(run).as_posix()) if isinstance(files, dict) else None
            if expected is not None:
                return expected
    return None
