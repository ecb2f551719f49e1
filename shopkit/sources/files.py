"""Files on disk: CSV, TSV, Parquet, JSON lines."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

import duckdb
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from shopkit.errors import ConfigError, DataError, nearest, of_a_sheet
from shopkit.progress import doing
from shopkit.runs import file_hash
from shopkit.sources.base import Source, Tables
from shopkit.sources.engine import alike, connect, fetch, local_view, read_parquet, spans
from shopkit.sources.settings import FilesSettings
from shopkit.sources.spark import Spark
from shopkit.sources.text import csv_header, csv_to_parquet, json_to_parquet, plain_utf8
from shopkit.sources.types import TextFiles

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
}
WRITTEN = ("encoding", "delimiter", "decimal", "null_values", "timestamp_format")
"""Settings that say how a text file is written."""


class FilesSource(Source):
    """Tables over files. Text is read once, checked and typed; Parquet is read in place."""

    settings: FilesSettings

    def open(self) -> Tables:
        wanted = dict(self.settings.tables) or {"data": self.settings.path}
        if not all(wanted.values()):
            raise ConfigError("source files: set source.path to a file or glob, or source.tables={name: path}.")
        connection, scratch = connect()
        tables: dict[str, ir.Table] = {}
        digest = hashlib.sha256()
        is_csv = False
        for name, pattern in wanted.items():
            paths = find(pattern)
            is_csv = is_csv or format_of(paths[0]) == "csv"
            tables[name], content = self._table(connection, scratch, name, paths)
            digest.update(f"{name}:{content}\n".encode())
        self._check_names(tables)
        return Tables(
            tables=tables,
            connection=connection,
            origin=f"source files ({', '.join(wanted.values())})",
            fingerprint=digest.hexdigest(),
            time_zone=self.settings.time_zone,
            units=dict(self.settings.units),
            text={name: getattr(self.settings, name) for name in WRITTEN} if is_csv else {},
        )

    def on_spark(self, spark: Spark) -> Tables:
        wanted = dict(self.settings.tables) or {"data": self.settings.path}
        if not all(wanted.values()):
            raise ConfigError("source files: set source.path to Parquet files, or source.tables={name: path}.")
        if self.settings.types:
            raise ConfigError("source.types is for text files; on Spark tables are Parquet, whose columns have their types.")
        for pattern in wanted.values():
            suffix = Path(pattern.removesuffix(".gz")).suffix.lower()
            if FORMATS.get(suffix, "parquet") != "parquet":
                raise ConfigError(
                    f"source files: {pattern} is text. Spark reads Parquet (files, a folder of them, or a glob): write it as "
                    "Parquet first, or use engine=duckdb."
                )
        frames = {name: spark.parquet([_absolute(pattern)]) for name, pattern in wanted.items()}
        origin = f"source files ({', '.join(wanted.values())})"
        return spark.tables(frames, origin, self.settings.time_zone, self.settings.units)

    @classmethod
    def example(cls, settings: FilesSettings, folder: Path) -> Self:
        path = folder / "orders.csv"
        path.write_text("at,color,price\n2024-01-01,red,1.5\n2024-01-02,,2\n", encoding="utf-8")
        return cls(replace(settings, path=str(path)))

    @classmethod
    def empty_example(cls, settings: FilesSettings, folder: Path) -> Self:
        path = folder / "empty.csv"
        path.write_text("at,color,price\n", encoding="utf-8")
        return cls(replace(settings, path=str(path)))

    def _table(self, connection: Backend, scratch: Path, name: str, paths: list[Path]) -> tuple[ir.Table, str]:
        formats = {format_of(path) for path in paths}
        if len(formats) > 1:
            raise DataError(
                f"source files, table '{name}': files of several formats ({', '.join(sorted(formats))}). Give each its own table."
            )
        (form,) = formats
        doing(f"reading {paths[0].name}" + (f" and {len(paths) - 1} more" if len(paths) > 1 else ""))
        if form == "parquet":
            parquet, content, n_rows = paths, [file_hash(path) for path in paths], self._parquet_rows(connection, paths)
        else:
            parquet, content, n_rows = self._text(connection, scratch, paths, form)
        if n_rows == 0:
            raise DataError(f"{paths[0]} has a header but no rows." if form == "csv" else f"{paths[0]} has no rows.")
        files = TextFiles(connection, parquet, paths, self.settings.timestamp_format, self.settings.decimal)
        expressions = spans(parquet) | files.expressions(self.settings.types, infer=form == "csv")
        view = local_view(connection, name, read_parquet(parquet), self.settings.time_zone, expressions)
        return view, hashlib.sha256("\n".join(content).encode()).hexdigest()

    def _text(self, connection: Backend, scratch: Path, paths: list[Path], form: str) -> tuple[list[Path], list[str], int]:
        """Parquet files of the text, a hash of each file's content, and the number of rows."""
        texts, content = zip(*(plain_utf8(path, self.settings.encoding, scratch) for path in paths), strict=True)
        if form == "json":
            out = _unused(scratch)
            return [out], list(content), json_to_parquet(connection, texts, paths[0], out)
        parquet: list[Path] = []
        header: tuple[str, ...] = ()
        n_rows = 0
        for path, text in zip(paths, texts, strict=True):
            names, delimiter = csv_header(text, path, self.settings.delimiter)
            header = header or names
            if names != header:
                _refuse_header(paths[0], header, path, names)
            parquet.append(_unused(scratch))
            n_rows += csv_to_parquet(connection, text, path, names, delimiter, self.settings.null_values, parquet[-1])
        return parquet, list(content), n_rows

    @staticmethod
    def _parquet_rows(connection: Backend, paths: list[Path]) -> int:
        try:
            both = alike(pq.read_schema(paths[0]).names)
            n_rows = int(fetch(connection.con, f"SELECT count(*) FROM {read_parquet(paths)}")[0][0])
        except (duckdb.Error, pa.ArrowInvalid) as error:
            raise DataError(f"{paths[0]}: not readable as Parquet ({str(error).splitlines()[0]})") from None
        if both:
            raise DataError(
                f"{paths[0]} has the columns '{both[0]}' and '{both[1]}' (upper and lower case count as one). Rename one of them."
            )
        return n_rows

    def _check_names(self, tables: Mapping[str, ir.Table]) -> None:
        columns = {column for table in tables.values() for column in table.columns}
        for setting in ("types", "units"):
            for name in getattr(self.settings, setting):
                if name not in columns:
                    raise DataError(
                        f"source.{setting}: there is no column '{name}'.{nearest(name, columns)} "
                        f"Columns: {', '.join(sorted(columns))}."
                    )


