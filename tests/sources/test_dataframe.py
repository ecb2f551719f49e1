"""DataFrames from Python."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shopkit.errors import DataError
from shopkit.sources.dataframe import DataFrameSource
from shopkit.sources.files import FilesSource
from shopkit.sources.settings import DataFrameSettings, FilesSettings
from shopkit.views.infer import raw_columns
from tests.data import as_tables


def test_one_frame_is_the_table_data():
    tables = as_tables(pd.DataFrame({"a": [1, None], "b": ["x", pd.NA], 3: pd.Categorical(["u", "v"])}))
    assert tables["data"].to_pyarrow().to_pylist() == [{"a": 1.0, "b": "x", "3": "u"}, {"a": None, "b": None, "3": "v"}]


def test_several_frames_and_local_time():
    orders = pd.DataFrame({"at": pd.to_datetime(["2024-01-01 12:00"]).tz_localize("UTC")})
    tables = as_tables({"orders": orders, "products": pd.DataFrame({"b": [1]})}, time_zone="Europe/Berlin")
    assert set(tables) == {"orders", "products"}
    assert tables["orders"].to_pyarrow()["at"][0].as_py().hour == 13


def test_the_fingerprint_is_that_of_the_content():
    assert as_tables(pd.DataFrame({"a": [1]})).fingerprint == as_tables(pd.DataFrame({"a": [1]})).fingerprint
    assert as_tables(pd.DataFrame({"a": [1]})).fingerprint != as_tables(pd.DataFrame({"a": [2]})).fingerprint


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"a": [1, None, "x"]}, index=[5, 6, 7]), r"column 'a', row 2: 'x' \(str\) among values of type int"),
        (pd.DataFrame({"a": []}), "table 'data' has no rows"),
        (
            pd.DataFrame({"a": pd.Series(["x", None, "caf\udce9"], dtype=object)}),
            r"table 'data', column 'a', row 2: 'caf\\udce9' is not Unicode \(a surrogate stands alone\)",
        ),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "has more than one column 'a'"),
        (pd.DataFrame({"a": pd.period_range("2024-01", periods=2, freq="M")}), r"'a' holds Period\(.* \(Period\)\. "),
        (pd.DataFrame({"a": pd.cut([1, 2], 2)}), r"'a' holds Interval\(.* \(Interval\)\. Make it text"),
        (pa.table({"a": [1]}), r"table 'data' is a Table \(pyarrow\), not a pandas DataFrame\. Make it one, .* to_pandas\(\)"),
        ({"orders": [{"a": 1}]}, r"table 'orders' is a list \(builtins\), not a pandas DataFrame"),
    ],
)
def test_frames_that_cannot_be_used(frame, message):
    with pytest.raises(DataError, match=message):
        as_tables(frame)


@pytest.mark.parametrize("kept", ["frame", "parquet"])
def test_spans_of_time_are_no_numbers_of_some_unit(kept, tmp_path):
    frame = pd.DataFrame({"wait": pd.to_timedelta([1, None], "h"), "n": [1, 2]})
    frame.to_parquet(tmp_path / "a.parquet")
    files = FilesSource(FilesSettings(path=str(tmp_path / "a.parquet")))
    tables = as_tables(frame) if kept == "frame" else files.open()
    columns = raw_columns(tables.connection.con, '"data"')
    assert {column.name: column.kind for column in columns} == {"wait": None, "n": "number"}


def test_no_data():
    with pytest.raises(DataError, match="source dataframe has no data"):
        DataFrameSource(DataFrameSettings()).open()


def test_arrays_of_pixels_are_images() -> None:
    frame = pd.DataFrame({"photo": [np.full((2, 3, 3), 7, np.uint8), None, np.zeros((4, 1, 3), np.uint8)], "n": [1, 2, 3]})
    rows = DataFrameSource(DataFrameSettings(), frame).open()["data"].order_by("n").to_pyarrow().to_pylist()
    assert rows[0]["photo"] == {"height": 2, "width": 3, "channels": 3, "pixels": b"\x07" * 18}
    assert [(row["photo"]["height"], row["photo"]["width"]) for row in rows[1:]] == [(1, 1), (4, 1)]
    frame.loc[2, "photo"] = "photo.png"
    with pytest.raises(DataError, match="Column 'photo', row 2: str is not an image; read the file into pixels first"):
        DataFrameSource(DataFrameSettings(), frame).open()
