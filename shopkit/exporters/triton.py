"""A model repository folder for NVIDIA Triton, and any server of the KServe protocol that reads one."""

from __future__ import annotations

import json
from pathlib import Path

from shopkit.errors import ExportError
from shopkit.exporters.base import Exported, Exporter, Fitted
from shopkit.exporters.onnx import OnnxExporter
from shopkit.exporters.settings import TritonSettings
from shopkit.runtime import Predictor

_TYPES = {
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(int64)": "TYPE_INT64",
    "tensor(string)": "TYPE_STRING",
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
}


class TritonExporter(Exporter):
    """Writes a model repository: `<name>/config.pbtxt` and `<name>/1/model.onnx`."""

    settings: TritonSettings

    def export(self, fitted: Fitted, folder: Path) -> Exported:
        name = self.settings.model_name or str(fitted.metadata.get("experiment", "model"))
        model = folder / name
        (model / "1").mkdir(parents=True)
        exported = OnnxExporter(fitted.gate).export(fitted, model / "1")
        config = configuration(name, Predictor(exported.path), self.settings.max_batch_size)
        (model / "config.pbtxt").write_text(config, encoding="utf-8")
        return Exported(folder, exported.checks)


def configuration(name: str, predictor: Predictor, max_batch_size: int) -> str:
    """The text of `config.pbtxt`.

    The rows are the first dimension of every tensor and Triton leaves it to itself (`max_batch_size: 0`), unless dynamic batching
    is asked for: with `max_batch_size` above 0 every tensor is [rows, 1] there and `reshape` takes the 1 away again.

    Raises:
        ExportError: batches of a file whose options hold for all rows of a call.
    """
    if max_batch_size and predictor.description.options:
        options = ", ".join(option["name"] for option in predictor.description.options)
        raise ExportError(
            f"exporter triton: max_batch_size={max_batch_size} lets the server join rows of several callers, but this file takes "
            f"options that hold for all rows of a call ({options}). Leave max_batch_size at 0."
        )
    lines = [f"name: {json.dumps(name)}", 'platform: "onnxruntime_onnx"', f"max_batch_size: {max_batch_size}"]
    for what, values in (("input", predictor.session.get_inputs()), ("output", predictor.session.get_outputs())):
        for value in values:
            dims = [dim if isinstance(dim, int) else -1 for dim in value.shape]
            if max_batch_size:
                dims = dims[1:]
            shape = f"dims: [{', '.join(map(str, dims or [1]))}]"
            reshape = ", reshape: { shape: [] }" if not dims else ""
            lines.append(f"{what} [ {{ name: {json.dumps(value.name)}, data_type: {_TYPES[value.type]}, {shape}{reshape} }} ]")
    if max_batch_size:
        lines.append("dynamic_batching { max_queue_delay_microseconds: 500 }")
    lines.append("instance_group [ { kind: KIND_CPU } ]")
    return "\n".join(lines) + "\n"
