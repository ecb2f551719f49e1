"""Arrays of any number of rows in a file, in compressed blocks of rows: Arrow's IPC format with LZ4.

Features of shops compress well, as most are 0 or 1 (piecewise linear and one-hot encodings about fivefold). Rows are read by the
block and not through a memory map, so what has been read is the process's to keep or to drop.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike

BLOCK_BYTES, MOST_ROWS = 1 << 22, 1024
"""A block holds a power of two of rows, of at most so many bytes and rows."""
CACHE_BYTES = 1 << 28
"""Of the blocks that were last asked for by row numbers."""
_ROWS, _BLOCK = b"rows", b"rows of a block"


class Blocks:
    """Rows of one width in a file that `written` made; slices, row numbers and masks of it are arrays (n, width).

    Only the path goes along when it is pickled, so that several processes may read one file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open()

    def _open(self) -> None:
        self._reader = pa.ipc.open_file(pa.OSFile(str(self.path)), options=pa.ipc.IpcReadOptions(use_threads=False))
        field = self._reader.schema.field(0)
        about = self._reader.schema.metadata
        self.dtype: np.dtype[Any] = np.dtype(field.type.value_type.to_pandas_dtype())
        self.shape: tuple[int, int] = (int(about[_ROWS]), field.type.list_size)
        self.block_rows = int(about[_BLOCK])
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()

    def __getstate__(self) -> Path:
        return self.path

    def __setstate__(self, path: Path) -> None:
        self.path = path
        self._open()

    def __len__(self) -> int:
        n_rows, _ = self.shape
        return n_rows

    @property
    def nbytes(self) -> int:
        """Of all rows, once they are in memory."""
        return len(self) * self.shape[1] * self.dtype.itemsize

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._from_to(start, stop)
            rows = np.arange(start, stop, step)
        elif rows.dtype == bool:
            rows = np.flatnonzero(rows)
        return self._rows(rows)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._from_to(0, len(self)), dtype)

    def _from_to(self, start: int, stop: int) -> np.ndarray:
        found = np.empty((max(0, stop - start), self.shape[1]), self.dtype)
        at = start
        while at < stop:
            block, inside = divmod(at, self.block_rows)
            some = self._read(block)[inside : inside + stop - at]
            found[at - start : at - start + len(some)] = some
            at += len(some)
        return found

    def _rows(self, rows: np.ndarray) -> np.ndarray:
        found = np.empty((len(rows), self.shape[1]), self.dtype)
        blocks, inside = np.divmod(rows, self.block_rows)
        order = np.argsort(blocks, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(blocks[order])) + 1, len(rows))
        start = 0
        for end in ends if len(rows) else ():
            places = order[start:end]
            found[places] = self._kept(int(blocks[places[0]]))[inside[places]]
            start = end
        return found

    def _kept(self, block: int) -> np.ndarray:
        """A block from the cache, of which the one unused for longest is dropped."""
        if block not in self._cache:
            most = max(1, CACHE_BYTES // (self.block_rows * self.shape[1] * self.dtype.itemsize))
            while len(self._cache) >= most:
                self._cache.popitem(last=False)
            self._cache[block] = self._read(block)
        self._cache.move_to_end(block)
        return self._cache[block]

    def _read(self, block: int) -> np.ndarray:
        values: np.ndarray = self._reader.get_batch(block).column(0).flatten().to_numpy()
        return values.reshape(-1, self.shape[1])


class Writer:
    """Takes rows in any portions, and writes blocks of equal size."""

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, int]) -> None:
        n_rows, width = shape
        self.dtype, self.width = np.dtype(dtype), width
        row_bytes = width * self.dtype.itemsize
        fitting = max(1, min(MOST_ROWS, BLOCK_BYTES // row_bytes))
        block_rows = 1 << (fitting.bit_length() - 1)
        self._pending = np.empty((block_rows, width), self.dtype)
        self._filled = 0
        self._schema = pa.schema(
            [pa.field("rows", pa.list_(pa.from_numpy_dtype(self.dtype), width))],
            metadata={_ROWS: str(n_rows), _BLOCK: str(block_rows)},
        )
        self._writer = pa.ipc.new_file(path, self._schema, options=pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False))

    def add(self, rows: np.ndarray) -> None:
        """More rows (n, width)."""
        while len(rows):
            some = rows[: len(self._pending) - self._filled]
            self._pending[self._filled : self._filled + len(some)] = some
            self._filled += len(some)
            rows = rows[len(some) :]
            if self._filled == len(self._pending):
                self._flush()

    def _flush(self) -> None:
        if self._filled:
            values = pa.array(self._pending[: self._filled].ravel())
            column = pa.FixedSizeListArray.from_arrays(values, self.width)
            self._writer.write_batch(pa.record_batch([column], schema=self._schema))
            self._filled = 0

    def close(self) -> None:
        self._flush()
        self._writer.close()


@contextmanager
def written(path: Path, dtype: DTypeLike, shape: tuple[int, int]) -> Iterator[Writer]:
    """A file to write rows to; `shape` says how many will come, and how wide they are.

    Raises:
        OSError: there is no room.
    """
    try:
        writer = Writer(path, dtype, shape)
        try:
            yield writer
        finally:
            writer.close()
    except OSError as error:
        if error.errno is None:
            raise
        # Arrow's words name the bytes it was writing; the system's say why.
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
