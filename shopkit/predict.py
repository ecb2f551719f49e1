"""Scoring a file of any size through an exported file: read in batches, answered, written, never all in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from shopkit.errors import DataError, RunError, nearest
from shopkit.runs import replacing
from shopkit.runtime import Predictor
from shopkit.schema import NULL_TEXTS, Column

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

BATCH_ROWS = 65_536
_FORMATS = {".csv": "csv", ".tsv": "tsv", ".parquet": "parquet", ".pq": "parquet"}


class _Writer(Protocol):
    def write_batch(self, batch: pa.RecordBatch) -> None: ...
    def close(self) -> None: ...


def predict_file(
    artifact: str | Path,
    data: str | Path,
    output: str | Path,
    *,
    threads: int = 1,
    batch_rows: int = BATCH_ROWS,
    on_batch: Callable[[int], None] = lambda n_rows: None,
    on_columns: Callable[[Predictor, Mapping[str, np.ndarray]], None] | None = None,
) -> int:
    """Predict every row of a CSV, TSV or Parquet file.

    Args:
        artifact: `model.onnx` or the run folder that holds it.
        data: the table; its columns may stand in any order, and more than are needed.
        output: CSV, TSV or Parquet by its ending: key columns that are present, then the outputs. Written whole or not at all.
        on_batch: called with the number of rows of each batch done, for a progress bar.
        on_columns: called with the canonical columns of each batch, for a look at the data as they pass.

    Returns:
        The number of rows.

    Raises:
        DataError: no such file, an unknown format, a missing column, a value of the wrong type (with its row).
        ArtifactError: the artifact cannot be used.
    """
    data, output = Path(data), Path(output)
    predictor = Predictor(artifact, threads=threads)
    reading, writing = _format(data), _format(output)
    if not data.is_file():
        raise DataError(f"There is no file {data}.{nearest(data.name, _names_beside(data))}")
    if not output.parent.is_dir():
        raise RunError(f"Cannot write {output}: there is no folder {output.parent}.")
    keys = [column.name for column in predictor.schema.of_role("key")]
    n_rows = 0
    with replacing(output) as temporary:
        writer: _Writer | None = None
        try:
            for batch in _batches(data, reading, predictor, batch_rows):
                answer = _answer(predictor, batch, keys, n_rows, on_columns)
                writer = writer or _writer(temporary, writing, answer.schema)
                writer.write_batch(answer)
                n_rows += batch.num_rows
                on_batch(batch.num_rows)
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise DataError(f"{data} has a header but no rows.")
    return n_rows


def _answer(
    predictor: Predictor,
    batch: pa.RecordBatch,
    keys: list[str],
    first_row: int,
    on_columns: Callable[[Predictor, Mapping[str, np.ndarray]], None] | None,
) -> pa.RecordBatch:
    import pyarrow as pa

    given = dict(zip(batch.schema.names, batch.columns, strict=True))
    raw = predictor.canonical(given, first_row)
    if on_columns is not None:
        on_columns(predictor, raw)
    outputs = predictor.table(predictor.answer(raw, first_row))
    columns: dict[str, Any] = {name: given[name] for name in keys if name in given}
    columns |= {name: pa.array(values) for name, values in outputs.items()}
    return pa.RecordBatch.from_pydict(columns)


def _batches(path: Path, reading: str, predictor: Predictor, batch_rows: int) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    try:
        if reading == "parquet":
            with pyarrow.parquet.ParquetFile(path) as parquet:
                yield from parquet.iter_batches(batch_rows, columns=_wanted(predictor, parquet.schema_arrow.names))
            return
        parse = pyarrow.csv.ParseOptions(delimiter="\t" if reading == "tsv" else ",", newlines_in_values=True)
        with pyarrow.csv.open_csv(path, parse_options=parse) as header:
            wanted = _wanted(predictor, header.schema.names)
        convert = pyarrow.csv.ConvertOptions(
            include_columns=wanted,
            # All text: a type guessed from the first block would break on a later one.
            column_types=dict.fromkeys(wanted, pa.string()),
            strings_can_be_null=True,
            null_values=list(NULL_TEXTS),
        )
        n_rows = 0
        with pyarrow.csv.open_csv(path, pyarrow.csv.ReadOptions(block_size=8 << 20), parse, convert) as reader:
            for batch in reader:
                columns = dict(zip(batch.schema.names, batch.columns, strict=True))
                for column in predictor.inputs:
                    if column.kind == "number":
                        columns[column.name] = _parsed(columns[column.name], column, n_rows)
                yield pa.RecordBatch.from_pydict(columns)
                n_rows += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"Cannot read {path}: {error}") from error


def _wanted(predictor: Predictor, given: list[str]) -> list[str]:
    """The columns to read, in the file's order; all inputs are among them."""
    predictor.require(given)
    return [name for name in given if name in predictor.schema]


def _parsed(texts: pa.Array, column: Column, first_row: int) -> pa.Array:
    """Numbers written as text; true and false are 1 and 0."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        lower = pc.utf8_lower(texts)
        texts = pc.if_else(pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", texts))
    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid as error:
        row, text = next((i, text) for i, text in enumerate(texts.to_pylist()) if text is not None and not _is_number(text))
        raise DataError(f"Column '{column.name}', row {first_row + row}: {text!r} is not a number.") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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


def _format(path: Path) -> str:
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError:
        raise DataError(f"{path}: cannot tell the format from '{path.suffix}'. Use one of {', '.join(_FORMATS)}.") from None


def _names_beside(path: Path) -> list[str]:
    return [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
