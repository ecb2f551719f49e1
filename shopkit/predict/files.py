"""Scoring a file of any size through an exported file: read in batches, answered, written, never all in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shopkit.errors import ConfigError, DataError, RunError, nearest, of_a_sheet
from shopkit.predict.csv_rows import csv_batches
from shopkit.predict.written import as_text, wanted_columns
from shopkit.runs import ELSEWHERE, replacing
from shopkit.runtime import Predictor

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 65_536
"""Rows read, and written, at once."""
IMAGE_ROWS = 1024
"""The same where each row has an image."""
_FORMATS = {".csv": "csv", ".tsv": "tsv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet"}


class _Writer(Protocol):
    def write_batch(self, batch: pa.RecordBatch) -> None: ...
    def close(self) -> None: ...


def predict_file(
    artifact: str | Path,
    data: str | Path | Iterable[pa.RecordBatch],
    output: str | Path,
    *,
    threads: int = 0,
    batch_rows: int = 0,
    asked: Mapping[str, Any] | None = None,
    on_batch: Callable[[int], None] = lambda n_rows: None,
    on_columns: Callable[[Predictor, Mapping[str, np.ndarray]], None] | None = None,
) -> int:
    """Predict every row of a CSV, TSV or Parquet file. A text is read as the run's source read its own: delimiter, decimal comma,
    form of times, encoding, what means missing.

    Args:
        artifact: `model.onnx` or the run folder that holds it.
        data: the table; its columns may stand in any order, and more than are needed. In CSV and TSV a list is a JSON array. Or
            its rows in batches, at least one, as `Source.rows` gives them.
        output: CSV, TSV or Parquet by its ending: key columns that are present, then the outputs. Written whole or not at all;
            with its columns and no rows where the table has none.
        threads: batches scored at the same time, each by one thread; 0 is one for each core. Answers do not depend on it.
        batch_rows: rows read at once; 0 leaves the choice to shopkit. Memory grows with `threads` times this, not with the rows.
        asked: what the file is asked for beside the columns (`description.options`), e.g. `{"k": 50}`.
        on_batch: called with the number of rows of each batch done, for a progress bar.
        on_columns: called with the canonical columns of each batch, for a look at the data as they pass.

    Returns:
        The number of rows.

    Raises:
        DataError: no such file, an unknown format, a missing column, a value of the wrong type (with its row), something asked
            for that the file does not have.
        ArtifactError: the artifact cannot be used.
        RunError: the output cannot be written, or is the table itself.
        ConfigError: fewer than no threads or rows.
    """
    for name, value in (("threads", threads), ("batch_rows", batch_rows)):
        if value < 0:
            raise ConfigError(f"{name} is {value}; it must be at least 1, or 0 to leave the choice to shopkit.")
    output = Path(output)
    predictor = Predictor(artifact, **(asked or {}))
    batches = _of_file(Path(data), predictor, batch_rows, output) if isinstance(data, (str, Path)) else iter(data)
    writing = _format(output)
    if not output.parent.is_dir():
        raise RunError(f"Cannot write {output}: there is no folder {output.parent}.")
    n_rows = 0
    with replacing(output, ELSEWHERE) as temporary:
        writer: _Writer | None = None
        try:
            for columns, batch in _answered(predictor, batches, threads or available_cores()):
                if on_columns is not None:
                    on_columns(predictor, columns)
                batch = batch if writing == "parquet" else as_text(batch)
                writer = writer or _writer(temporary, writing, batch.schema)
                writer.write_batch(batch)
                n_rows += batch.num_rows
                on_batch(batch.num_rows)
        finally:
            if writer is not None:
                writer.close()
    return n_rows


def _of_file(data: Path, predictor: Predictor, batch_rows: int, output: Path) -> Iterator[pa.RecordBatch]:
    """The batches of a table that is not the output as well."""
    reading = _format(data, is_read=True)
    if not data.is_file():
        raise DataError(f"There is no file {data}.{nearest(data.name, _names_beside(data))}")
    if output.exists() and output.samefile(data):
        raise RunError(f"Cannot write {output}: it is the data to score, which would be lost. Name another file.")
    has_images = any(column.kind == "image" for column in predictor.inputs)
    return _batches(data, reading, predictor, batch_rows or (IMAGE_ROWS if has_images else BATCH_ROWS))


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def first_rows(predictor: Predictor, data: Path, most: int) -> dict[str, np.ndarray]:
    """The canonical input columns of a table's first rows, read as `predict_file` reads them; empty arrays of one without rows.

    Raises:
        DataError: as `predict_file`.
    """
    if not data.is_file():
        raise DataError(f"There is no file {data}.{nearest(data.name, _names_beside(data))}")
    found: list[dict[str, np.ndarray]] = []
    n_rows = 0
    for batch in _batches(data, _format(data, is_read=True), predictor, min(most, BATCH_ROWS)):
        some = batch.slice(0, most - n_rows)
        found.append(predictor.canonical(dict(zip(some.schema.names, some.columns, strict=True)), n_rows))
        n_rows += some.num_rows
        if n_rows >= most:
            break
    return {name: np.concatenate([one[name] for one in found]) if found else np.empty(0) for name in predictor.inputs.names}


def _answered(
    predictor: Predictor, batches: Iterator[pa.RecordBatch], threads: int
) -> Iterator[tuple[dict[str, np.ndarray], pa.RecordBatch]]:
    """Canonical columns and answers of each batch, in order; a few batches are under way at once."""
    first_row = 0
    under_way: deque[Future[tuple[dict[str, np.ndarray], pa.RecordBatch]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for batch in batches:
                under_way.append(pool.submit(answer_batch, predictor, batch, first_row))
                first_row += batch.num_rows
                if len(under_way) > threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def answer_batch(predictor: Predictor, batch: pa.RecordBatch, first_row: int) -> tuple[dict[str, np.ndarray], pa.RecordBatch]:
    """The canonical columns of a batch, and its answer: key columns that are present and what else is no input, then the outputs.

    Raises:
        DataError: a value of the wrong type, with its row, counted from `first_row`.
    """
    import pyarrow as pa

    if batch.num_rows == 0:
        # What the columns of an answer are, a row of missing values tells whatever the graph.
        row = pa.RecordBatch.from_pydict({field.name: pa.nulls(1, field.type) for field in batch.schema})
        raw, answer = answer_batch(predictor, row, first_row)
        return {name: values[:0] for name, values in raw.items()}, answer.slice(0, 0)
    given = dict(zip(batch.schema.names, batch.columns, strict=True))
    raw = predictor.canonical(given, first_row)
    outputs = predictor.table(predictor.answer(raw, first_row))
    names = dict.fromkeys(column.name for column in predictor.schema.of_role("key"))
    names |= dict.fromkeys(name for name in given if name not in predictor.schema)
    columns: dict[str, Any] = {name: given[name] for name in names if name in given}
    columns |= {name: pa.array(values) for name, values in outputs.items()}
    return raw, pa.RecordBatch.from_pydict(columns)


def _batches(path: Path, reading: str, predictor: Predictor, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Its rows; a table without one is one batch without rows."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        if reading != "parquet":
            yield from csv_batches(path, reading, predictor)
            return
        # Buffered before, all that was ever read would stay in memory.
        with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as parquet:
            wanted = wanted_columns(path, predictor, parquet.schema_arrow.names)
            if parquet.metadata.num_rows == 0:
                yield _empty(pa.schema([parquet.schema_arrow.field(name) for name in wanted]))
            yield from parquet.iter_batches(batch_rows, columns=wanted)
    except (pa.ArrowException, OSError, EOFError) as error:
        raise DataError(f"Cannot read {path}: {error}") from error


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def _writer(path: Path, writing: str, schema: pa.Schema) -> _Writer:
    import pyarrow.csv
    import pyarrow.parquet

    writer: _Writer
    if writing == "parquet":
        writer = pyarrow.parquet.ParquetWriter(path, schema)
    else:
        options = pyarrow.csv.WriteOptions(delimiter="\t" if writing == "tsv" else ",")
        writer = pyarrow.csv.CSVWriter(path, schema, write_options=options)
    return writer


def _format(path: Path, is_read: bool = False) -> str:
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower() if is_read else path.suffix.lower()
    form = _FORMATS.get(suffix, "")
    if not form or (form == "parquet" and path.suffix == ".gz"):
        advice = of_a_sheet(path) if is_read else ""
        raise DataError(f"{path}: cannot tell the format from '{path.suffix}'. Use one of {', '.join(_FORMATS)}.{advice}")
    return form


def _names_beside(path: Path) -> list[str]:
    return [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
