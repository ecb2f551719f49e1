"""The extractors: resizing in the graph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from shopkit.errors import ConfigError, DataError
from shopkit.features.graph import fit
from shopkit.features.plan import Assignment, ResolvedPlan
from shopkit.features.training_part import training_part
from shopkit.raw import image_structs
from shopkit.runtime.artifact import open_session
from shopkit.schema import Column, Schema

from shopkit_vision.image import Image
from shopkit_vision.pixels import Pixels
from shopkit_vision.resize import resized, weights
from shopkit_vision.settings import ImageSettings, PixelsSettings

import pyarrow as pa  # isort: skip
import pyarrow.parquet as pq  # isort: skip


def graph(tmp_path, extractor, *columns: list[np.ndarray]):
    """The fitted features of these columns of images, and a session of their graph."""
    names = [f"photo{i}" for i in range(len(columns))]
    path = tmp_path / "examples.parquet"
    pq.write_table(pa.table({name: image_structs(images) for name, images in zip(names, columns, strict=True)}), path)
    schema = Schema(tuple(Column(name, "image", channels=columns[0][0].shape[2]) for name in names))
    assignments = tuple(Assignment(column, "image", {}, extractor, "") for column in schema)
    with training_part(path, np.ones(len(columns[0]), bool)) as context:
        fitted = fit(ResolvedPlan(schema, assignments), context)
    return fitted, open_session(fitted.model.SerializeToString())


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels)).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_the_reference_is_pillows_bilinear(h: int, w: int, height: int, width: int) -> None:
    image = noise(h, w)
    expected = np.asarray(Picture.fromarray(image).resize((width, height), Picture.Resampling.BILINEAR))
    # Pillow rounds after each of the two passes.
    assert np.abs(resized(image, height, width) - expected.transpose(2, 0, 1)).max() <= 1.0 + 1e-9


@given(st.integers(1, 50), st.integers(1, 50))
def test_weights_sum_to_one(n_old: int, n_new: int) -> None:
    assert np.allclose(weights(n_old, n_new).sum(1), 1)
    assert (weights(n_old, n_old) == np.eye(n_old)).all()


def test_the_graph_takes_any_size(tmp_path) -> None:
    extractor = Image(ImageSettings(height=12, width=9))
    fitted, session = graph(tmp_path, extractor, [noise(20, 30), noise(8, 8)])
    assert fitted.spec.image is not None
    assert fitted.spec.image.shape == (3, 12, 9)
    for size in ((20, 30), (8, 8), (1, 1), (12, 9), (31, 5)):
        image = noise(*size)
        (found,) = session.run(["image"], {"column.photo0": image[np.newaxis]})
        assert found.dtype == np.uint8
        assert np.abs(found[0].astype(int) - np.rint(resized(image, 12, 9))).max() <= 1


def test_an_image_of_the_right_size_is_left_as_it_is(tmp_path) -> None:
    image = noise(6, 7, 1)
    _, session = graph(tmp_path, Image(ImageSettings()), [image])
    (found,) = session.run(["image"], {"column.photo0": image[np.newaxis]})
    assert (found[0] == image.transpose(2, 0, 1)).all()


def test_the_size_is_learnt_from_images_that_are_there(tmp_path) -> None:
    fitted, _ = graph(tmp_path, Image(ImageSettings()), [np.zeros((1, 1, 3), np.uint8), noise(6, 7), noise(6, 7)])
    assert fitted.spec.image is not None
    assert fitted.spec.image.shape == (3, 6, 7)


def test_images_of_several_sizes_want_a_size(tmp_path) -> None:
    with pytest.raises(DataError, match=r"Column 'photo0' has training images of height 6 to 8. Say what size the model reads"):
        graph(tmp_path, Image(ImageSettings(width=4)), [noise(6, 7), noise(8, 7)])


def test_a_model_reads_one_image(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"2 columns hold images, and a model reads one. Leave the others out"):
        graph(tmp_path, Image(ImageSettings()), [noise(6, 7)], [noise(6, 7)])


def test_pixels_are_numbers(tmp_path) -> None:
    image = noise(4, 2, 1)
    fitted, session = graph(tmp_path, Pixels(PixelsSettings(height=4, width=2)), [image])
    assert fitted.spec.blocks[0].names[:3] == ("photo0[0, 0, 0]", "photo0[0, 0, 1]", "photo0[0, 1, 0]")
    (dense,) = session.run(["dense"], {"column.photo0": image[np.newaxis]})
    np.testing.assert_allclose(dense[0], image.ravel() / 255, atol=1e-6)
