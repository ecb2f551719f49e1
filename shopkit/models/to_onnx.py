"""A fitted torch model as an ONNX graph."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import onnx
import torch
from torch import Tensor, nn

from shopkit.errors import ExportError
from shopkit.features.base import FeatureSpec
from shopkit.features.sequences import SEQUENCE_TENSORS
from shopkit.models.base import Model
from shopkit.onnx_format import OPSETS, pin_versions
from shopkit.schema import LENGTHS


class _Positional(nn.Module):
    """Inputs one by one instead of a dict, as the tracer names them."""

    def __init__(self, module: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.module = module
        self.names = names

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.module(dict(zip(self.names, inputs, strict=True)))  # type: ignore[no-any-return]


def to_onnx(model: Model, features: FeatureSpec) -> onnx.ModelProto:
    """Inputs `dense` float32 (N, n_dense), `ids` int64 (N, n_ids), or those of them there are; output `scores` float32
    (N, n_outputs), for any N. Of sequences, `sequence_dense` and `sequence_ids` (N, T, width) and `lengths` (N,), for any T.

    The same weights give the same bytes.

    Raises:
        ExportError: the model cannot be traced.
    """
    rows, steps = torch.export.Dim("N", min=1), torch.export.Dim("T", min=1)
    inputs: dict[str, Tensor] = {}
    shapes: list[dict[int, torch.export.Dim]] = []
    for tensor, width in features.widths.items():
        dtype = torch.float32 if tensor.endswith("dense") else torch.int64
        sequence = tensor in SEQUENCE_TENSORS
        inputs[tensor] = torch.zeros((2, 3, width) if sequence else (2, width), dtype=dtype)
        shapes.append({0: rows, 1: steps} if sequence else {0: rows})
    if features.has_sequences:
        inputs[LENGTHS] = torch.tensor([3, 2])
        shapes.append({0: rows})
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
        value.type.tensor_type.shape.dim[0].dim_param = "N"
        if value.name in SEQUENCE_TENSORS:
            value.type.tensor_type.shape.dim[1].dim_param = "T"
    onnx.checker.check_model(proto)
    return proto