def _absolute(pattern: str) -> str:
    """A path of this machine in full, as Spark has a working folder of its own; an address as it is."""
    return pattern if "://" in pattern else str(Path(pattern).expanduser().absolute())


def find(pattern: str) -> list[Path]:
    """The files of a path or glob, sorted.

    Raises:
        DataError: there is none; names the nearest file in that folder.
    """
    path = Path(pattern).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        raise DataError(f"{pattern} is a folder. Give a file or a glob, e.g. {pattern.rstrip('/')}/*.csv.")
    root = Path(path.anchor)
    found = sorted(file for file in root.glob(str(path.relative_to(root))) if file.is_file())
    if found:
        return found
    if not path.parent.is_dir() and not glob.has_magic(pattern):
        raise DataError(f"There is no file {pattern}: the folder {path.parent} does not exist.")
    what = "No file matches" if glob.has_magic(pattern) else "There is no file"
    raise DataError(f"{what} {pattern}.{nearest(path.name, (file.name for file in path.parent.glob('*')))}")


def format_of(path: Path) -> str:
    """`csv`, `parquet` or `json`, by the file's suffix.

    Raises:
        DataError: another suffix.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    form = FORMATS.get(suffix)
    if form is None or (form == "parquet" and path.suffix == ".gz"):
        raise DataError(
            f"{path}: cannot tell its format by '{suffix}'. Known: {', '.join(FORMATS)}; text also with .gz.{of_a_sheet(path)}"
        )
    return form


def _unused(scratch: Path) -> Path:
    return scratch / f"{len(list(scratch.iterdir()))}.parquet"


def _refuse_header(first: Path, header: tuple[str, ...], path: Path, names: tuple[str, ...]) -> None:
    missing = [name for name in header if name not in names]
    extra = [name for name in names if name not in header]
    what = f"lacks {missing}" if missing else f"adds {extra}" if extra else "has the columns in another order"
    raise DataError(f"{path} {what} compared with {first}. Files of one table need one header.")
