"""A folder of image files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from shopkit.errors import ConfigError, DataError, nearest
from shopkit.raw import image_structs
from shopkit.runs import file_hash
from shopkit.schema import Schema
from shopkit.sources.base import Source, Tables
from shopkit.sources.engine import connect, local_view, read_parquet
from shopkit.sources.files import FilesSource
from shopkit.sources.settings import FilesSettings

from shopkit_vision.pictures import SUFFIXES, read_image
from shopkit_vision.settings import ImageFolderSettings

GROUP_ROWS = 256
MOST_NAMED = 5
"""Files that are left out and named."""


class ImageFolderSource(Source):
    """One table, `images`: `file`, `image`, and the columns of the table of labels, or `label`, the sub-folder's name."""

    settings: ImageFolderSettings

    def open(self) -> Tables:
        settings = self.settings
        if not settings.path:
            raise ConfigError("source image_folder: set source.path to the folder of images.")
        folder = Path(settings.path).expanduser()
        if not folder.is_dir():
            raise DataError(f"source image_folder: source.path={settings.path} is not a folder.")
        notes: tuple[str, ...] = ()
        if settings.labels:
            labels, column = self._labels(folder), settings.file_column
        else:
            found, others = _files(folder)
            labels, column = _classes(folder, found), "file"
            notes = _left_out(others)
        files = [str(name) for name in labels.column(column).to_pylist()]
        connection, scratch = connect()
        path = scratch / "images.parquet"
        digest = hashlib.sha256(f"{settings.channels}\n{settings.max_side}\n{labels.to_pydict()}".encode())
        writer = None
        for start in range(0, len(files), GROUP_ROWS):
            some = files[start : start + GROUP_ROWS]
            images = image_structs(read_image(folder / name, settings.channels, settings.max_side) for name in some)
            table = labels.slice(start, GROUP_ROWS).append_column("image", images)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            for name in some:
                digest.update(file_hash(folder / name).encode())
        assert writer is not None
        writer.close()
        return Tables(
            tables={"images": local_view(connection, "images", read_parquet([path]), "UTC")},
            connection=connection,
            origin=f"source image_folder ({settings.path})",
            fingerprint=digest.hexdigest(),
            notes=notes,
        )

    def rows(self, folder: Path, inputs: Schema) -> Iterator[pa.RecordBatch]:
        """All images in a folder, whatever their sub-folders: their paths in it, in the column of files, and their pixels."""
        wanted = [column for column in inputs if column.kind == "image"]
        if len(wanted) != 1:
            raise DataError(
                f"{folder} is a folder, of which source image_folder reads an image for each row; this file wants "
                f"{len(wanted)} of them in a row. Give a table, as Parquet."
            )
        found = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES)
        files = [path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts)]
        if not files:
            raise DataError(f"There are no images in {folder} ({', '.join(SUFFIXES)}).")
        for start in range(0, len(files), GROUP_ROWS):
            some = files[start : start + GROUP_ROWS]
            images = image_structs(read_image(folder / name, wanted[0].channels, self.settings.max_side) for name in some)
            yield pa.RecordBatch.from_pydict({self.settings.file_column: pa.array(some), wanted[0].name: images})

    @classmethod
    def example(cls, settings: ImageFolderSettings, folder: Path) -> Self:
        for label, shade in (("dark", 40), ("light", 200)):
            (folder / label).mkdir()
            for i in range(3):
                pixels = np.full((8 + i, 10, 3), shade + i, np.uint8)
                Image.fromarray(pixels).save(folder / label / f"{i}.png")
        return cls(replace(settings, path=str(folder)))

    @classmethod
    def empty_example(cls, settings: ImageFolderSettings, folder: Path) -> Self:
        (folder / "dark").mkdir()
        return cls(replace(settings, path=str(folder)))

    def _labels(self, folder: Path) -> pa.Table:
        """The table of labels, every file of which is there."""
        settings = self.settings
        table = FilesSource(FilesSettings(path=settings.labels)).open()["data"].to_pyarrow()
        names = table.column_names
        if settings.file_column not in names:
            raise DataError(
                f"{settings.labels} has no column '{settings.file_column}' that names the files."
                f"{nearest(settings.file_column, names)} Set source.file_column. Columns: {', '.join(names)}."
            )
        if "image" in names:
            raise DataError(f"{settings.labels} has a column 'image', which is what the pixels are called here. Rename it.")
        for row, name in enumerate(table.column(settings.file_column).to_pylist()):
            if name is None or not (folder / str(name)).is_file():
                raise DataError(f"{settings.labels}, row {row}: there is no file {folder / str(name)}.")
        return table


def _files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Images in the sub-folders, in order, and what else lies there or beside them; hidden files are neither."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    inside = [path for directory in classes for path in sorted(directory.rglob("*"))]
    seen = [path.relative_to(folder) for path in [*sorted(folder.iterdir()), *inside] if path.is_file()]
    shown = [path for path in seen if not path.name.startswith(".")]
    images: list[Path] = []
    others: list[Path] = []
    for path in shown:
        (images if path.suffix.lower() in SUFFIXES and len(path.parts) > 1 else others).append(path)
    return images, others


def _classes(folder: Path, files: Sequence[Path]) -> pa.Table:
    """`file` and `label` of each."""
    if not files:
        raise DataError(
            f"source image_folder: no sub-folder of {folder} has images ({', '.join(SUFFIXES)}). Give each class a sub-folder, "
            "or name a table of labels with source.labels."
        )
    return pa.table({"file": [file.as_posix() for file in files], "label": [file.parts[0] for file in files]})


def _left_out(files: Sequence[Path]) -> tuple[str, ...]:
    """How many there are, and which, the first few by name."""
    if not files:
        return ()
    named = ", ".join(file.as_posix() for file in files[:MOST_NAMED]) + (", …" if len(files) > MOST_NAMED else "")
    what = "1 file is" if len(files) == 1 else f"{len(files):,} files are"
    return (f"{what} left out, in no sub-folder or without a suffix of images ({', '.join(SUFFIXES)}): {named}.",)
