from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shopkit.features.tensors import Ragged, filled, row_lengths, take

LENGTHS = st.lists(st.integers(0, 12), min_size=1, max_size=40)


def ragged(lengths: list[int], width: int = 0) -> tuple[Ragged, list[np.ndarray]]:
    rng = np.random.default_rng(len(lengths))
    rows = [rng.integers(1, 100, (n, width) if width else n) for n in lengths]
    values = np.concatenate([*rows, np.zeros((0, width) if width else 0)]).astype(np.int32)
    return Ragged(values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), np.int64), rows


@given(lengths=LENGTHS, width=st.integers(0, 3), data=st.data())
def test_rows_asked_for_are_padded_to_the_longest_of_them(lengths, width, data):
    array, rows = ragged(lengths, width)
    asked = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=10))
    got = array[np.array(asked, np.int64)]
    longest = max([1, *(lengths[i] for i in asked)])
    assert got.shape[:2] == (len(asked), longest)
    assert got.dtype == np.int64
    for row, i in zip(got, asked, strict=True):
        np.testing.assert_array_equal(row[: lengths[i]], rows[i])
        assert not row[lengths[i] :].any()


@given(lengths=LENGTHS)
def test_a_slice_and_a_mask_are_rows_too(lengths):
    array, _ = ragged(lengths)
    everything = np.arange(len(lengths))
    np.testing.assert_array_equal(array[1:], array[everything[1:]])
    np.testing.assert_array_equal(array[everything % 2 == 0], array[everything[::2]])
    assert len(array) == len(lengths)
    assert array.lengths.tolist() == lengths


def test_a_row_is_as_long_as_its_steps_and_tokens_else_its_terms():
    weights = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], np.float32)
    bag = {"bag_ids": np.zeros((3, 3), np.int64), "bag_weights": weights}
    assert row_lengths(bag).tolist() == [2, 1, 0]
    assert row_lengths({**bag, "lengths": np.array([1, 2, 3]), "token_lengths": np.array([4, 0, 0])}).tolist() == [5, 2, 3]
    assert row_lengths({"bag_weights": ragged([2, 0, 5])[0]}).tolist() == [2, 0, 5]
    assert row_lengths({"dense": np.zeros((3, 2))}) is None
    rest = np.array([[[1, 0], [0, 0]], [[0, 3], [0, 1]]])
    assert filled({"rest_ids": rest}, "rest_ids").tolist() == [[True, False], [True, True]]
    np.testing.assert_array_equal(filled(bag, "bag_ids"), weights != 0)


def test_taking_rows_pads_what_varies_alone():
    array, _ = ragged([2, 0, 5])
    taken = take({"tokens": array, "token_lengths": array.lengths, "dense": np.eye(3)}, np.array([0, 1]))
    assert {name: values.shape for name, values in taken.items()} == {"tokens": (2, 2), "token_lengths": (2,), "dense": (2, 3)}
