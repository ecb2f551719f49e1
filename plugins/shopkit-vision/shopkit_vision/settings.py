"""Settings of all components. Imports nothing heavy: read for help texts and config checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from shopkit.errors import ConfigError

CHANNELS = (1, 3, 4)


def _within(setting: str, value: float, low: float, high: float = float("inf")) -> None:
    if not low <= value <= high:
        upper = "" if high == float("inf") else f" to {high:g}"
        raise ConfigError(f"{setting} is {value:g}; it must be from {low:g}{upper}.")


@dataclass
class FashionMnistSettings:
    """Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): 60,000 and 10,000 grey images of 28 × 28."""

    path: str = ""
    """Folder with the four IDX files, as `.gz` or unpacked. Empty takes Debian's package `dataset-fashion-mnist` where it is
    installed, else a download."""
    url: str = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion"
    """Where the files are downloaded from; their content is checked."""
    cache: str = ""
    """Folder that keeps downloads; empty is `shopkit/fashion_mnist` in the user's cache folder."""
    timeout_seconds: float = 60.0
    """Longest silence of the server."""

    def __post_init__(self) -> None:
        if not self.timeout_seconds > 0:
            raise ConfigError(f"source.timeout_seconds is {self.timeout_seconds:g}; it must be above 0.")


@dataclass
class ImageFolderSettings:
    """PNG, JPEG and other files that Pillow reads. EXIF orientation is applied; of an animation the first frame counts."""

    path: str = ""
    """The folder of images."""
    labels: str = ""
    """CSV or Parquet with a row for each image and whatever columns there are. Empty: each sub-folder is a class, `label`."""
    file_column: str = "file"
    """Column of the table of labels with the image's path inside the folder."""
    channels: int = 3
    """1 grey, 3 red, green and blue, 4 with transparency. Every file is converted; transparent pixels stand on white, unless
    there are 4 channels."""
    max_side: int = 0
    """Images whose longer side has more pixels are made smaller as they are read; 0 keeps all as they are. The exported file
    resizes whatever it is given, so predictions want images of about this size."""

    def __post_init__(self) -> None:
        if self.channels not in CHANNELS:
            raise ConfigError(f"source.channels is {self.channels}; it must be 1 (grey), 3 (RGB) or 4 (RGBA).")
        _within("source.max_side", self.max_side, 0)


@dataclass
class ImageSettings:
    """An image resized in the graph, antialiased: uint8 (channels, height, width), for models that read images."""

    height: int = 0
    """Rows of pixels; 0 takes those of the training images, which must then all be of one size."""
    width: int = 0
    """Pixels in a row; 0 takes those of the training images."""

    def __post_init__(self) -> None:
        _within("image.height", self.height, 0)
        _within("image.width", self.width, 0)


@dataclass
class PixelsSettings:
    """Each pixel of a small image as a number from 0 to 1, for models that read numbers."""

    height: int = 28
    """Rows of pixels that the image is resized to, antialiased."""
    width: int = 28
    """Pixels in a row."""

    def __post_init__(self) -> None:
        _within("pixels.height", self.height, 1)
        _within("pixels.width", self.width, 1)


@dataclass
class CnnSettings:
    """A convolutional network: residual, or the small classic one. Augmentation is in training only."""

    preset: Literal["residual", "classic"] = "residual"
    """`residual`: a convolution, stages of residual blocks, the average over the image. `classic`: one 3×3 convolution of 32,
    2×2 pooling and softmax; of the settings below it has `dropout`, `category_dim` and the augmentation."""
    stem: int = 32
    """Channels of the first convolution."""
    widths: list[int] = field(default_factory=lambda: [32, 64, 128])
    """Channels of each stage; each halves height and width."""
    blocks: int = 1
    """Residual blocks in each stage."""
    dropout: float = 0.0
    """Of what the image comes to, before the last layer."""
    category_dim: int = 8
    """Dimensions of the embedding of each category column beside the image."""
    shift: float = 0.08
    """Augmentation: moves an image by up to this share of its height and width; its edge is continued. 0 is off."""
    flip: bool = True
    """Augmentation: mirrors half of the images left to right."""
    flip_average: bool = False
    """Answers with the mean of the scores of the image and of its mirror image, which takes twice as long."""
    erase: float = 0.0
    """Augmentation: share of images of which a random rectangle becomes noise (Zhong et al. 2020). 0 is off."""
    mixup: float = 0.0
    """Augmentation: alpha of the Beta distribution by which images are blended (Zhang et al. 2018). 0 is off."""
    cutmix: float = 0.0
    """Augmentation: alpha of the Beta distribution of the rectangle that comes from another image (Yun et al. 2019). 0 is off;
    with `mixup` as well, each step draws one of the two."""
    init_from: str = ""
    """Folder of an earlier run of this model, whose weights training starts from; its vocabularies are added to."""

    def __post_init__(self) -> None:
        for name, least in (("stem", 1), ("blocks", 1), ("category_dim", 1), ("mixup", 0), ("cutmix", 0)):
            _within(f"model.{name}", getattr(self, name), least)
        if not self.widths:
            raise ConfigError("model.widths is empty; give the channels of at least one stage.")
        for width in self.widths:
            _within("model.widths", width, 1)
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"model.dropout is {self.dropout:g}; it must be from 0 to below 1.")
        _within("model.shift", self.shift, 0, 0.5)
        _within("model.erase", self.erase, 0, 1)
