"""Rows in blocks that fit into the budget: every row once, answers in order."""

from __future__ import annotations

import operator
from functools import reduce
from pathlib import Path

import ndonnx as ndx
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shopkit
from shopkit.errors import ArtifactError, DataError
from shopkit.exporters.graph import finish
from shopkit.runtime import Predictor
from shopkit.runtime.blocks import BUDGET, MOST_ROWS, Footprint, blocks, in_blocks, like_length
from shopkit.schema import Column, Schema

TEXT, SERIES, NUMBER = Column("text", "string"), Column("series", "number", sequence=True), Column("x", "number")


@given(lengths=st.lists(st.integers(0, 1000), max_size=200), budget=st.integers(1, 3000), most=st.integers(1, 50))
def test_batches_of_like_length_hold_every_row_once_within_the_budget(lengths, budget, most):
    batches = list(like_length(np.array(lengths, np.int64), budget, most))
    assert sorted(np.concatenate([[], *batches]).astype(int).tolist()) == list(range(len(lengths)))
    for rows in batches:
        size = len(rows) * max(lengths[i] for i in rows)
        assert 1 <= len(rows) <= most
        assert size <= budget or len(rows) == 1


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(0, 40), max_size=60),
    row=st.integers(0, BUDGET // 5),
    step=st.integers(0, BUDGET // 50),
    read=st.integers(0, BUDGET // 20),
    longest=st.integers(0, 10),
)
def test_every_row_is_answered_once_and_in_its_place(lengths: list[int], row: int, step: int, read: int, longest: int) -> None:
    texts = np.array(["x" * length for length in lengths], object)
    raw = {"x": np.arange(len(lengths), dtype=np.float32), "text": texts}
    footprint = Footprint(("text",), row, step, read, longest)
    seen: list[int] = []

    def answer(some: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        n_rows, length = len(some["x"]), max(map(len, some["text"]), default=0)
        seen.append(n_rows)
        assert n_rows <= 1 or n_rows * (row + step * length + read * min(length, longest or length)) <= BUDGET
        return {"x": some["x"], "wide": np.repeat(some["x"][:, None] + 1, length, axis=1)}

    found = in_blocks(raw, [NUMBER, TEXT], footprint, answer)
    assert sum(seen) == len(lengths)
    np.testing.assert_array_equal(found["x"], raw["x"])
    for place, (length, wide) in enumerate(zip(lengths, found["wide"], strict=True)):
        assert (wide[:length] == place + 1).all()


def test_a_table_without_texts_is_cut_in_slices() -> None:
    raw = {"x": np.zeros(2 * MOST_ROWS + 1, np.float32), "name": np.array(["x" * 9] * (2 * MOST_ROWS + 1), object)}
    assert blocks(raw, [NUMBER], Footprint()) == [
        slice(0, MOST_ROWS),
        slice(MOST_ROWS, 2 * MOST_ROWS),
        slice(2 * MOST_ROWS, 2 * MOST_ROWS + 1),
    ]
    assert len(blocks(raw, [NUMBER], Footprint(row=BUDGET))) == 2 * MOST_ROWS + 1
    assert blocks({"x": np.zeros(0)}, [NUMBER], Footprint()) == []


def test_what_a_file_says_comes_back_and_an_older_one_says_how_many_rows() -> None:
    schema = Schema((TEXT, SERIES, NUMBER))
    footprint = Footprint(("text", "series"), 10, 20, 30, 40)
    assert Footprint.from_facts({"footprint": footprint.to_json()}, schema) == footprint
    assert Footprint.from_facts({"block_rows": 4}, schema) == Footprint(("text", "series"), BUDGET // 4)
    assert Footprint.from_facts({}, schema) == Footprint(("text", "series"))


@pytest.mark.parametrize(
    ("footprint", "message"),
    [
        ({"columns": ["text"], "row": -1}, "its footprint is not in bytes"),
        ({"columns": ["text"], "row": 1.5}, "its footprint is not in bytes"),
        ({"columns": ["other"]}, "its footprint names other, which is no input"),
        ({"columns": [], "weight": 1}, "weight"),
        ({"row": 1}, "columns"),
        (7, "int"),
    ],
)
def test_a_footprint_that_is_none_is_refused(tmp_path: Path, footprint: object, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        Predictor(echo(tmp_path, {"footprint": footprint}))


def echo(folder: Path, facts: dict[str, object], columns: tuple[Column, ...] = (TEXT,)) -> Path:
    """A file that gives texts back, end to end."""
    texts = {column.name: ndx.argument(shape=("N",), dtype=ndx.utf8) for column in columns}
    model = ndx.build(texts, {"again": reduce(operator.add, texts.values()) + ""})
    about = {"format_version": 1, "schema": Schema(columns).to_json(), "inputs": {name: name for name in texts}}
    finish(model, {**about, "outputs": [{"name": "again", "dtype": "string"}], **facts})
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def test_a_column_that_is_read_already_is_not_what_was_meant(tmp_path: Path) -> None:
    path = echo(tmp_path, {}, (Column("cats", "string"), Column("amts", "string")))
    with pytest.raises(DataError, match=r"no column 'amts', which model\.onnx needs\. Give it"):
        Predictor(path)({"cats": "a"})
    with pytest.raises(DataError, match=r"no column 'amts', which model\.onnx needs\. Did you mean 'amt'\?"):
        Predictor(path)({"cats": "a", "amt": "b"})


class NoMemory:
    """A session that finds none for more than so many rows."""

    def __init__(self, message: str) -> None:
        self.message = message

    def run(self, names: object, feed: dict[str, np.ndarray]) -> None:
        raise RuntimeError(self.message)


@pytest.mark.parametrize("message", ["... Failed to allocate memory for requested buffer of size 14432000000", "std::bad_alloc"])
def test_want_of_memory_names_the_rows_and_the_longest_text(tmp_path: Path, message: str) -> None:
    predictor = Predictor(echo(tmp_path, {}))
    predictor.session = NoMemory(message)
    wanted = r"model\.onnx ran out of memory over rows 7 to 9\. The longest is 'text' of row 8, with 1,000 characters\. Cut"
    with pytest.raises(DataError, match=wanted):
        predictor.columns({"text": ["a", "b" * 1000, "c"]}, first_row=7)
    with pytest.raises(DataError, match=r"over row 0\. The longest is 'text' of row 0, with 5 characters"):
        predictor({"text": "short"})


def test_other_failures_stay_what_they_are(tmp_path: Path) -> None:
    predictor = shopkit.Predictor(echo(tmp_path, {}))
    predictor.session = NoMemory("something else")
    for ask in (lambda: predictor({"text": "a"}), lambda: predictor([{"text": "a"}])):
        with pytest.raises(RuntimeError, match="something else"):
            ask()
