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
    values: np.memmap = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.posix_fallocate(descriptor, 0, max(path.stat().st_size, 1))
        except OSError as error:
            path.unlink()
            raise OSError(error.errno, error.strerror, str(path)) from error
        finally:
            os.close(descriptor)
    return values
