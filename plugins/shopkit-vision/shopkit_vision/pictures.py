"""Image files as pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from shopkit.errors import DataError

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Channels → Pillow's name for such images."""
WIDE = {"I": "whole numbers of 32 bits", "F": "floating-point numbers"}
"""Pillow's names of images whose pixels are not on a scale from black to white: what they hold."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def read_image(path: str | Path, channels: int = 3, max_side: int = 0) -> np.ndarray:
    """The pixels of an image file, uint8 (height, width, channels), turned as its EXIF orientation says.

    Colours become grey by ITU-R 601 luma, grey becomes three equal channels, palettes become their colours, and 16 bits become
    their upper 8. Transparent pixels stand on white, unless there are 4 channels.

    Args:
        channels: 1, 3 or 4.
        max_side: the longer side is made this many pixels at most (Lanczos); 0 keeps it.

    Raises:
        DataError: no image, a damaged one, or one of 32-bit pixels; names the file.
    """
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            pixels = _converted(image, channels, max_side)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image ({error}). Replace it, or take it out of the folder.") from None
    return pixels


def _converted(image: Image.Image, channels: int, max_side: int) -> np.ndarray:
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in WIDE:
        raise ValueError(
            f"mode {image.mode}: its pixels are {WIDE[image.mode]}, and nothing says which of them is white; save it with 8 or "
            "16 bits a channel"
        )
    if channels < 4 and image.has_transparency_data:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    image = image.convert(MODES[channels])
    if max_side:
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=None)
    pixels = np.asarray(image)
    return pixels[:, :, np.newaxis] if channels == 1 else pixels
