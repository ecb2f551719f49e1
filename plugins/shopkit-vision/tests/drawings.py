"""Drawings of three shapes, for tests that must learn something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SHAPES = ("disc", "frame", "stripes")


def drawing(shape: str, rng: np.random.Generator, height: int = 16, width: int = 16) -> np.ndarray:
    """uint8 (height, width): a light shape of random place and size on a dark ground with noise."""
    y, x = np.mgrid[:height, :width]
    radius = rng.uniform(0.25, 0.4) * min(height, width)
    cy, cx = height * rng.uniform(0.4, 0.6), width * rng.uniform(0.4, 0.6)
    if shape == "disc":
        inside = (y - cy) ** 2 + (x - cx) ** 2 < radius**2
    elif shape == "frame":
        away = np.maximum(abs(y - cy), abs(x - cx))
        inside = (away < radius) & (away > radius * 0.5)
    else:
        inside = (y + int(rng.integers(4))) % 4 < 2
    return np.clip(np.where(inside, 200, 40) + rng.normal(0, 15, (height, width)), 0, 255).astype(np.uint8)


def write_folder(folder: Path, n_each: int = 60, height: int = 16, width: int = 16) -> None:
    """A sub-folder of PNG files for each shape."""
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        (folder / shape).mkdir(parents=True)
        for i in range(n_each):
            Image.fromarray(drawing(shape, rng, height, width)).save(folder / shape / f"{i:03}.png")
