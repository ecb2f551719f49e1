"""What this package offers. Imported whenever shopkit starts, so nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path

from shopkit import hookimpl
from shopkit.component import FOLDER, Component

from shopkit_vision import settings

shopkit_api_version = 1


@hookimpl
def shopkit_sources() -> list[Component]:
    return [
        Component(
            "fashion_mnist",
            settings.FashionMnistSettings,
            "shopkit_vision.fashion_mnist:FashionMnistSource",
            "70,000 photographs of Zalando's articles in ten classes (Fashion-MNIST)",
        ),
        Component(
            "image_folder",
            settings.ImageFolderSettings,
            "shopkit_vision.image_folder:ImageFolderSource",
            "Image files with a table of labels, or with a folder for each class",
            frozenset({FOLDER}),
        ),
    ]


@hookimpl
def shopkit_features() -> list[Component]:
    return [
        Component("image", settings.ImageSettings, "shopkit_vision.image:Image", "An image at one size, for models of images"),
        Component("pixels", settings.PixelsSettings, "shopkit_vision.pixels:Pixels", "The pixels of a small image, as numbers"),
    ]


@hookimpl
def shopkit_models() -> list[Component]:
    return [
        Component(
            "cnn",
            settings.CnnSettings,
            "shopkit_vision.cnn:CNN",
            "A convolutional network on an image, joined with plain columns",
            frozenset({"features:images", "features:embedding"}),
        )
    ]


@hookimpl
def shopkit_config_paths() -> list[Path]:
    return [Path(__file__).parent / "conf"]
