"""IDX, the format of MNIST's files: a magic number, the sizes, and bytes (http://yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from shopkit.errors import DataError

UNSIGNED_BYTE = 0x08
GZIP = b"\x1f\x8b"


def content(path: Path) -> bytes:
    """The bytes of a file, unpacked if it is gzip.

    Raises:
        DataError: a damaged gzip file.
    """
    data = path.read_bytes()
    if not data.startswith(GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} is a damaged gzip file ({error}). Copy it again.") from None


def array(data: bytes, n_dims: int, name: str) -> np.ndarray:
    """The uint8 array of `n_dims` dimensions in an IDX file.

    Args:
        name: of the file, for messages.

    Raises:
        DataError: not such a file, or one that ends early.
    """
    start = 4 + 4 * n_dims
    if len(data) < start or data[:4] != bytes((0, 0, UNSIGNED_BYTE, n_dims)):
        raise DataError(
            f"{name} is not an IDX file of bytes in {n_dims} dimensions: it begins with {data[:4].hex(' ') or 'nothing'}."
        )
    shape = struct.unpack(f">{n_dims}I", data[4:start])
    values = np.frombuffer(data, np.uint8, offset=start)
    if values.size != np.prod(shape):
        expected = " × ".join(map(str, shape))
        raise DataError(f"{name} says that it holds {expected} bytes, but {values.size:,} follow. Copy it again.")
    return values.reshape(shape)


def write(path: Path, values: np.ndarray) -> None:
    """An IDX file of a uint8 array, packed if the name ends in `.gz`."""
    head = bytes((0, 0, UNSIGNED_BYTE, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    data = head + values.tobytes()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
