"""The pixels of a small image as numbers, for models that read numbers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.v21 as op
from shopkit.features.aggregates import answers
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FitContext, State
from shopkit.schema import Kind

from shopkit_vision.resize import resized, traced_resize
from shopkit_vision.settings import PixelsSettings


class Pixels(Extractor):
    """Resized, 0 black to 1 white: channel by channel, row by row. State: `channels`."""

    accepts: ClassVar[tuple[Kind, ...]] = ("image",)
    settings: PixelsSettings

    def fit(self, column: str, context: FitContext) -> State:
        found = answers(context, channels=context.table[column]["channels"].max())
        return {"channels": np.array([found["channels"]], np.int64)}

    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        height, width = self.settings.height, self.settings.width
        places = itertools.product(range(int(state["channels"][0])), range(height), range(width))
        names = tuple(f"{column}[{channel}, {row}, {at}]" for channel, row, at in places)
        return (FeatureBlock(column, "pixels", "dense", 0, len(names), names),)

    def transform(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> Encoded:
        parts = []
        for column in columns:
            levels = traced_resize(column, self.settings.height, self.settings.width).unwrap_spox()
            parts.append(op.mul(op.flatten(levels, axis=1), op.const(np.float32(1 / 255))))
        return Encoded(dense=ndx.asarray(op.concat(parts, axis=1) if len(parts) > 1 else parts[0]))

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        flat = [resized(image, self.settings.height, self.settings.width).ravel() / 255 for image in values]
        width = int(state["channels"][0]) * self.settings.height * self.settings.width
        return np.array(flat, np.float32).reshape(len(values), width)
