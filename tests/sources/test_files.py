"""Files of every format and encoding, and what is said of those that cannot be used."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopkit.errors import ConfigError, DataError
from shopkit.runtime.canonical import canonicalise
from shopkit.schema import Column
from shopkit.sources.base import Tables
from shopkit.sources.files import FilesSource
from shopkit.sources.settings import FilesSettings

CSV = "id,price,name,at,member,zip\n" + "".join(
    f"{i},{i}.5,n{i % 3},2024-01-{i % 28 + 1:02d} 10:00:00,TRUE,0{i:04d}\n" for i in range(50)
)


@pytest.fixture
def file(tmp_path):
    def write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def opened(path: str, **settings: object) -> Tables:
    return FilesSource(FilesSettings(path=path, **settings)).open()


def rows(path: str, **settings: object) -> list[dict[str, object]]:
    return opened(path, **settings)["data"].to_pyarrow().to_pylist()


# -- formats ------------------------------------------------------------------------------------------------------


def test_a_csv_gets_the_types_that_all_values_fit(file):
    schema = opened(file("orders.csv", CSV))["data"].schema()
    assert {name: str(dtype).split("(")[0] for name, dtype in schema.items()} == {
        "id": "int64",
        "price": "float64",
        "name": "string",
        "at": "timestamp",
        "member": "boolean",
        "zip": "string",  # leading zeros are part of it
    }


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "a,b\n1,x\n2,\n"),
        ("a.tsv", "a\tb\n1\tx\n2\t\n"),
        ("a.csv", "\ufeffa;b\r\n1;x\r\n2;\r\n"),
        ("a.jsonl", '{"a":1,"b":"x"}\n{"a":2}\n'),
    ],
)
def test_text_formats_plain_and_compressed(file, name, content, suffix):
    data = gzip.compress(content.encode()) if suffix else content
    assert rows(file(name + suffix, data)) == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


def test_parquet_is_read_in_place(tmp_path):
    pd.DataFrame({"a": [1, 2], "at": pd.to_datetime(["2024-01-01 12:00"] * 2).tz_localize("UTC")}).to_parquet(
        tmp_path / "a.parquet"
    )
    found = rows(str(tmp_path / "a.parquet"), time_zone="Europe/Berlin")
    assert found[0] == {"a": 1, "at": dt.datetime(2024, 1, 1, 13)}


def test_a_glob_is_one_table_in_order_of_names(file):
    file("o2.csv", "a,b\n3,4\n")
    path = file("o1.csv", "a,b\n1,2\n")
    assert [row["a"] for row in rows(path.replace("o1", "o*"))] == [1, 3]


def test_several_tables(file):
    tables = FilesSource(
        FilesSettings(tables={"orders": file("o.csv", "a\n1\n"), "products": file("p.jsonl", '{"b":1}\n')})
    ).open()
    assert set(tables) == {"orders", "products"}
    with pytest.raises(DataError, match=r"has no table 'product'\. Did you mean 'products'\?"):
        tables["product"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
def test_encodings(file, encoding):
    assert rows(file("a.csv", "a,b\n1,é\n".encode(encoding)), encoding=encoding) == [{"a": 1, "b": "é"}]


def test_numbers_with_a_decimal_comma(file):
    assert rows(file("a.csv", "a;b\n1,5;2\n"), decimal=",") == [{"a": 1.5, "b": 2}]


def test_blanks_around_a_number_are_none_of_it(file):
    path = file("a.csv", "price;n;code;member;text\n 1,5 ; 2; 007 ;true ; 3 pieces\n2,5;3 ;8; FALSE;x \n")
    assert rows(path, decimal=",") == [
        {"price": 1.5, "n": 2, "code": " 007 ", "member": True, "text": " 3 pieces"},
        {"price": 2.5, "n": 3, "code": "8", "member": False, "text": "x "},
    ]


def test_digits_beyond_an_int64_stay_text(file):
    assert rows(file("a.csv", "a\n12345678901234567890123\n1\n"))[0] == {"a": "12345678901234567890123"}


def test_declared_types_and_null_values(file):
    path = file("a.csv", "code,price,day\n1,2.5,31/12/2024\n2,?,\n")
    found = rows(path, types={"code": "string", "day": "time"}, null_values=["?", ""], timestamp_format="%d/%m/%Y")
    assert found == [{"code": "1", "price": 2.5, "day": dt.datetime(2024, 12, 31)}, {"code": "2", "price": None, "day": None}]


def test_zoned_times_are_shown_as_local_time(file):
    path = file("a.csv", "at\n2024-01-01T10:00:00Z\n2024-07-01T10:00:00+02:00\n")
    assert [row["at"].hour for row in rows(path, time_zone="Europe/Berlin")] == [11, 10]


ISO_AS_TABLES_WRITE_IT = (
    "2024-6-3",
    "2024-06-03 9:05",
    "2024-6-3 9:5:7",
    "2024-06-03T09:05:07.5",
    "2024-06-03 09:05:07.25Z",
    "2024-06-03 9:5Z",
    "2024-06-03 09:05:07 UTC",
    "2024-06-03 09:05+02",
    "2024-06-03 09:05:07-0530",
)


@pytest.mark.parametrize("text", ISO_AS_TABLES_WRITE_IT)
def test_a_time_that_is_learnt_from_is_the_same_one_when_it_is_asked_about(file, text):
    """In a zone of the shop's, which holds where the text has none."""
    (row,) = rows(file("a.csv", f"at\n{text}\n"), time_zone="Asia/Tokyo")
    local = row["at"].replace(microsecond=0, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert canonicalise([text], Column("at", "time", unit="Asia/Tokyo")).tolist() == [local.timestamp()]


def test_columns_of_iso_8601_stand_beside_those_of_another_form(file):
    path = file("a.csv", "day,at,other\n31/12/2024,2024-12-31 10:00:00+01,2024-12-31\n,2024-06-01 10:00:00+02,\n")
    for types in ({}, {"day": "time", "at": "time", "other": "time"}):
        first, second = rows(path, timestamp_format="%d/%m/%Y", types=types)
        assert first == {"day": dt.datetime(2024, 12, 31), "at": dt.datetime(2024, 12, 31, 9), "other": dt.datetime(2024, 12, 31)}
        assert second == {"day": None, "at": dt.datetime(2024, 6, 1, 8), "other": None}


@pytest.mark.parametrize(
    "text", ["2024-06-03 09:05:07 Europe/Berlin", "2024-06-03 (BC)", "2024-06-03 24:00", "2024-06-03 9 PM", "2024-6-3x"]
)
def test_what_is_no_time_when_it_is_asked_about_is_none_to_learn_from(file, text):
    assert rows(file("a.csv", f"at\n{text}\n")) == [{"at": text}]
    with pytest.raises(DataError, match="is not a time"):
        canonicalise([text], Column("at", "time", unit="UTC"))


def test_letters_among_codes_are_no_mistake(file):
    assert rows(file("a.csv", "code\n" + "0\n" * 500 + "a\n"))[-1] == {"code": "a"}


def test_the_fingerprint_is_that_of_the_content(file):
    first = opened(file("a.csv", "a\n1\n")).fingerprint
    assert opened(file("b.csv", "a\n1\n")).fingerprint == first
    assert opened(file("a.csv", "a\n2\n")).fingerprint != first


# -- what cannot be used ------------------------------------------------------------------------------------------

GZIPPED = gzip.compress(CSV.encode())
LATE = "a,price\n" + "".join(f"{i},{i}.5\n" for i in range(30_000)) + "30000,free\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", r"a\.csv is empty"),
        ("a.csv", "\n \n", r"a\.csv is empty"),
        ("a.csv", "a,b\n", r"a\.csv has a header but no rows"),
        ("a.jsonl", "\n", r"a\.jsonl is empty"),
        ("a.csv.gz", GZIPPED[:-20], r"a\.csv\.gz is not a whole gzip file"),
        ("a.csv.gz", b"plain", r"a\.csv\.gz is not a whole gzip file"),
        ("a.csv", "a,b\n1,2\n3\n", r"line 3: expected 2 fields as in the header, found 1: '3'"),
        ("a.csv", "a,b\n1,2\n3,4,5\n", r"line 3: expected 2 fields as in the header, found 3"),
        ("a.csv", 'a,b\n1,"x\n2,3\n', r"line 2: a quote that is opened here is never closed"),
        ("a.csv", b"a,b\n1,x\n" + "2,é\n".encode("latin-1"), r"line 3: byte 0xe9 is not utf-8.*Set source\.encoding"),
        ("a.csv", "a,b\n1,\0\n", r"line 2: a NUL byte, so this is not utf-8 text"),
        ("a.csv", LATE, r"row 30000, column 'price': 'free' is not a number, as nearly all of its values are"),
        ("a.csv", "a,A\n1,2\n", r"names column 'a' more than once"),
        ("a.csv", "a,\n1,2\n", r"column 2 of 2 has no name in the header line\. Give it one, or .*index=False"),
        ("a.csv", "t\n2024-01-01T10:00:00Z\n2024-01-01T10:00:00\n", r"times with a zone in 1 of 2 rows"),
        ("a.jsonl", '{"a":1}\n{"a":\n{"a":2}\n', r"a\.jsonl, line \d: not valid JSON"),
        ("a.jsonl", '{"a":1}\n{"a":"x"}\n', r"field 'a' holds values of several types: 1 in row 0, \"x\" in row 1"),
        ("a.parquet", "hello", r"not readable as Parquet"),
        ("a.xlsx", "hello", r"cannot tell its format by '\.xlsx'.* Save the sheet as CSV"),
        ("a.parquet.gz", "hello", r"cannot tell its format"),
    ],
)
def test_bad_content(file, name, content, message):
    with pytest.raises(DataError, match=message):
        opened(file(name, content))


