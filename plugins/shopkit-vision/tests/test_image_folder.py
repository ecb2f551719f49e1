"""Image files of every sort as pixels, and folders of them as tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shopkit.errors import ConfigError, DataError

from shopkit_vision.image_folder import ImageFolderSource
from shopkit_vision.pictures import read_image
from shopkit_vision.settings import ImageFolderSettings


def table(**settings: object) -> list[dict]:
    return ImageFolderSource(ImageFolderSettings(**settings)).open()["images"].to_pyarrow().to_pylist()


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


RED = np.array([[[255, 0, 0], [10, 20, 30]]], np.uint8)


def test_sub_folders_are_classes(folder: Path) -> None:
    rows = table(path=str(folder), channels=1)
    assert [row["file"] for row in rows[:2]] == ["disc/000.png", "disc/001.png"]
    assert [sum(row["label"] == label for row in rows) for label in ("disc", "frame", "stripes")] == [60, 60, 60]
    image = rows[0]["image"]
    assert (image["height"], image["width"], image["channels"]) == (16, 16, 1)
    assert image["pixels"] == np.asarray(Image.open(folder / "disc/000.png")).tobytes()


def test_a_table_of_labels(folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("photo,price\nstripes/003.png,2.5\ndisc/001.png,4\n")
    rows = table(path=str(folder), labels=str(labels), file_column="photo")
    assert [(row["photo"], row["price"]) for row in rows] == [("stripes/003.png", 2.5), ("disc/001.png", 4.0)]
    assert rows[0]["image"]["channels"] == 3


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("file\nstripes/003.png\nnone.png\n", "file", r"labels.csv, row 1: there is no file .*none.png"),
        (
            "files\nstripes/003.png\n",
            "file",
            r"has no column 'file' that names the files. Did you mean 'files'\? Set source.file_column",
        ),
        ("file,image\nstripes/003.png,1\n", "file", "has a column 'image', which is what the pixels are called here"),
    ],
)
def test_tables_of_labels_that_do_not_fit(folder: Path, tmp_path: Path, text: str, column: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        table(path=str(folder), labels=str(tmp_path / "labels.csv"), file_column=column)


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set source.path to the folder of images"):
        table()
    with pytest.raises(DataError, match=r"source.path=/nowhere is not a folder"):
        table(path="/nowhere")
    with pytest.raises(
        DataError, match=r"no sub-folder of .* has images .*Give each class a sub-folder, or name a table of labels"
    ):
        table(path=str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"not an image", "cut"])
def test_a_corrupt_image_is_named(tmp_path: Path, content: bytes | str) -> None:
    (tmp_path / "bags").mkdir()
    path = saved(tmp_path / "bags" / "one.png", Image.fromarray(np.arange(3000, dtype=np.uint8).reshape(50, 20, 3)))
    path.write_bytes(path.read_bytes()[:200] if content == "cut" else content)
    with pytest.raises(DataError, match=r"bags/one.png cannot be read as an image \(.*\). Replace it, or take it out"):
        table(path=str(tmp_path))


def test_grey_and_colours(tmp_path: Path) -> None:
    grey = saved(tmp_path / "grey.png", Image.fromarray(np.array([[7, 200]], np.uint8)))
    assert read_image(grey, 3).tolist() == [[[7] * 3, [200] * 3]]
    colours = saved(tmp_path / "colours.png", Image.fromarray(RED))
    assert read_image(colours, 1).tolist() == [[[76], [18]]]
    assert read_image(colours, 4).tolist() == [[[255, 0, 0, 255], [10, 20, 30, 255]]]


def test_transparent_pixels_stand_on_white(tmp_path: Path) -> None:
    levels = np.dstack([RED, np.array([[128, 0]], np.uint8)])
    path = saved(tmp_path / "clear.png", Image.fromarray(levels))
    assert read_image(path, 3).tolist() == [[[255, 127, 127], [255, 255, 255]]]
    assert read_image(path, 1).ravel().tolist() == [165, 255]
    assert read_image(path, 4).tolist() == levels.tolist()


def test_palettes_and_sixteen_bits(tmp_path: Path) -> None:
    palette = saved(tmp_path / "palette.png", Image.fromarray(RED).quantize(2))
    assert read_image(palette, 3).tolist() == RED.tolist()
    deep = saved(tmp_path / "deep.png", Image.fromarray(np.array([[0x1234, 0xFF00]], np.uint16)))
    assert read_image(deep, 1).ravel().tolist() == [0x12, 0xFF]


@pytest.mark.parametrize(("dtype", "mode"), [(np.int32, "I"), (np.float32, "F")])
def test_pixels_without_a_scale_are_refused(tmp_path: Path, dtype: type, mode: str) -> None:
    path = saved(tmp_path / "deep.tif", Image.fromarray(np.array([[70_000, 3]], dtype)))
    assert Image.open(path).mode == mode
    with pytest.raises(DataError, match=rf"deep.tif cannot be read as an image \(mode {mode}: its pixels are .* 8 or 16 bits"):
        read_image(path)


def test_files_that_are_left_out_are_counted_and_named(tmp_path: Path) -> None:
    (tmp_path / "bags").mkdir()
    saved(tmp_path / "bags" / "one.png", Image.fromarray(RED))
    source = ImageFolderSource(ImageFolderSettings(path=str(tmp_path)))
    (tmp_path / "bags" / ".hidden").touch()
    assert source.open().notes == ()
    saved(tmp_path / "alone.png", Image.fromarray(RED))
    (note,) = source.open().notes
    assert note.startswith("1 file is left out")
    for name in ("a.heic", "b.heic", "c.txt", "d", "e.avif"):
        (tmp_path / "bags" / name).touch()
    (note,) = source.open().notes
    assert note.startswith("6 files are left out")
    assert note.endswith(": alone.png, bags/a.heic, bags/b.heic, bags/c.txt, bags/d, ….")


def test_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter to the right
    path = saved(tmp_path / "turned.png", Image.fromarray(RED), exif=exif)
    assert read_image(path, 3).tolist() == [[[255, 0, 0]], [[10, 20, 30]]]


def test_large_images_are_made_smaller(tmp_path: Path) -> None:
    path = saved(tmp_path / "large.png", Image.fromarray(np.zeros((30, 60, 3), np.uint8)))
    assert read_image(path, 3, max_side=20).shape == (10, 20, 3)
    assert read_image(path, 3, max_side=100).shape == (30, 60, 3)


def test_the_fingerprint_is_of_the_pixels(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    path = saved(tmp_path / "a" / "x.png", Image.fromarray(RED))
    settings = ImageFolderSettings(path=str(tmp_path))
    before = ImageFolderSource(settings).open().fingerprint
    saved(path, Image.fromarray(255 - RED))
    assert ImageFolderSource(settings).open().fingerprint != before
