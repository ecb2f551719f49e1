"""A session on a Spark cluster, batches streamed from it, and its errors in a sentence."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkit.errors import ConfigError, DataError, ShopkitError, raised_elsewhere

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

MASTERS = re.compile(r"local(\[(\*|\d+)(,\d+)?\])?|local-cluster\[\d+,\d+,\d+\]|spark://\S+|k8s://\S+|yarn")
SECRETS = re.compile(r"password|secret|token|access\.?key", re.IGNORECASE)
ALLOWED = (
    *("spark.driver.memory*", "spark.driver.cores", "spark.driver.maxResultSize", "spark.driver.host", "spark.driver.port"),
    *("spark.driver.bindAddress", "spark.driver.blockManager.port", "spark.executor.memory*", "spark.executor.cores"),
    *("spark.executor.instances", "spark.executor.pyspark.memory", "spark.cores.max", "spark.default.parallelism"),
    *("spark.dynamicAllocation.*", "spark.locality.wait*", "spark.memory.*", "spark.network.timeout"),
    *("spark.scheduler.mode", "spark.scheduler.pool", "spark.speculation*", "spark.task.cpus", "spark.task.maxFailures"),
    *("spark.ui.enabled", "spark.ui.port", "spark.yarn.queue", "spark.kubernetes.namespace", "spark.sql.adaptive.*"),
    *("spark.sql.autoBroadcastJoinThreshold", "spark.sql.broadcastTimeout", "spark.sql.shuffle.partitions", "spark.sql.files.*"),
    *("spark.sql.execution.arrow.maxRecordsPerBatch", "spark.sql.parquet.mergeSchema", "spark.rpc.message.maxSize"),
)
"""Options that a configuration may set: sizes, counts, times, addresses. Others name what Spark loads or runs."""
NEEDED = {
    "spark.sql.session.timeZone": "UTC",  # times without a zone are those of the view's, on every machine
    "spark.sql.ansi.enabled": "true",  # what cannot be cast, or overflows, is an error as on DuckDB, not a missing value
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}
"""Session settings that rows as DuckDB gives them rest on; they are set whatever the cluster's own are."""
WAREHOUSE = "spark.sql.warehouse.dir"
PLACED = (WAREHOUSE, "spark.sql.catalogImplementation")
"""Settings that say where a cluster keeps its tables; without them, Spark makes a folder in the working directory."""


def check(master: str, options: Mapping[str, str], setting: str = "engine") -> None:
    """
    Raises:
        ConfigError: not a master URL, or an option that is not Spark's, is set by shopkit, holds a secret or may load code.
    """
    if not MASTERS.fullmatch(master):
        raise ConfigError(
            f"{setting}.master is {master!r}; give the master URL of a cluster: spark://host:7077, yarn, k8s://https://host:443, "
            "or local[*] for the cores of this machine."
        )
    for name in options:
        if not name.startswith("spark."):
            raise ConfigError(f"{setting}.options: '{name}' is not a setting of Spark; theirs begin with 'spark.'.")
        if name in NEEDED:
            raise ConfigError(f"{setting}.options: '{name}' is set by shopkit ({NEEDED[name]}), as rows depend on it.")
        if SECRETS.search(name):
            raise ConfigError(
                f"{setting}.options: '{name}' looks like a secret, and the configuration is written into the run. Put it into "
                "spark-defaults.conf or the environment of the cluster."
            )
        # spark.sql.adaptive.customCostEvaluatorClass is among the allowed but for its end.
        if name.endswith("Class") or not any(fnmatchcase(name, allowed) for allowed in ALLOWED):
            raise ConfigError(
                f"{setting}.options: '{name}' is refused: other options than sizes, counts, times and addresses can load code "
                f"(docs/security.md). Allowed are {', '.join(ALLOWED)}. Put it into the cluster's spark-defaults.conf."
            )


