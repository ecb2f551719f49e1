"""What a row of a file takes of memory while it is answered, read off its graphs."""

from __future__ import annotations

import math

import onnx

from shopkit.exporters.base import Fitted
from shopkit.features import transform
from shopkit.runtime.blocks import Footprint

AT_ONCE = 4
"""Values of the largest size that are in memory at the same time, while one is made of the others."""
SOME_STEPS = 256
"""Where a row may have any number of steps, so many are looked at: what they take grows with them."""
LARGE = 1024
"""A constant of more values says nothing about shapes."""


def footprint(fitted: Fitted) -> Footprint:
    """The file's, by its texts and sequences and by the largest value inside its model."""
    columns = transform.footprint(fitted.features).columns
    steps = max(2, fitted.longest or SOME_STEPS)
    one, many = (largest_value(fitted.model, n_steps) for n_steps in (1, steps))
    row = AT_ONCE * max(one, 4 * fitted.task.n_outputs)
    return Footprint(columns, row, read=-(-AT_ONCE * (many - one) // (steps - 1)), longest=fitted.longest)


def largest_value(model: onnx.ModelProto, n_steps: int) -> int:
    """Bytes of the largest value that is made of one row of so many steps; of those whose shape can be told."""
    graph = onnx.GraphProto()
    for field in ("node", "input", "output"):
        getattr(graph, field).extend(getattr(model.graph, field))
    for value in graph.input:
        for at, dim in enumerate(value.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value"):
                dim.dim_value = n_steps if at else 1
    # Weights by their shapes alone: an encoder's would be copied otherwise, and larger ones refused.
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) > LARGE:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
        else:
            graph.initializer.append(tensor)
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    shapes = onnx.ModelProto(graph=graph, ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    constants = [node.output[0] for node in model.graph.node if node.op_type == "Constant"]
    weights = {tensor.name for tensor in model.graph.initializer} | {*constants}
    known = onnx.shape_inference.infer_shapes(shapes, data_prop=True).graph
    values = (*known.value_info, *known.input, *known.output)
    return max((_bytes(value) for value in values if value.name not in weights), default=0)


def _bytes(value: onnx.ValueInfoProto) -> int:
    """0 where the shape is not known in full."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or tensor.elem_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        return 0
    size = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
    return int(math.prod(dim.dim_value for dim in tensor.shape.dim) * size)
