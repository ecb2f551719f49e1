"""Rows that say the same are asked about once, and every row has its answer."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shopkit.runtime.repeats import asked_once, distinct

VALUES = {
    "text": st.sampled_from(["", "a", "b"]),
    "number": st.sampled_from([0.0, -0.0, 1.0, float("nan")]),
    "items": st.lists(st.sampled_from(["", "a", "b", "ab"]), max_size=3),
    "amounts": st.lists(st.sampled_from([0.0, 1.0, float("nan")]), max_size=3),
    "padded": st.tuples(st.integers(0, 1), st.integers(0, 1)),
    "image": st.sampled_from([(1, 2), (2, 1)]),
}


def columns(rows: list[dict[str, object]]) -> dict[str, np.ndarray]:
    made = {
        "text": np.array([row["text"] for row in rows], object),
        "number": np.array([row["number"] for row in rows], np.float32),
        "padded": np.array([row["padded"] for row in rows], np.int64).reshape(-1, 2),
    }
    for name, array in (
        ("items", lambda value: np.array(value, object)),
        ("amounts", lambda value: np.array(value, np.float32)),
        ("image", lambda shape: np.zeros((*shape, 3), np.uint8)),
    ):
        made[name] = np.empty(len(rows), object)
        made[name][:] = [array(row[name]) for row in rows]
    return made


def written(columns: dict[str, np.ndarray], row: int) -> str:
    """A row in words, in which NaN equals NaN, 0 is not -0, and an image is its shape."""
    whole = {name: getattr(values[row], "tolist", lambda value=values[row]: value)() for name, values in columns.items()}
    return str(whole)


@given(rows=st.lists(st.fixed_dictionaries(VALUES), max_size=40))
def test_each_different_row_is_asked_about_once_and_each_row_is_answered(rows) -> None:
    given_columns = columns(rows)
    words = [written(given_columns, row) for row in range(len(rows))]
    asked: list[str] = []

    def answer(some: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        of_rows = [written(some, row) for row in range(len(some["text"]))]
        asked.extend(of_rows)
        return {"words": np.array(of_rows, object), "wide": np.array([[len(word)] * 2 for word in of_rows]).reshape(-1, 2)}

    found = asked_once(given_columns, answer)
    assert found["words"].tolist() == words
    assert found["wide"][:, 1].tolist() == list(map(len, words))
    assert asked == list(dict.fromkeys(words))


def test_texts_that_would_run_together_stay_apart() -> None:
    items = np.empty(4, object)
    items[:] = [np.array(row, object) for row in (["a", "b"], ["ab"], [], ["a", "b"])]
    first, places = distinct({"items": items})
    assert first.tolist() == [0, 1, 2]
    assert places.tolist() == [0, 1, 2, 0]


def test_of_rows_without_columns_of_any_width_there_is_one() -> None:
    first, places = distinct({"dense": np.zeros((3, 0), np.float32)})
    assert (first.tolist(), places.tolist()) == ([0], [0, 0, 0])