def session(master: str, options: Mapping[str, str] | None = None) -> SparkSession:
    """The session on a cluster, the one of this process if it has one.

    Raises:
        ConfigError: PySpark or Java is missing, or the cluster does not answer.
    """
    try:
        from pyspark import SparkConf, SparkContext
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise ConfigError('PySpark is not installed. Run: pip install "shopkit[spark]"') from None
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        raise ConfigError("Spark needs Java 17, and there is no 'java' on the PATH, nor is JAVA_HOME set.")
    if master.startswith("local"):
        # The workers of this machine are this Python; those of a cluster are as its PYSPARK_PYTHON says.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    wanted = {"spark.ui.showConsoleProgress": "false", **(options or {}), **NEEDED}
    try:
        # What the cluster's own files say of the warehouse is known once there is a context, and settled with the first session.
        is_first = SparkSession.getActiveSession() is None
        conf = SparkConf().setMaster(master).setAppName("shopkit").setAll(list(wanted.items()))
        theirs = SparkContext.getOrCreate(conf).getConf()
        if is_first and not any(theirs.contains(name) for name in PLACED):
            wanted[WAREHOUSE] = _scratch()
        builder = SparkSession.builder
        for name, value in wanted.items():
            builder = builder.config(name, value)
        found = builder.getOrCreate()
        found.sparkContext.setLogLevel("ERROR")
    except Exception as error:  # py4j's errors too, which are no PySparkException
        if isinstance(error, PySparkException) or type(error).__module__.startswith("py4j"):
            raise ConfigError(f"Spark at {master} cannot be used: {_first_line(str(error))}") from error
        raise
    running = found.sparkContext.master
    if running != master:
        raise ConfigError(f"This process has a session on {running} already, so it cannot have one on {master}: stop it first.")
    return found


def _scratch() -> str:
    """A folder that goes when this process ends."""
    folder = tempfile.mkdtemp(prefix="shopkit-spark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder).as_uri()


def streamed(frame: DataFrame) -> pa.RecordBatchReader:
    """The rows of a frame as Arrow batches, one of its partitions in memory at a time.

    They come as Arrow streams, each in a row of its own, so that no folder need be shared with the workers. (`toArrow` would hold
    the whole table, and `toLocalIterator` makes a Python object of every value.)
    """
    import pyarrow as pa
    from pyspark.sql.pandas.types import to_arrow_schema

    # Nested, as Spark then sends the function itself: its workers need pyarrow, and nothing of shopkit.
    def packed(batches: Iterable[Any]) -> Iterable[Any]:
        import pyarrow as pa

        for batch in batches:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as stream:
                stream.write_batch(batch)
            yield pa.RecordBatch.from_pydict({"stream": pa.array([sink.getvalue().to_pybytes()], pa.binary())})

    schema = to_arrow_schema(frame.schema)

    def unpacked() -> Iterator[pa.RecordBatch]:
        for row in frame.mapInArrow(packed, "stream binary").toLocalIterator(prefetchPartitions=True):
            with pa.ipc.open_stream(row.stream) as stream:
                for batch in stream:
                    yield batch.cast(schema)

    return pa.RecordBatchReader.from_batches(schema, unpacked())


@contextmanager
def in_our_words(what: str) -> Iterator[None]:
    """Spark's errors as one sentence; an error of shopkit that a worker raised is raised here.

    Raises:
        DataError: what could not be done, and Spark's reason.
    """
    from pyspark.errors import PySparkException

    try:
        yield
    except ShopkitError:
        raise
    except Exception as error:
        if not isinstance(error, PySparkException) and not type(error).__module__.startswith("py4j"):
            raise
        text = str(error)
        if (known := raised_elsewhere(text)) is not None:
            raise known from None
        raise DataError(f"{what}: {_first_line(text)}") from error


def _first_line(text: str) -> str:
    """What a Java error says, without its class and trace."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    said = next((line for line in lines if not line.startswith("An error occurred while calling")), "no reason given")
    return re.sub(r"^(:\s*)?([\w.$]+(Exception|Error):\s*)+", "", said)
