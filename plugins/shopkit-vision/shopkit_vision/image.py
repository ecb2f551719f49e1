"""An image at one size, for models that read images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import ibis
import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.v21 as op
from shopkit.errors import ConfigError, DataError
from shopkit.features.aggregates import answers
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FitContext, State
from shopkit.features.tensors import Tensor
from shopkit.schema import Kind

from shopkit_vision.resize import resized, traced_resize
from shopkit_vision.settings import ImageSettings


class Image(Extractor):
    """Resized, rounded to whole levels, channels first. State: `shape`, (channels, height, width)."""

    accepts: ClassVar[tuple[Kind, ...]] = ("image",)
    gives: ClassVar[Tensor | None] = "image"
    # One level of 255: in float32 a sum that is half-way between two levels may fall to either side.
    tolerance: ClassVar[float] = 1.0
    settings: ImageSettings

    def fit(self, column: str, context: FitContext) -> State:
        settings, whole = self.settings, context.table[column]
        # A missing image is one pixel: its size says nothing of the others.
        image = ((whole["height"] > 1) | (whole["width"] > 1)).ifelse(whole, ibis.null(whole.type()))
        sides = {f"{end}_{side}": getattr(image[side], end)() for side in ("height", "width") for end in ("min", "max")}
        found = answers(context, channels=whole["channels"].max(), **sides)
        for side, given in (("height", settings.height), ("width", settings.width)):
            if not given and found[f"min_{side}"] != found[f"max_{side}"]:
                raise DataError(
                    f"Column '{column}' has training images of {side} {found[f'min_{side}']} to {found[f'max_{side}']}. Say what "
                    f"size the model reads: features.columns.{column}={{name: image, height: 64, width: 64}}."
                )
        shape = (found["channels"], settings.height or found["max_height"] or 1, settings.width or found["max_width"] or 1)
        return {"shape": np.array(shape, np.int64)}

    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        shape = tuple(int(n) for n in state["shape"])
        return (FeatureBlock(column, "image", "image", 0, 1, (), shape=shape),)

    def transform(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> Encoded:
        if len(columns) > 1:
            raise ConfigError(
                f"{len(columns)} columns hold images, and a model reads one. Leave the others out with features.ignore, or make "
                "numbers of them: features.columns.<name>=pixels."
            )
        _, height, width = states[0]["shape"]
        levels = op.round(traced_resize(columns[0], int(height), int(width)).unwrap_spox())
        within = op.clip(levels, op.const(np.float32(0)), op.const(np.float32(255)))
        return Encoded(image=ndx.asarray(op.cast(within, to=np.uint8)))

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        channels, height, width = state["shape"]
        images = [np.rint(resized(image, int(height), int(width))) for image in values]
        return np.array(images, np.uint8).reshape(len(values), channels, height, width)
