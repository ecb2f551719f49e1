"""A fitted torch model as an ONNX graph."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from shopkit.errors import ExportError
from shopkit.features.base import FeatureSpec
from shopkit.features.tensors import ARRAYS
from shopkit.models.base import Model
from shopkit.onnx_format import OPSETS, pin_versions


class _Positional(nn.Module):
    """Inputs one by one instead of a dict, as the tracer names them."""

    def __init__(self, module: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.module = module
        self.names = names

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.module(dict(zip(self.names, inputs, strict=True)))  # type: ignore[no-any-return]


def to_onnx(model: Model, features: FeatureSpec) -> onnx.ModelProto:
    """Inputs: the arrays of `features.shapes` that the model reads, for any N and any length; output `scores` float32
    (N, n_outputs).

    The same weights give the same bytes.

    Raises:
        ExportError: the model cannot be traced.
    """
    rows = torch.export.Dim("N", min=1)
    inputs: dict[str, Tensor] = {}
    shapes: list[dict[int, torch.export.Dim]] = []
    for name, dims in features.shapes.items():
        kind = ARRAYS[name]
        size = [3 if isinstance(dim, str) else dim for dim in dims]
        # Lengths within the sample's; of all else, 0 is as good as any.
        fill = 2 if name.endswith("lengths") else 0
        inputs[name] = torch.full((2, *size), fill, dtype=torch.from_numpy(np.empty(0, kind.dtype)).dtype)
        shapes.append({0: rows} | ({1: torch.export.Dim(kind.varies, min=1)} if kind.varies else {}))
    module = _Positional(model.cpu().eval().for_export(), list(inputs)).eval()
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                module,
                tuple(inputs.values()),
                input_names=list(inputs),
                output_names=["scores"],
                dynamic_shapes=(tuple(shapes),),
                dynamo=True,
                external_data=False,
                opset_version=OPSETS[""],
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise ExportError(f"The model {type(model).__name__} cannot be traced to ONNX: {error}") from error
    assert program is not None
    return _clean(program.model_proto)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its progress, and warns of packages and of its own internals that no user can do anything about."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _clean(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Without torch's notes on where each node came from: they hold source paths, and differ from machine to machine."""
    pin_versions(proto)
    del proto.metadata_props[:]
    proto.graph.name = "model"
    for item in [proto.graph, *proto.graph.node, *proto.graph.value_info, *proto.graph.input, *proto.graph.output]:
        del item.metadata_props[:]
        item.doc_string = ""
    del proto.graph.value_info[:]
    for value in [*proto.graph.input, *proto.graph.output]:
        dims = value.type.tensor_type.shape.dim
        dims[0].dim_param = "N"
        if value.name in ARRAYS and ARRAYS[value.name].varies:
            dims[1].dim_param = ARRAYS[value.name].varies
    onnx.checker.check_model(proto)
    return proto
