"""Lists and options as text files and command lines hold them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkit.errors import DataError
from shopkit.predict.written import as_text, options_of, parsed_text
from shopkit.runtime.canonical import canonicalise
from shopkit.schema import Column, Schema

OPTIONS = [
    {"name": "k", "dtype": "int64"},
    {"name": "least", "dtype": "float32"},
    {"name": "strict", "dtype": "bool"},
    {"name": "shop", "dtype": "string"},
    {"name": "stock", "dtype": "string", "shape": ["M"]},
    {"name": "prices", "dtype": "float32", "shape": ["M"]},
]


def read(texts: list[str | None], column: Column, first_row: int = 0) -> list[list[Any]]:
    """Canonical lists of a column of texts."""
    predictor: Any = SimpleNamespace(inputs=Schema((column,)), description=SimpleNamespace(facts={}))
    batch = parsed_text(pa.RecordBatch.from_pydict({column.name: pa.array(texts, pa.string())}), predictor, first_row)
    return [row.tolist() for row in canonicalise(batch.column(0), column, first_row)]


def test_texts_numbers_and_times_of_a_list() -> None:
    items = Column("x", "string", sequence=True, integer=True)
    assert read(['["103", 104, "105.0", null]', "[]", None, "NA"], items) == [["103", "104", "105", ""], [], [], []]
    words = Column("x", "string", sequence=True)
    assert read(['["a,b", "é\\""]', "[0104]".replace("0104", "1.50")], words) == [["a,b", 'é"'], ["1.50"]]
    numbers = read(["[1, 2.5, null, true]"], Column("x", "number", sequence=True))
    np.testing.assert_array_equal(numbers, [[1, 2.5, np.nan, 1]])
    times = Column("x", "time", sequence=True)
    assert read(["[60, 120]"], times) == [[60, 120]]
    assert read(['["1970-01-01 00:01:00"]'], times) == [[60]]


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("string", "103 104", r"""Column 'x', row 7: '103 104' is not a JSON array\. Write a list as \["A", "B"\]\."""),
        ("string", "['103']", r"is not a JSON array"),
        ("string", "103", r"is not a JSON array"),
        ("string", "[" * 100_000, r"is not a JSON array"),
        ("string", '[["103"]]', r"is not a JSON array"),
        ("string", "[true]", r"Column 'x', row 7: \[true\] is not a list of texts"),
        ("number", "1;2", r"row 7: '1;2' is not a JSON array\. Write a list as \[1\.5, 2\]"),
        ("number", '["a"]', r"""row 7: \["a"\] is not a list of numbers"""),
        ("time", '[1, "1970-01-01"]', r"is not a list of times"),
    ],
)
def test_what_is_no_list_is_named_with_its_row(kind: Any, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(["[]", text], Column("x", kind, sequence=True), 6)


def test_times_are_written_in_one_way() -> None:
    with pytest.raises(DataError, match=r"rows 0 to 1: some lists hold times as text and some as seconds"):
        read(["[1]", '["1970-01-01"]'], Column("x", "time", sequence=True))


@given(st.lists(st.lists(st.text()), min_size=1))
def test_lists_of_texts_come_back(rows: list[list[str]]) -> None:
    written = as_text(pa.RecordBatch.from_pydict({"x": pa.array(rows, pa.list_(pa.string()))})).column(0).to_pylist()
    assert read(written, Column("x", "string", sequence=True)) == rows


def test_numbers_are_written_with_the_digits_of_their_own_width() -> None:
    rows = pa.array([[0.1, -np.inf, np.nan], [], None], pa.list_(pa.float32()))
    batch = as_text(pa.RecordBatch.from_pydict({"x": rows, "n": pa.array([1, 2, 3]), "w": pa.array([[1], [2, 3], []])}))
    assert batch.column(0).to_pylist() == ["[0.1, null, null]", "[]", "[]"]
    assert batch.column(1).to_pylist() == [1, 2, 3]
    assert [json.loads(text) for text in batch.column(2).to_pylist()] == [[1], [2, 3], []]


def test_options_of_every_type(tmp_path: Path) -> None:
    (tmp_path / "stock.txt").write_text("\ufeff104\n 105 \n\n", encoding="utf-8")
    (tmp_path / "prices.txt").write_text("1.5\n2\n")
    found = options_of(
        [
            "k=20",
            "least=0.5",
            "strict=True",
            "shop=a=b",
            f"stock=@{tmp_path / 'stock.txt'}",
            f"prices=@{tmp_path / 'prices.txt'}",
        ],
        OPTIONS,
    )
    assert found == {"k": 20, "least": 0.5, "strict": True, "shop": "a=b", "stock": ["104", "105"], "prices": [1.5, 2.0]}
    assert options_of(['stock=["104", 105]', "prices=[1, 2.5]"], OPTIONS) == {"stock": ["104", "105"], "prices": [1, 2.5]}
    # What is not of its type, or of no option, is refused where all options are.
    assert options_of(["k=many", "strict=perhaps", "n=3"], OPTIONS) == {"k": "many", "strict": "perhaps", "n": "3"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("k", r"--option k: write it as NAME=VALUE, e\.g\. k=20"),
        ("stock=104,105", r"""--option stock: '104,105' is not a JSON array\. Write stock='\["A", "B"\]', or stock=@FILE"""),
        ("stock=@nowhere.txt", r"--option stock: nowhere\.txt cannot be read: No such file"),
    ],
)
def test_options_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        options_of([text], OPTIONS)


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "stock.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"stock\.txt cannot be read: it is not UTF-8 text"):
        options_of([f"stock=@{tmp_path / 'stock.txt'}"], OPTIONS)
