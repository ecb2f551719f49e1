"""Arrays in files of their own, mapped into memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike


def new_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> np.memmap:
    """A new `.npy` file, mapped, with room for all of it taken on the disk.

    Without that the file is sparse, and a disk that fills up while it is written kills the process (SIGBUS).

    Raises:
        OSError: there is no room; the file is not there then.
    """
    try:
        values: np.memmap = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
    return values
