"""From a folder of drawings to a file that tells them apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import shopkit
from drawings import SHAPES, drawing
from shopkit import Predictor
from shopkit.cli import main
from shopkit.errors import DataError
from shopkit.predict.files import predict_file
from shopkit.raw import read_columns
from shopkit.runs import Run
from shopkit.schema import Column, Schema

from shopkit_vision.image_folder import ImageFolderSource
from shopkit_vision.pictures import read_image
from shopkit_vision.settings import ImageFolderSettings


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    overrides = [
        "source=image_folder",
        f"source.path={folder}",
        "source.channels=1",
        "view.keys=[file]",
        "split=stratified",
        "model.widths=[16]",
        "model.stem=8",
        "trainer.max_epochs=6",
        "trainer.batch_size=16",
        "trainer.lr=1e-2",
        "trainer.ema_decay=0.5",
        "evaluation.n_bootstrap=20",
        "evaluation.permutation_repeats=1",
        "evaluation.latency_seconds=0.01",
        "evaluation.baselines=[linear]",
        "evaluation.cases=4",
    ]
    return shopkit.run("product_image", overrides, folder=tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def predictor(run: Run) -> Predictor:
    return Predictor(run.path)


def test_the_width_that_is_asked_for_is_told_apart_from_what_a_column_becomes(run: Run) -> None:
    (column,) = run.facts("features")["columns"]
    assert (column["extractor"], column["settings"]) == ("image", {"height": 0, "width": 0})
    assert column["width"] > 0


def test_it_learns_and_is_checked_at_several_sizes(run: Run) -> None:
    assert run.metrics["metrics"]["test"]["accuracy"]["value"] > 0.85
    assert set(run.metrics["baselines"]) == {"constant", "linear"}
    checks = run.facts("export")["checks"]
    assert {"one row", "many rows", "missing values", "larger images", "cut images", "blank images"} <= set(checks)
    assert max(checks.values()) < 1e-4


def test_a_folder_is_predicted_from_the_shell(run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    (photos / "of today").mkdir(parents=True)
    (photos / ".thumbnails").mkdir()
    for target in ("a.png", "of today/b.png", ".thumbnails/c.png"):
        shutil.copy(folder / "disc/000.png", photos / target)
    (photos / "notes.txt").write_text("not an image")
    shutil.copy(run.model_path, tmp_path / "alone.onnx")
    for artifact in (run.path, tmp_path / "alone.onnx"):
        assert main(["predict", str(artifact), str(photos), "-o", str(tmp_path / "answers.csv")]) == 0
        assert "2 rows → " in capsys.readouterr().out
        answers = pd.read_csv(tmp_path / "answers.csv")
        assert answers["file"].tolist() == ["a.png", "of today/b.png"]
        expected = Predictor(run.path)({"image": read_image(folder / "disc/000.png", 1)})
        assert answers["label"].tolist() == [expected["label"]] * 2


def test_a_folder_without_images_is_named(run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["-o", str(tmp_path / "answers.csv")]
    assert main(["predict", str(run.path), str(tmp_path), *out]) == 1
    assert f"There are no images in {tmp_path} (.png" in capsys.readouterr().err
    shutil.copy(folder / "disc/000.png", tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"none")
    assert main(["predict", str(run.path), str(tmp_path), *out]) == 1
    assert "b.png cannot be read as an image" in capsys.readouterr().err
    assert not (tmp_path / "answers.csv").exists()


def test_a_file_that_reads_no_image_wants_a_table(tmp_path: Path) -> None:
    source = ImageFolderSource(ImageFolderSettings())
    with pytest.raises(DataError, match=r"this file wants 0 of them in a row. Give a table, as Parquet"):
        next(source.rows(tmp_path, Schema((Column("price", "number"),))))


def test_the_report_and_the_card_show_images(run: Run) -> None:
    report, card = run.report_path.read_text("utf-8"), run.card_path.read_text("utf-8")
    assert "16 × 16 pixels" in report
    assert "data:image/png;base64," in report
    assert "np.zeros((16, 16, 1), np.uint8)" in report
    assert "| image | uint8 |" in card


def test_a_folder_of_photographs_is_answered(folder: Path, run: Run) -> None:
    files = sorted(folder.rglob("*.png"))
    answers = Predictor(run.path)({"image": [read_image(file, channels=1) for file in files]})
    right = [file.parent.name == label for file, label in zip(files, answers["label"], strict=True)]
    assert sum(right) / len(files) > 0.85


def test_images_of_any_size(predictor: Predictor) -> None:
    rng = np.random.default_rng(5)
    images = [drawing(shape, rng, *size)[..., np.newaxis] for shape in SHAPES for size in ((16, 16), (32, 32), (24, 16))]
    labels = predictor({"image": images})["label"]
    assert (labels == np.repeat(SHAPES, 3)).mean() > 0.7
    alone = [predictor({"image": image})["label"] for image in images]
    assert labels.tolist() == alone


def test_arrays_lists_rows_and_grey_planes(predictor: Predictor) -> None:
    rng = np.random.default_rng(6)
    images = np.stack([drawing(shape, rng)[..., np.newaxis] for shape in SHAPES])
    expected = predictor({"image": images})
    for given in (list(images), [image[..., 0] for image in images]):
        assert predictor({"image": given})["label"].tolist() == expected["label"].tolist()
    rows = predictor([{"image": image, "file": str(i)} for i, image in enumerate(images)])
    assert [row["label"] for row in rows] == expected["label"].tolist()
    assert rows[2]["file"] == "2"
    one = predictor({"image": images[0][..., 0]})
    assert one["probability.disc"] == pytest.approx(expected["probability"][0, 0], abs=1e-6)


def test_a_missing_image_is_a_black_one(predictor: Predictor) -> None:
    black = predictor({"image": [np.zeros((16, 16, 1), np.uint8)]})["probability"]
    np.testing.assert_allclose(predictor({"image": [None]})["probability"], black, atol=1e-6)
    assert predictor({"image": None})["probability.disc"] == pytest.approx(black[0, 0], abs=1e-6)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            np.zeros((16, 16, 1)),
            "Column 'image', row 0: an array of float64 is not of uint8: give pixels from 0 to 255, not scaled",
        ),
        (np.zeros((16, 16, 3), np.uint8), r"an image of shape \(16, 16, 3\) is not \(height, width, 1\): its channels differ."),
        (np.zeros((1, 16, 16), np.uint8), r"is not \(height, width, 1\): its channels differ. Channels come last: transpose"),
        ([np.zeros(16, np.uint8)], r"an array of shape \(16,\) is not one image \(height, width, 1\)"),
        (np.zeros((0, 16, 1), np.uint8), r"\(height, width, 1\) with at least one pixel"),
        ([b"\x89PNG"], "row 0: bytes is not an image; read the file into pixels first"),
    ],
)
def test_what_is_no_image(predictor: Predictor, image: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        predictor({"image": image})


def test_a_table_of_images_is_predicted(run: Run, predictor: Predictor, tmp_path: Path) -> None:
    n_rows = predict_file(run.path, run.examples_path, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert (n_rows, table.column_names[:1]) == (180, ["file"])
    images = read_columns(run.examples_path, ["image"])["image"]
    assert table.column("label").to_pylist() == predictor({"image": images})["label"].tolist()


def test_a_csv_holds_no_images(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("file,image\na,photo.png\n")
    with pytest.raises(DataError, match="Column 'image', row 0: str is not an image; read the file into pixels first"):
        predict_file(run.path, tmp_path / "in.csv", tmp_path / "out.csv")
