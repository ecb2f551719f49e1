"""Fashion-MNIST from a folder, from Debian's package, and from the web: here from a server of this machine."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shopkit.errors import DataError

from shopkit_vision import fashion_mnist, idx
from shopkit_vision.fashion_mnist import CLASSES, SHA256, FashionMnistSource
from shopkit_vision.settings import FashionMnistSettings


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The four files, small."""
    folder = tmp_path / "files"
    folder.mkdir()
    FashionMnistSource.example(FashionMnistSettings(), folder)
    return folder


@pytest.fixture
def server(files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """Serves them; their content is what is expected, and Debian's package is not installed."""
    found = {name: hashlib.sha256(idx.content(files / f"{name}.gz")).hexdigest() for name in SHA256}
    monkeypatch.setattr(fashion_mnist, "SHA256", found)
    monkeypatch.setattr(fashion_mnist, "DEBIAN", files / "nowhere")
    served = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(files)))
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield served
    served.shutdown()
    served.server_close()


def of(server: ThreadingHTTPServer, cache: Path) -> FashionMnistSource:
    return FashionMnistSource(FashionMnistSettings(url=f"http://127.0.0.1:{server.server_port}", cache=str(cache)))


def test_a_row_for_each_image(files: Path) -> None:
    table = FashionMnistSource(FashionMnistSettings(path=str(files))).open()["images"].order_by("id").to_pyarrow()
    assert table.column_names == ["id", "image", "label", "part"]
    rows = table.to_pylist()
    assert [row["part"] for row in rows] == ["test"] * 40 + ["train"] * 40
    assert rows[41]["id"] == "train 00001"
    assert rows[41]["label"] == CLASSES[1]
    pixels = idx.array(idx.content(files / "train-images-idx3-ubyte.gz"), 3, "")[1]
    assert rows[41]["image"] == {"height": 28, "width": 28, "channels": 1, "pixels": pixels.tobytes()}


def test_debians_package_is_found(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist, "DEBIAN", files)
    assert FashionMnistSource(FashionMnistSettings()).open()["images"].count().execute() == 80


def test_packing_does_not_change_the_fingerprint(files: Path, tmp_path: Path) -> None:
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    for name in SHA256:
        (unpacked / name).write_bytes(idx.content(files / f"{name}.gz"))
    first, second = (FashionMnistSource(FashionMnistSettings(path=str(path))).open() for path in (files, unpacked))
    assert first.fingerprint == second.fingerprint


def test_a_download_is_kept(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = of(server, cache).open().fingerprint
    assert sorted(path.name for path in cache.iterdir()) == sorted(f"{name}.gz" for name in SHA256)
    server.shutdown()
    server.server_close()
    assert of(server, cache).open().fingerprint == first


def test_a_damaged_file_of_the_cache_is_downloaded_again(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = of(server, cache).open().fingerprint
    (cache / "t10k-labels-idx1-ubyte.gz").write_bytes(b"cut")
    assert of(server, cache).open().fingerprint == first


def test_another_content_is_refused_and_not_kept(server: ThreadingHTTPServer, files: Path, tmp_path: Path) -> None:
    idx.write(files / "train-images-idx3-ubyte.gz", np.zeros((40, 28, 28), np.uint8))
    with pytest.raises(
        DataError, match=r"train-images-idx3-ubyte.gz gave is not the expected file: its content has sha256"
    ) as error:
        of(server, tmp_path / "cache").open()
    assert "It was not kept. Set source.path to a folder with the four files" in str(error.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_a_network_the_error_says_what_to_do(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(
        DataError, match=r"Cannot download http://127.0.0.1:\d+/train-images-idx3-ubyte.gz to .*refused.*"
    ) as error:
        of(server, tmp_path / "cache").open()
    assert "Set source.path to a folder with the four files" in str(error.value)
    assert "Debian's package dataset-fashion-mnist" in str(error.value)


def test_an_address_that_is_none(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    source = FashionMnistSource(FashionMnistSettings(url="file:///etc", cache=str(tmp_path)))
    with pytest.raises(DataError, match="is not a web address; it begins with https:// or http://"):
        source.open()


def test_folders_that_lack_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"source.path=/nowhere is not a folder"):
        FashionMnistSource(FashionMnistSettings(path="/nowhere")).open()
    (tmp_path / "train-image-idx3-ubyte.gz").touch()
    with pytest.raises(DataError, match=r"has no train-images-idx3-ubyte.gz. Did you mean 'train-image-idx3-ubyte.gz'\?"):
        FashionMnistSource(FashionMnistSettings(path=str(tmp_path))).open()


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("train-labels-idx1-ubyte", np.zeros(3, np.uint8), "has 40 images, and train-labels-idx1-ubyte 3 labels"),
        ("t10k-labels-idx1-ubyte", np.full(40, 10, np.uint8), "has the label 10; there are 10 classes, from 0 on"),
        (
            "t10k-labels-idx1-ubyte",
            np.zeros((40, 1), np.uint8),
            "is not an IDX file of bytes in 1 dimensions: it begins with 00 00 08 02",
        ),
    ],
)
def test_files_that_do_not_fit(files: Path, name: str, values: np.ndarray, message: str) -> None:
    idx.write(files / f"{name}.gz", values)
    with pytest.raises(DataError, match=message):
        FashionMnistSource(FashionMnistSettings(path=str(files))).open()


def test_damaged_files(files: Path) -> None:
    path = files / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz is a damaged gzip file"):
        FashionMnistSource(FashionMnistSettings(path=str(files))).open()
    path.unlink()
    path.with_suffix("").write_bytes(b"\0\0\x08\x03" + bytes((0, 0, 0, 40, 0, 0, 0, 28, 0, 0, 0, 28)) + b"x")
    with pytest.raises(DataError, match="says that it holds 40 × 28 × 28 bytes, but 1 follow"):
        FashionMnistSource(FashionMnistSettings(path=str(files))).open()
