"""Image columns: pixels in each row. A graph takes them as one array of one size.

In memory an image column is an object array (N,) of uint8 arrays (height, width, channels), in Parquet a struct of the fields
`FIELDS`. At a graph's door it is uint8 (N, height, width, channels), so rows whose images differ in size go through it apart.
A missing image is one black pixel, which becomes a black image of whatever size the graph makes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from shopkit.errors import DataError
from shopkit.schema import Column

FIELDS = ("height", "width", "channels", "pixels")
"""Of an image in a table: three whole numbers, and height · width · channels bytes, row by row from the top."""

MOST_PIXELS = 1 << 20
"""Pixels that go through a graph at once, so that what convolutions make of them stays small."""


def canonical_images(values: Any, column: Column, first_row: int = 0) -> np.ndarray:
    """Object array (N,) of uint8 (height, width, channels).

    Args:
        values: uint8 (N, height, width, channels), a sequence of such images, or structs of the fields `FIELDS`. Of one
            channel, an image may also be (height, width).
        column: what the column is.
        first_row: number of the first value's row, for messages.

    Raises:
        DataError: a value that is no image of the column's channels; names column, row, and what it is.
    """
    rows: Iterable[Any] = values.to_pylist() if hasattr(values, "to_pylist") else values
    return as_column(_image(value, column, row) for row, value in enumerate(rows, first_row))


def as_column(images: Iterable[np.ndarray]) -> np.ndarray:
    """Images as an object array (N,): numpy by itself would make one array of those that are of one size."""
    found = list(images)
    array = np.empty(len(found), object)
    for i, image in enumerate(found):
        array[i] = image
    return array


def decoded(structs: Iterable[Mapping[str, Any]]) -> np.ndarray:
    """Canonical images (N,) of structs that are known to be such."""
    return as_column(
        np.frombuffer(struct["pixels"], np.uint8).reshape(struct["height"], struct["width"], struct["channels"])
        for struct in structs
    )


def missing_image(channels: int) -> np.ndarray:
    """One black pixel: uint8 (1, 1, channels)."""
    return np.zeros((1, 1, channels), np.uint8)


def is_nothing(value: Any) -> bool:
    """Whether a row has no image, or no list, but a missing value of Python, numpy or pandas."""
    return (
        value is None or type(value).__name__ == "NAType" or (isinstance(value, (float, np.floating)) and bool(np.isnan(value)))
    )


def _image(value: Any, column: Column, row: int) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return _pixels(value, column, row)
    if isinstance(value, Mapping) and value.keys() >= set(FIELDS):
        height, width, channels, pixels = (value[field] for field in FIELDS)
        if None in (height, width, channels, pixels):
            return missing_image(column.channels)
        sizes = (height, width, channels)
        if not isinstance(pixels, bytes) or not all(isinstance(size, (int, np.integer)) and size >= 0 for size in sizes):
            found = f"{type(pixels).__name__} for {height!r} × {width!r} × {channels!r} pixels"
            raise _refuse(column, row, found, "such an image: give whole numbers and bytes")
        if len(pixels) != height * width * channels:
            raise _refuse(column, row, f"{len(pixels):,} bytes for {height} × {width} × {channels} pixels", "such an image")
        return _pixels(np.frombuffer(pixels, np.uint8).reshape(height, width, channels), column, row)
    if is_nothing(value):
        return missing_image(column.channels)
    advice = "; read the file into pixels first, e.g. numpy.asarray(PIL.Image.open(path).convert('RGB'))"
    raise _refuse(column, row, type(value).__name__, f"an image{advice}")


def _pixels(array: np.ndarray, column: Column, row: int) -> np.ndarray:
    if array.dtype != np.uint8:
        raise _refuse(column, row, f"an array of {array.dtype}", "of uint8: give pixels from 0 to 255, not scaled")
    if array.ndim == 2 and column.channels == 1:
        array = array[:, :, np.newaxis]
    expected = f"(height, width, {column.channels})"
    if array.ndim != 3:
        raise _refuse(column, row, f"an array of shape {array.shape}", f"one image {expected}")
    if array.shape[2] != column.channels:
        turned = " Channels come last: transpose(1, 2, 0)." if array.shape[0] == column.channels else ""
        raise _refuse(column, row, f"an image of shape {array.shape}", f"{expected}: its channels differ", turned)
    if not array.size:
        raise _refuse(column, row, f"an image of shape {array.shape}", f"{expected} with at least one pixel")
    return array


def _refuse(column: Column, row: int, found: str, expected: str, advice: str = "") -> DataError:
    return DataError(f"Column '{column.name}', row {row}: {found} is not {expected}.{advice}")


def stacked(images: np.ndarray, column: Column) -> np.ndarray:
    """Images of one size, canonical (N,) → uint8 (N, height, width, channels).

    Raises:
        DataError: images of several sizes; names two of them.
    """
    if not len(images):
        return np.zeros((0, 1, 1, column.channels), np.uint8)
    for row, image in enumerate(images):
        if image.shape != images[0].shape:
            raise DataError(
                f"Column '{column.name}': images of {images[0].shape} and, in row {row}, {image.shape} cannot go through a graph "
                "together. Give rows of one size at a time."
            )
    return np.stack(list(images))


def of_one_size(raw: Mapping[str, np.ndarray], columns: Sequence[Column]) -> Iterator[np.ndarray]:
    """Row numbers, `MOST_PIXELS` at a time, of rows whose images are of one size; nothing where there are no images."""
    names = [column.name for column in columns if column.kind == "image"]
    alike: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for row, images in enumerate(zip(*(raw[name] for name in names), strict=True)):
        alike.setdefault(tuple(image.shape for image in images), []).append(row)
    for shapes, rows in alike.items():
        at_once = max(1, MOST_PIXELS // sum(height * width for height, width, _ in shapes))
        for start in range(0, len(rows), at_once):
            yield np.array(rows[start : start + at_once])
