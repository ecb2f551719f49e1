"""A model repository folder for NVIDIA Triton, and any server of the KServe protocol that reads one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import ndonnx as ndx

from shopkit.errors import ExportError
from shopkit.exporters.base import Exported, Exporter, Fitted
from shopkit.exporters.onnx import OnnxExporter
from shopkit.exporters.settings import TritonSettings
from shopkit.runtime import Predictor
from shopkit.tasks.base import Input, Task

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
        served = replace(fitted, task=cast(Task, _Served(fitted.task))) if fitted.task.inputs else fitted
        exported = OnnxExporter(fitted.gate).export(served, model / "1")
        config = configuration(name, Predictor(exported.path), self.settings.max_batch_size)
        (model / "config.pbtxt").write_text(config, encoding="utf-8")
        return Exported(folder, exported.checks)


class _Served:
    """A task each of whose options is a list, of one value where the task's own is a single one: Triton serves no scalars."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._single = {option.name for option in task.inputs if not option.shape}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    @property
    def inputs(self) -> tuple[Input, ...]:
        return tuple(
            replace(option, shape=(1,), default=[option.default]) if option.name in self._single else option
            for option in self._task.inputs
        )

    def decide(self, scores: ndx.Array, **options: ndx.Array) -> dict[str, ndx.Array]:
        return self._task.decide(scores, **{n: ndx.squeeze(v, 0) if n in self._single else v for n, v in options.items()})


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
