"""Scoring on the workers of a Spark cluster: the same file, shipped with the job, one session in each Python worker.

A worker needs shopkit with ONNX Runtime (`pip install "shopkit[cpu]" pyarrow`), nothing of training.
"""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkit.errors import DataError, RunError
from shopkit.predict.csv_rows import delimiter_of
from shopkit.predict.files import answer_batch
from shopkit.predict.written import Written, parsed_text
from shopkit.runs import file_hash
from shopkit.runtime import Predictor
from shopkit.spark import check, in_our_words, session

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

TABLE = "table:"
"""Before the name of a table of the catalogue, where a path may stand as well."""


def predict_on_spark(
    artifact: str | Path,
    data: str,
    output: str,
    *,
    master: str = "local[*]",
    options: Mapping[str, str] | None = None,
    asked: Mapping[str, Any] | None = None,
) -> int:
    """Predict every row of a table on a Spark cluster; the answers are those of `predict_file`.

    Args:
        artifact: `model.onnx` or the run folder that holds it, on this machine.
        data: Parquet or CSV, as a file, a folder or a glob, at an address that the cluster reads; or `table:NAME`. CSV files are
            each read by one task, as a text may go on over several lines.
        output: a new folder of Parquet files: key columns that are present, then the outputs. Whole or not at all.
        master: master URL of the cluster.
        options: Spark's own settings.
        asked: what the file is asked for beside the columns, as of `predict_file`.

    Returns:
        The number of rows.

    Raises:
        ConfigError: the cluster cannot be used.
        DataError: data that cannot be read, a missing column, a value of the wrong type, with its partition and row.
        ArtifactError: the artifact cannot be used.
        RunError: the output exists, or cannot be written.
    """
    check(master, options or {}, "--engine spark: engine")
    predictor = Predictor(artifact, **(asked or {}))
    spark = session(master, options)
    with in_our_words(f"Spark cannot read {data}"):
        frame, is_text = _read(spark, data, Written.of(predictor))
    predictor.require(frame.columns)
    frame = frame.select([f"`{name}`" for name in frame.columns if name in predictor.schema])
    shipped = _ship(spark, predictor.path)
    score = functools.partial(score_batches, shipped, is_text, asked=_as_json(asked or {}))
    with in_our_words(f"{data} was not scored"):
        answers = frame.mapInArrow(score, _answer_type(predictor, frame, is_text))
    return _write(spark, answers, output, data)


def score_batches(artifact: str, is_text: bool, batches: Iterator[pa.RecordBatch], asked: str = "{}") -> Iterator[pa.RecordBatch]:
    """Answers of one partition's batches, in a Python worker.

    Raises:
        DataError: a value of the wrong type; names the partition, the column and the row in it.
    """
    from pyspark import SparkFiles, TaskContext

    predictor = _predictor(SparkFiles.get(artifact), asked)
    task = TaskContext.get()
    first_row = 0
    for batch in batches:
        try:
            if is_text:
                batch = parsed_text(batch, predictor, first_row)
            _, answer = answer_batch(predictor, batch, first_row)
        except DataError as error:
            raise DataError(f"Partition {task.partitionId() if task else 0}: {error}") from None
        first_row += batch.num_rows
        yield answer


@functools.lru_cache(maxsize=2)
def _predictor(path: str, asked: str) -> Predictor:
    """One for a Python worker, which goes from task to task."""
    return Predictor(path, **json.loads(asked))


def _as_json(asked: Mapping[str, Any]) -> str:
    return json.dumps(dict(asked), sort_keys=True, default=lambda values: values.tolist())


def _read(spark: SparkSession, data: str, written: Written) -> tuple[DataFrame, bool]:
    """The rows, and whether their values are texts to be read."""
    if data.startswith(TABLE):
        return spark.table(data.removeprefix(TABLE)), False
    path = data if "://" in data else str(Path(data).expanduser().absolute())
    suffix = Path(data.removesuffix(".gz")).suffix.lower()
    local = Path(path)
    if suffix not in (".csv", ".tsv") and "://" not in data and local.is_dir():
        suffix = next((file.suffix for file in sorted(local.iterdir()) if file.suffix in (".csv", ".tsv")), suffix)
    if suffix not in (".csv", ".tsv"):
        return spark.read.parquet(path), False
    first = spark.read.options(encoding=written.encoding).text(path).first()
    separator = delimiter_of("" if first is None else str(first[0]), "\t" if suffix == ".tsv" else written.delimiter)
    reader = spark.read.options(
        header=True, sep=separator, encoding=written.encoding, quote='"', escape='"', multiLine=True, mode="FAILFAST"
    )
    return reader.csv(path, enforceSchema=False), True


def _ship(spark: SparkSession, path: Path) -> str:
    """Send the file to all workers, under a name that tells it from every other."""
    name = f"{file_hash(path)[:32]}.onnx"
    copy = Path(_shipped().name) / name
    if not copy.is_file():
        shutil.copyfile(path, copy)
    spark.sparkContext.addFile(str(copy))
    return name


@functools.cache
def _shipped() -> tempfile.TemporaryDirectory[str]:
    """Where workers fetch files from: they may join at any time, so it lives as long as this process."""
    return tempfile.TemporaryDirectory(prefix="shopkit-")


def _answer_type(predictor: Predictor, frame: DataFrame, is_text: bool) -> Any:
    """The columns of an answer, by answering no rows."""
    import pyarrow as pa
    from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

    none = pa.RecordBatch.from_pydict({field.name: pa.array([], field.type) for field in to_arrow_schema(frame.schema)})
    _, answer = answer_batch(predictor, parsed_text(none, predictor, 0) if is_text else none, 0)
    return from_arrow_schema(answer.schema, prefer_timestamp_ntz=True)


def _write(spark: SparkSession, answers: DataFrame, output: str, data: str) -> int:
    address = output if "://" in output else str(Path(output).expanduser().absolute())
    java: Any = spark._jvm
    target = java.org.apache.hadoop.fs.Path(address)
    temporary = java.org.apache.hadoop.fs.Path(target.getParent(), f".{target.getName()}.{uuid.uuid4().hex[:8]}.partial")
    with in_our_words(f"Cannot write {output}"):
        system = target.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
        if system.exists(target):
            raise RunError(f"{output} exists already. Remove it, or name another folder.")
    try:
        with in_our_words(f"{data} was not scored"):
            answers.write.parquet(temporary.toString())
            n_rows = spark.read.parquet(temporary.toString()).count()
        with in_our_words(f"Cannot write {output}"):
            if not system.rename(temporary, target):
                raise RunError(f"Cannot write {output}: the finished folder could not be given its name.")
    finally:
        system.delete(temporary, True)
    return int(n_rows)
