"""A small fitted pipeline written by hand: two raw columns, a linear model, a binary task."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.ml.v4 as ml
import spox.opset.ai.onnx.v21 as op

from shopkit.exporters.base import Fitted, Raw
from shopkit.exporters.onnx import OnnxExporter
from shopkit.exporters.settings import OnnxSettings
from shopkit.runtime.artifact import open_session
from shopkit.schema import INPUT_PREFIX, Column, Schema
from shopkit.tasks.binary import Binary
from shopkit.tasks.settings import BinarySettings

WEIGHT = np.array([[0.7], [-1.3]], np.float32)


def feature_graph(number: str = "price", text: str = "color") -> onnx.ModelProto:
    price = spox.argument(spox.Tensor(np.float32, ("N",)))
    color = spox.argument(spox.Tensor(np.str_, ("N",)))
    zero = op.const(np.float32(0))
    filled = op.where(op.isnan(price), zero, price)
    code = ml.label_encoder(color, keys_strings=["red", "blue"], values_floats=[1.0, 2.0], default_float=0.0)
    axis = op.const(np.array([1]))
    dense = op.concat([op.unsqueeze(filled, axis), op.unsqueeze(code, axis)], axis=1)
    return spox.build({INPUT_PREFIX + number: price, INPUT_PREFIX + text: color}, {"dense": dense})


def model_graph(weight: np.ndarray = WEIGHT) -> onnx.ModelProto:
    dense = spox.argument(spox.Tensor(np.float32, ("N", 2)))
    return spox.build({"dense": dense}, {"scores": op.gemm(dense, op.const(weight))})


def fitted_task() -> Binary:
    task = Binary(BinarySettings())
    target = np.array(["no", "yes"] * 50, object)
    task.fit_target(target)
    task.fit_decision(np.random.default_rng(0).normal(size=(100, 1)).astype(np.float32), task.encode(target), None)
    return task


def make_fitted(number: str = "price", text: str = "color", exported_weight: np.ndarray = WEIGHT) -> Fitted:
    """A `Fitted` whose model can be made to differ from what is exported."""
    features = feature_graph(number, text)
    session = open_session(features.SerializeToString())

    def reference(raw: Raw) -> np.ndarray:
        (dense,) = session.run(["dense"], {INPUT_PREFIX + name: values for name, values in raw.items()})
        return np.asarray(dense @ WEIGHT, np.float32)

    rng = np.random.default_rng(1)
    held_out = {
        number: rng.normal(size=300).astype(np.float32),
        text: rng.choice(np.array(["red", "blue", "green", ""], object), 300),
    }
    columns = (Column("customer", "string", "key", integer=True), Column(number, "number"), Column(text, "string"))
    return Fitted(
        Schema(columns),
        features,
        model_graph(exported_weight),
        fitted_task(),
        reference,
        held_out,
        {"experiment": "test"},
        training=lambda most: {name: values[::-1][:most] for name, values in held_out.items()},
    )


@cache
def _exported() -> bytes:
    with TemporaryDirectory() as folder:
        return OnnxExporter(OnnxSettings()).export(make_fitted(), Path(folder)).path.read_bytes()


def exported_file(folder: Path) -> Path:
    """The hand-made pipeline as `model.onnx` in the folder."""
    path = folder / "model.onnx"
    path.write_bytes(_exported())
    return path
