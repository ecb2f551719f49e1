"""pandas DataFrames handed over from Python."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from shopkit.errors import DataError
from shopkit.raw import image_structs
from shopkit.runs import file_hash
from shopkit.runtime import canonicalise
from shopkit.schema import Column
from shopkit.sources.base import Source, Tables
from shopkit.sources.engine import alike, connect, local_view, read_parquet, spans
from shopkit.sources.settings import DataFrameSettings
from shopkit.sources.spark import Spark

Frames: TypeAlias = pd.DataFrame | Mapping[str, pd.DataFrame]
EXAMPLE = pd.DataFrame({"color": ["red", None, "blue"], "price": [1.5, 2.0, None], "n": [1, 2, 3]})


class DataFrameSource(Source):
    """One DataFrame as the table `data`, or several by name. The index is not a column; reset it to keep it. A column
    of uint8 arrays (height, width, channels) holds images.

    Args:
        data: DataFrame, or table name → DataFrame.
    """

    settings: DataFrameSettings

    def __init__(self, settings: DataFrameSettings, data: Frames | None = None) -> None:
        super().__init__(settings)
        self.data = data

    def _frames(self) -> dict[str, pd.DataFrame]:
        if self.data is None:
            raise DataError(
                "source dataframe has no data. Hand it over from Python: shopkit.run(…, data=df) or data={'orders': df, …}."
            )
        frames = {"data": self.data} if not isinstance(self.data, Mapping) else dict(self.data)
        for name, frame in frames.items():
            if not isinstance(frame, pd.DataFrame):
                package = type(frame).__module__.partition(".")[0]
                raise DataError(
                    f"source dataframe: table '{name}' is a {type(frame).__name__} ({package}), not a pandas DataFrame. Make it "
                    "one, e.g. with to_pandas() or pandas.DataFrame(…)."
                )
        return frames

    def on_spark(self, spark: Spark) -> Tables:
        frames = {name: spark.session.createDataFrame(_arrow(name, frame)) for name, frame in self._frames().items()}
        tables = {name: spark.table(name, frame, self.settings.time_zone) for name, frame in frames.items()}
        return replace(self.open(), tables=tables, connection=spark.connection)

    def open(self) -> Tables:
        frames = self._frames()
        connection, scratch = connect()
        paths = {name: scratch / f"{position}.parquet" for position, name in enumerate(frames)}
        for name, frame in frames.items():
            pq.write_table(_arrow(name, frame), paths[name])
        content = "\n".join(f"{name}:{file_hash(path)}" for name, path in paths.items())
        return Tables(
            tables={
                name: local_view(connection, name, read_parquet([path]), self.settings.time_zone, spans([path]))
                for name, path in paths.items()
            },
            connection=connection,
            origin=f"source dataframe ({', '.join(frames)})",
            fingerprint=hashlib.sha256(content.encode()).hexdigest(),
            time_zone=self.settings.time_zone,
            units=dict(self.settings.units),
        )

    @classmethod
    def example(cls, settings: DataFrameSettings, folder: Path) -> Self:
        return cls(settings, {"orders": EXAMPLE, "more": EXAMPLE})

    @classmethod
    def empty_example(cls, settings: DataFrameSettings, folder: Path) -> Self:
        return cls(settings, EXAMPLE.iloc[:0])


def _arrow(name: str, frame: pd.DataFrame) -> pa.Table:
    if frame.empty:
        raise DataError(f"source dataframe: table '{name}' has no rows.")
    columns = [str(column) for column in frame.columns]
    if both := alike(columns):
        raise DataError(
            f"source dataframe: table '{name}' has more than one column '{both[0]}' (upper and lower case count as one). Rename "
            f"'{both[1]}'."
        )
    return pa.table({column: _array(name, column, frame.iloc[:, i]) for i, column in enumerate(columns)})


def _array(table: str, column: str, values: pd.Series) -> pa.Array:
    first = next((value for value in values if isinstance(value, np.ndarray)), None) if values.dtype == object else None
    if first is not None and first.ndim == 3:
        return image_structs(canonicalise(values, Column(column, "image", channels=first.shape[2])))
    try:
        array = pa.Array.from_pandas(values)
    except UnicodeEncodeError as error:
        row = next(i for i, value in enumerate(values) if isinstance(value, str) and error.object == value)
        raise DataError(
            f"source dataframe: table '{table}', column '{column}', row {row}: {error.object!r} is not Unicode "
            "(a surrogate stands alone). Decode the bytes in their own encoding, or with errors='replace'."
        ) from None
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        present = values.dropna()
        kinds = present.map(type)
        odd = kinds[kinds != kinds.iloc[0]]
        row = int(values.index.get_indexer_for([odd.index[0]])[0]) if len(odd) else 0
        found = f"{values.iloc[row]!r} ({type(values.iloc[row]).__name__})"
        raise DataError(
            f"source dataframe: table '{table}', column '{column}', row {row}: {found} among values of type "
            f"{kinds.iloc[0].__name__}. Make the column one type, e.g. with astype."
        ) from None
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    if isinstance(kind, pa.ExtensionType):
        raise DataError(
            f"source dataframe: table '{table}', column '{column}' holds {values.iloc[0]!r} ({type(values.iloc[0]).__name__}). "
            "Make it text, with .astype(str), or times, with .dt.to_timestamp()."
        )
    return array
