"""Tables of a Spark cluster's catalogue: Hive, Iceberg, Delta, or whatever it is set up with."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from shopkit.errors import ConfigError
from shopkit.sources.base import Source, Tables
from shopkit.sources.settings import CatalogSettings
from shopkit.sources.spark import Spark


class CatalogSource(Source):
    """Lazy tables by their names in the catalogue; for `engine=spark` only."""

    settings: CatalogSettings

    def open(self) -> Tables:
        raise ConfigError("source catalog names tables of a Spark cluster: add engine=spark engine.master=<master URL>.")

    def on_spark(self, spark: Spark) -> Tables:
        if not self.settings.tables:
            raise ConfigError("source catalog: set source.tables={name: table}, e.g. source.tables={orders: shop.orders}.")
        frames = {name: spark.named(table) for name, table in self.settings.tables.items()}
        origin = f"source catalog ({', '.join(self.settings.tables.values())})"
        return spark.tables(frames, origin, self.settings.time_zone, self.settings.units)

    @classmethod
    def example(cls, settings: CatalogSettings, folder: Path) -> Self | None:
        return None

    @classmethod
    def empty_example(cls, settings: CatalogSettings, folder: Path) -> Self | None:
        return None
