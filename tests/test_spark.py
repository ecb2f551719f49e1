"""What is refused before a cluster is asked; the rest is in `tests/predict/test_on_spark.py`."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import pytest

import shopkit
from shopkit.cli.predict import main as predict_main
from shopkit.config import compose
from shopkit.errors import ConfigError
from shopkit.pipeline import on_spark
from shopkit.sources.catalog import CatalogSource
from shopkit.sources.database import DatabaseSource
from shopkit.sources.files import FilesSource
from shopkit.sources.settings import CatalogSettings, DatabaseSettings, EngineSettings, FilesSettings
from shopkit.spark import _first_line, session
from tests.shop import TABLE, visits


@pytest.mark.parametrize(
    "master", ["local", "local[*]", "local[4]", "spark://head:7077", "spark://a:1,b:2", "yarn", "k8s://https://h:443"]
)
def test_master_urls(master: str) -> None:
    assert EngineSettings("spark", master, {"spark.executor.memory": "4g"}).master == master


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "spark"}, r"engine\.master is ''; give the master URL of a cluster: spark://host:7077"),
        ({"name": "spark", "master": "head:7077"}, r"engine\.master is 'head:7077'"),
        ({"master": "yarn"}, r"engine\.master and engine\.options are for Spark: add engine=spark"),
        ({"options": {"spark.x": "1"}}, r"are for Spark"),
        ({"name": "spark", "master": "yarn", "options": {"memory": "1"}}, r"'memory' is not a setting of Spark"),
        ({"name": "spark", "master": "yarn", "options": {"spark.sql.session.timeZone": "CET"}}, r"is set by shopkit \(UTC\)"),
        ({"name": "spark", "master": "yarn", "options": {"spark.hadoop.fs.s3a.secret.key": "x"}}, r"looks like a secret"),
    ],
)
def test_settings_that_cannot_be(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EngineSettings(**settings)


@pytest.mark.parametrize(
    "name",
    [
        *("spark.plugins", "spark.jars", "spark.jars.packages", "spark.jars.ivySettings", "spark.files", "spark.submit.pyFiles"),
        *("spark.driver.extraJavaOptions", "spark.executor.extraClassPath", "spark.extraListeners", "spark.sql.extensions"),
        *("spark.executorEnv.LD_PRELOAD", "spark.pyspark.python", "spark.serializer", "spark.sql.catalog.mine"),
        *(
            "spark.hadoop.fs.s3a.impl",
            "spark.executor.resource.gpu.discoveryScript",
            "spark.sql.adaptive.customCostEvaluatorClass",
        ),
    ],
)
def test_options_that_load_code(name: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"engine\.options: '{name}' is refused: other options than sizes.*spark-defaults\.conf"
    ):
        EngineSettings("spark", "yarn", {name: "evil"})


def test_sizes_and_counts_are_set() -> None:
    given = {"spark.driver.memory": "4g", "spark.executor.memoryOverhead": "1g", "spark.sql.adaptive.enabled": "false"}
    assert EngineSettings("spark", "yarn", given).options == given


def test_the_engine_is_chosen_as_any_group() -> None:
    assert compose(None, TABLE).engine == EngineSettings()
    given = ["engine=spark", "engine.master=spark://head:7077", "engine.options={spark.executor.memory:4g}"]
    chosen = compose(None, [*TABLE, *given])
    assert chosen.engine == EngineSettings("spark", "spark://head:7077", {"spark.executor.memory": "4g"})
    with pytest.raises(ConfigError, match=r"There is no engine 'sparkle'\. Did you mean 'spark'\?"):
        compose(None, ["engine=sparkle"])
    with pytest.raises(ConfigError, match=r"engine\.master is 'head'; give the master URL"):
        compose(None, [*TABLE, "engine=spark", "engine.master=head"])


def test_sources_that_are_not_read_on_a_cluster_say_so() -> None:
    with pytest.raises(ConfigError, match=r"DatabaseSource is read on this machine only, so engine=spark cannot be used with it"):
        DatabaseSource(DatabaseSettings()).on_spark(SimpleNamespace())
    with pytest.raises(ConfigError, match=r"orders\.csv\.gz is text\. Spark reads Parquet"):
        FilesSource(FilesSettings(path="orders.csv.gz")).on_spark(SimpleNamespace())
    with pytest.raises(ConfigError, match=r"source\.types is for text files"):
        FilesSource(FilesSettings(path="orders.parquet", types={"a": "string"})).on_spark(SimpleNamespace())
    with pytest.raises(ConfigError, match=r"set source\.path to Parquet files"):
        FilesSource(FilesSettings()).on_spark(SimpleNamespace())
    with pytest.raises(ConfigError, match=r"source catalog: set source\.tables=\{name: table\}"):
        CatalogSource(CatalogSettings()).on_spark(SimpleNamespace())
    with pytest.raises(ConfigError, match=r"names tables of a Spark cluster: add engine=spark engine\.master="):
        CatalogSource(CatalogSettings()).open()


def test_keys_are_not_hashed_on_a_cluster(tmp_path) -> None:
    chosen = compose(None, [*TABLE, "source=dataframe", "engine=spark", "privacy.hash_keys=[customer]"])
    with pytest.raises(ConfigError, match=r"privacy\.hash_keys: keys are hashed by DuckDB, as on Spark the key would stand"):
        on_spark(None, chosen)
    with pytest.raises(ConfigError, match=r"privacy\.hash_keys"):
        shopkit.run(data=visits(), overrides=[*TABLE, "engine=spark", "privacy.hash_keys=[customer]"], folder=tmp_path / "run")


def test_what_is_missing_on_this_machine_is_named(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyspark.errors", None)
    with pytest.raises(ConfigError, match=r'PySpark is not installed\. Run: pip install "shopkit\[spark\]"'):
        session("local")
    monkeypatch.undo()
    if importlib.util.find_spec("pyspark"):
        monkeypatch.setenv("PATH", "")
        monkeypatch.delenv("JAVA_HOME", raising=False)
        with pytest.raises(ConfigError, match=r"Spark needs Java 17, and there is no 'java' on the PATH"):
            session("local")


def test_drift_is_not_looked_for_on_a_cluster() -> None:
    with pytest.raises(ConfigError, match=r"--drift looks at the rows as they pass through this process"):
        predict_main(["model.onnx", "x.parquet", "-o", "out", "--engine", "spark", "--drift", "d.json"])
    with pytest.raises(ConfigError, match=r"--engine spark: engine\.master is 'head'|--master"):
        predict_main(["model.onnx", "x.parquet", "-o", "out", "--engine", "spark", "--master", "head"])


def test_java_errors_are_cut_to_what_they_say() -> None:
    text = "An error occurred while calling o1.parquet.\n: org.spark.SparkException: java.io.IOException: No space left\n\tat x"
    assert _first_line(text) == "No space left"
    assert _first_line("") == "no reason given"
