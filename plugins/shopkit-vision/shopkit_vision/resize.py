"""Resizing by a triangle filter as wide as a new pixel, so that what is made smaller is averaged and not sampled (antialiased).

It is ONNX's `Resize` with `mode="linear", antialias=1, exclude_outside=1`, and Pillow's `BILINEAR` but for its rounding halfway.
A row or column of pixels is moved to a new number of them by a matrix, so the whole is two matrix products.
"""

from __future__ import annotations

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.v21 as op


def weights(n_old: int, n_new: int) -> np.ndarray:
    """How much each old pixel of a line gives to each new one, float64 (n_new, n_old); every row sums to 1."""
    step = n_old / n_new
    reach = max(step, 1.0)
    centres = (np.arange(n_new) + 0.5) * step - 0.5
    distance = np.abs(np.arange(n_old) - centres[:, None]) / reach
    triangle = np.maximum(0.0, 1.0 - distance)
    return np.asarray(triangle / triangle.sum(axis=1, keepdims=True))


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 (h, w, channels) → float64 (channels, height, width), 0 to 255, not rounded."""
    planes = image.transpose(2, 0, 1).astype(np.float64)
    return np.asarray(weights(image.shape[0], height) @ planes @ weights(image.shape[1], width).T)


def traced_resize(images: ndx.Array, height: int, width: int) -> ndx.Array:
    """uint8 (N, h, w, channels) → float32 (N, channels, height, width), 0 to 255, not rounded."""
    planes = op.cast(op.transpose(images.unwrap_spox(), perm=[0, 3, 1, 2]), to=np.float32)
    size = op.const(np.array([height, width], np.int64))
    scaled = op.resize(
        planes,
        sizes=size,
        antialias=1,
        axes=[2, 3],
        coordinate_transformation_mode="half_pixel",
        exclude_outside=1,
        mode="linear",
    )
    return ndx.asarray(scaled)
