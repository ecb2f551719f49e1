"""Fashion-MNIST: photographs of Zalando's articles (Xiao, Rasul, Vollgraf: arXiv 1708.07747)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from shopkit.errors import DataError, nearest
from shopkit.raw import image_structs
from shopkit.sources.base import Source, Tables
from shopkit.sources.engine import connect, local_view, read_parquet

from shopkit_vision import idx
from shopkit_vision.download import cache_folder, fetched
from shopkit_vision.settings import FashionMnistSettings

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
PARTS = {"train": "train", "test": "t10k"}
"""Part → how its files' names begin."""
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""File → of its unpacked content."""
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package `dataset-fashion-mnist` puts the files."""
ADVICE = (
    "Set source.path to a folder with the four files (train-images-idx3-ubyte.gz and so on), or install Debian's package "
    "dataset-fashion-mnist."
)
NOTES = (
    "Fashion-MNIST by Zalando SE (https://github.com/zalandoresearch/fashion-mnist), MIT licence: H. Xiao, K. Rasul, "
    "R. Vollgraf, arXiv 1708.07747.",
)
GROUP_ROWS = 4096


class FashionMnistSource(Source):
    """One table, `images`: `id`, `image` (28 × 28, grey), `label` (one of ten), `part` (`train` or `test`)."""

    settings: FashionMnistSettings

    def open(self) -> Tables:
        contents = {name: self._content(name) for name in SHA256}
        connection, scratch = connect()
        path = scratch / "images.parquet"
        with pq.ParquetWriter(path, _table("train", *_empty()).schema) as writer:
            for part, prefix in PARTS.items():
                images, labels = _images_and_labels(contents, prefix)
                for start in range(0, len(images), GROUP_ROWS):
                    rows = slice(start, start + GROUP_ROWS)
                    writer.write_table(_table(part, images[rows], labels[rows], start))
        digest = hashlib.sha256("".join(hashlib.sha256(data).hexdigest() for data in contents.values()).encode())
        return Tables(
            tables={"images": local_view(connection, "images", read_parquet([path]), "UTC")},
            connection=connection,
            origin="source fashion_mnist",
            fingerprint=digest.hexdigest(),
            notes=NOTES,
        )

    @classmethod
    def example(cls, settings: FashionMnistSettings, folder: Path) -> Self:
        return cls._of(settings, folder, 40)

    @classmethod
    def empty_example(cls, settings: FashionMnistSettings, folder: Path) -> Self:
        return cls._of(settings, folder, 0)

    @classmethod
    def _of(cls, settings: FashionMnistSettings, folder: Path, n_images: int) -> Self:
        rng = np.random.default_rng(0)
        for prefix in PARTS.values():
            labels = np.arange(n_images, dtype=np.uint8) % len(CLASSES)
            images = rng.integers(0, 25 * (labels[:, None, None] + 1), (n_images, 28, 28))
            idx.write(folder / f"{prefix}-images-idx3-ubyte.gz", images.astype(np.uint8))
            idx.write(folder / f"{prefix}-labels-idx1-ubyte.gz", labels)
        return cls(replace(settings, path=str(folder)))

    def _content(self, name: str) -> bytes:
        settings = self.settings
        folder = Path(settings.path).expanduser() if settings.path else DEBIAN
        if settings.path or folder.is_dir():
            if not folder.is_dir():
                raise DataError(f"source fashion_mnist: source.path={settings.path} is not a folder.")
            for path in (folder / f"{name}.gz", folder / name):
                if path.is_file():
                    return idx.content(path)
            close = nearest(f"{name}.gz", (path.name for path in folder.iterdir()))
            raise DataError(f"source fashion_mnist: {folder} has no {name}.gz.{close} {ADVICE}")
        cache = Path(settings.cache).expanduser() if settings.cache else cache_folder("fashion_mnist")
        url = f"{settings.url.rstrip('/')}/{name}.gz"
        return fetched(url, cache / f"{name}.gz", SHA256[name], settings.timeout_seconds, ADVICE)


def _images_and_labels(contents: dict[str, bytes], prefix: str) -> tuple[np.ndarray, np.ndarray]:
    names = f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"
    images, labels = (idx.array(contents[name], dims, name) for name, dims in zip(names, (3, 1), strict=True))
    if len(images) != len(labels):
        raise DataError(
            f"{names[0]} has {len(images):,} images, and {names[1]} {len(labels):,} labels; they do not belong together."
        )
    if not len(images):
        raise DataError(f"{names[0]} has no images.")
    if labels.max() >= len(CLASSES):
        raise DataError(f"{names[1]} has the label {labels.max()}; there are {len(CLASSES)} classes, from 0 on.")
    return images, labels


def _empty() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((0, 28, 28), np.uint8), np.zeros(0, np.uint8)


def _table(part: str, images: np.ndarray, labels: np.ndarray, start: int = 0) -> pa.Table:
    return pa.table(
        {
            "id": pa.array([f"{part} {start + i:05}" for i in range(len(images))], pa.string()),
            "image": image_structs(images[..., np.newaxis]),
            "label": pa.array([CLASSES[label] for label in labels], pa.string()),
            "part": pa.array([part] * len(images), pa.string()),
        }
    )
