from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit.errors import DataError
from shopkit.raw import as_numpy, image_structs
from shopkit.runtime import canonicalise
from shopkit.runtime.blocks import Footprint, in_blocks
from shopkit.runtime.images import MOST_PIXELS, as_column, missing_image
from shopkit.runtime.sequences import graph_feed
from shopkit.schema import Column

PHOTO = Column("photo", "image", channels=3)
GREY = Column("photo", "image", channels=1)


def image(height: int, width: int, channels: int = 3, level: int = 0) -> np.ndarray:
    return (np.arange(height * width * channels) + level).astype(np.uint8).reshape(height, width, channels)


def test_images_of_any_size_are_an_object_array() -> None:
    for given_images in (
        [image(2, 3), image(4, 1)],
        as_column([image(2, 3), image(4, 1)]),
        pd.Series([image(2, 3), image(4, 1)]),
    ):
        found = canonicalise(given_images, PHOTO)
        assert (found.dtype, found.shape) == (object, (2,))
        assert [one.shape for one in found] == [(2, 3, 3), (4, 1, 3)]
    assert [one.shape for one in canonicalise(np.zeros((2, 4, 5, 3), np.uint8), PHOTO)] == [(4, 5, 3)] * 2


def test_grey_images_may_be_planes() -> None:
    assert [one.shape for one in canonicalise(np.zeros((2, 4, 5), np.uint8), GREY)] == [(4, 5, 1)] * 2


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_a_missing_image_is_one_black_pixel(missing: object) -> None:
    (found,) = canonicalise([missing], PHOTO)
    assert found.tolist() == [[[0, 0, 0]]]


def test_structs_are_images_and_back() -> None:
    images = [image(2, 3), image(1, 4)]
    structs = image_structs(images)
    for values in (structs, structs.to_pylist()):
        for found, expected in zip(canonicalise(values, PHOTO), images, strict=True):
            np.testing.assert_array_equal(found, expected)
    for found, expected in zip(as_numpy(structs), images, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert canonicalise([dict.fromkeys(("height", "width", "channels", "pixels"))], PHOTO)[0].shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (image(2, 3).astype(np.float32), "row 7: an array of float32 is not of uint8: give pixels from 0 to 255, not scaled"),
        (image(2, 3)[0, 0], r"row 7: an array of shape \(3,\) is not one image \(height, width, 3\)"),
        (image(2, 4, 1), r"an image of shape \(2, 4, 1\) is not \(height, width, 3\): its channels differ\.$"),
        (image(2, 4).transpose(2, 0, 1), r"its channels differ\. Channels come last: transpose\(1, 2, 0\)"),
        (np.zeros((0, 4, 3), np.uint8), r"is not \(height, width, 3\) with at least one pixel"),
        (b"\x89PNG", r"bytes is not an image; read the file into pixels first, e\.g\. numpy"),
        ({"height": 2, "width": 2, "channels": 3, "pixels": b"12"}, "2 bytes for 2 × 2 × 3 pixels is not such an image"),
        ({"height": -1, "width": -1, "channels": 3, "pixels": b"123"}, "bytes for -1 × -1 × 3 pixels is not such an image: give"),
        ({"height": "1", "width": 1, "channels": 3, "pixels": b"123"}, "bytes for '1' × 1 × 3 pixels is not such an image: give"),
        ({"height": 1, "width": 1, "channels": 3, "pixels": "123"}, "str for 1 × 1 × 3 pixels is not such an image: give"),
        ({"url": "x"}, "dict is not an image"),
        (pd.DataFrame({"a": [1, 2]}), r"DataFrame is not an image"),
        ([[1, 2], [3, 4]], r"list is not an image"),
    ],
)
def test_what_is_no_image(value: object, message: str) -> None:
    with pytest.raises(DataError, match=rf"Column 'photo', .*{message}"):
        canonicalise([value], PHOTO, first_row=7)


def test_a_graph_takes_images_of_one_size() -> None:
    raw = {"photo": as_column([image(2, 3), image(2, 3, level=9)])}
    feed = graph_feed(raw, [PHOTO], {"photo": "in"})
    assert feed["in"].shape == (2, 2, 3, 3)
    assert graph_feed({"photo": as_column([])}, [PHOTO], {"photo": "in"})["in"].shape == (0, 1, 1, 3)
    raw["photo"][1] = image(5, 3)
    with pytest.raises(DataError, match=r"images of \(2, 3, 3\) and, in row 1, \(5, 3, 3\) cannot go through a graph together"):
        graph_feed(raw, [PHOTO], {"photo": "in"})


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 9)), max_size=12))
def test_rows_of_any_sizes_come_back_in_order(rows: list[tuple[int, int, int]]) -> None:
    raw = {"photo": as_column(image(h, w, level=n) for h, w, n in rows), "n": np.array([n for *_, n in rows], np.float32)}

    def answer(some: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        feed = graph_feed(some, [PHOTO], {"photo": "photo"})["photo"]
        return {"first": feed[:, 0, 0, 0], "n": some["n"], "wide": feed[:, 0, :, 0]}

    found = in_blocks(raw, [PHOTO, Column("n", "number")], Footprint(), answer)
    assert found["first"].tolist() == found["n"].tolist() == [n for *_, n in rows]
    for (_, width, n), wide in zip(rows, found["wide"], strict=True):
        assert wide[:width].tolist() == [n + 3 * at for at in range(width)]
        assert not wide[width:].any()


def test_many_pixels_go_in_parts() -> None:
    sizes: list[int] = []

    def answer(some: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        sizes.append(len(some["photo"]))
        return {"n": np.zeros(len(some["photo"]))}

    side = int((MOST_PIXELS / 2.5) ** 0.5)
    in_blocks({"photo": as_column([np.zeros((side, side, 1), np.uint8)] * 5)}, [GREY], Footprint(), answer)
    assert sorted(sizes) == [1, 2, 2]
    assert missing_image(4).shape == (1, 1, 4)