def test_columns_of_a_parquet_file_that_case_alone_tells_apart(tmp_path):
    pq.write_table(pa.table({"a": [1], "b": [2], "A": [3]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"has the columns 'a' and 'A' \(upper and lower case count as one\)\. Rename one"):
        opened(str(tmp_path / "a.parquet"))


def test_a_missing_file_names_the_nearest(file):
    path = file("orders.csv", CSV)
    with pytest.raises(DataError, match=r"There is no file .*order\.csv\. Did you mean 'orders\.csv'\?"):
        opened(path.replace("orders", "order"))
    with pytest.raises(DataError, match=r"the folder .*nowhere does not exist"):
        opened(str(Path(path).parent / "nowhere" / "a.csv"))
    with pytest.raises(DataError, match="No file matches"):
        opened(path.replace("orders", "x*"))
    with pytest.raises(DataError, match=r"is a folder\. Give a file or a glob"):
        opened(str(Path(path).parent))


def test_files_of_one_table_need_one_header_and_format(file):
    path = file("o1.csv", "a,b\n1,2\n").replace("o1", "o*")
    file("o2.csv", "a,c\n1,2\n")
    with pytest.raises(DataError, match=r"o2\.csv lacks \['b'\] compared with .*o1\.csv"):
        opened(path)
    file("o2.jsonl", '{"a":1}\n')
    with pytest.raises(DataError, match=r"files of several formats \(csv, json\)"):
        opened(path.replace(".csv", ".*"))


@pytest.mark.parametrize(("kind", "value"), [("number", "abc"), ("integer", "1.5"), ("boolean", "yes"), ("time", "2024-13-01")])
def test_a_value_that_is_not_of_its_declared_type(file, kind, value):
    path = file("a.csv", f"a,b\n,1\n{value},2\n")
    with pytest.raises(DataError, match=rf"row 1, column 'a': '{value}' is not a {kind}, as declared in source\.types"):
        opened(path, types={"a": kind})


def test_settings_for_columns_that_are_not_there(file):
    path = file("a.csv", "price\n1\n")
    with pytest.raises(DataError, match=r"source\.types: there is no column 'prise'\. Did you mean 'price'\?"):
        opened(path, types={"prise": "number"})
    with pytest.raises(DataError, match=r"source\.units: there is no column"):
        opened(path, units={"cost": "EUR"})


def test_no_path():
    with pytest.raises(ConfigError, match=r"set source\.path to a file or glob"):
        FilesSource(FilesSettings()).open()
