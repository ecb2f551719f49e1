"""Image columns on their way from a table into examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopkit.errors import DataError
from shopkit.raw import image_structs, read_columns
from shopkit.schema import Kind
from shopkit.sources.files import FilesSource
from shopkit.sources.settings import FilesSettings
from shopkit.views.base import Examples
from shopkit.views.materialise import IMAGE_ROWS, Materialised, materialise


def made(tmp_path: Path, images: pa.Array, types: dict[str, Kind] | None = None, target: str = "label") -> Materialised:
    table = pa.table({"id": [f"{i:05}" for i in range(len(images))], "photo": images, "label": ["a", "b"] * (len(images) // 2)})
    pq.write_table(table, tmp_path / "table.parquet")
    source = FilesSource(FilesSettings(path=str(tmp_path / "table.parquet"))).open()["data"]
    return materialise(Examples(source, {"id": "key", target: "target"}), types or {}, tmp_path / "examples.parquet")


def images(*shapes: tuple[int, int, int]) -> list[np.ndarray]:
    return [np.full(shape, i % 256, np.uint8) for i, shape in enumerate(shapes)]


def test_images_of_any_size_are_kept(tmp_path: Path) -> None:
    given = images((2, 3, 3), (4, 1, 3))
    photo = made(tmp_path, image_structs(given)).schema["photo"]
    assert (photo.kind, photo.role, photo.channels) == ("image", "feature", 3)
    found = read_columns(tmp_path / "examples.parquet", ["photo"])["photo"]
    for one, expected in zip(found, given, strict=True):
        np.testing.assert_array_equal(one, expected)


def test_a_missing_image_becomes_one_black_pixel(tmp_path: Path) -> None:
    structs = image_structs(images((2, 3, 1), (2, 3, 1))).to_pylist()
    made(tmp_path, pa.array([structs[0], None, structs[1], None], image_structs(images((1, 1, 1))).type))
    found = read_columns(tmp_path / "examples.parquet", ["photo"])["photo"]
    assert [one.shape for one in found] == [(2, 3, 1), (1, 1, 1), (2, 3, 1), (1, 1, 1)]


def test_a_column_without_any_image_is_left_out(tmp_path: Path) -> None:
    photo = made(tmp_path, pa.nulls(4, image_structs(images((1, 1, 1))).type)).schema["photo"]
    assert (photo.role, photo.note) == ("ignored", "all values are missing")


def test_more_images_than_go_at_once(tmp_path: Path) -> None:
    n = 2 * IMAGE_ROWS + 4
    assert made(tmp_path, image_structs(images(*[(2, 2, 1)] * n))).n_rows == n
    assert pq.ParquetFile(tmp_path / "examples.parquet").num_row_groups == 3
    found = read_columns(tmp_path / "examples.parquet", ["photo"])["photo"]
    assert [int(one[0, 0, 0]) for one in found] == [i % 256 for i in range(n)]


def test_an_image_that_is_none_is_named_with_its_row_beyond_the_first_batch(tmp_path: Path) -> None:
    structs = image_structs(images(*[(2, 2, 1)] * (IMAGE_ROWS + 8))).to_pylist()
    structs[IMAGE_ROWS + 5]["pixels"] = b"123"
    with pytest.raises(DataError, match=f"^Column 'photo', row {IMAGE_ROWS + 5}: 3 bytes"):
        made(tmp_path, pa.array(structs, image_structs(images((1, 1, 1))).type))


def test_columns_beside_an_image_are_looked_at_too(tmp_path: Path) -> None:
    table = {"id": [1, 2], "photo": image_structs(images((2, 3, 1), (2, 3, 1))), "same": ["a", "a"], "label": [0, 1]}
    pq.write_table(pa.table(table), tmp_path / "table.parquet")
    source = FilesSource(FilesSettings(path=str(tmp_path / "table.parquet"))).open()["data"]
    found = materialise(Examples(source, {"id": "key", "label": "target"}), {}, tmp_path / "examples.parquet")
    assert found.notes == ("same: constant: every row has the same value",)


def test_channels_must_be_the_same(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"Column 'photo' has images of 1 and of 3 channels. Convert them to one number of channels"
    ):
        made(tmp_path, image_structs(images((2, 3, 1), (2, 3, 3))))


def test_kinds_and_roles_that_an_image_cannot_have(tmp_path: Path) -> None:
    given = image_structs(images((2, 3, 1), (2, 3, 1)))
    with pytest.raises(
        DataError, match=r"'photo' is of type STRUCT.*, which cannot be of kind string. An image is a struct of height"
    ):
        made(tmp_path, given, {"photo": "string"})
    with pytest.raises(DataError, match="'label' is of type VARCHAR, which cannot be of kind image"):
        made(tmp_path, given, {"label": "image"})
    with pytest.raises(DataError, match=r"which cannot be the target. Cast it in the source"):
        made(tmp_path, given, target="photo")
