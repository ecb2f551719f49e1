"""An OpenVINO export, answering as any exported file does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shopkit.errors import ArtifactError
from shopkit.runtime.artifact import Description, open_session
from shopkit.runtime.predictor import Predictor

FEATURES, MODEL, DECISION, DESCRIPTION = "features.onnx", "model.xml", "decision.onnx", "description.json"
SCORES = "model.scores"
"""Name of the decision's input for what the model gives."""


def require_openvino() -> Any:
    """The module `openvino`.

    Raises:
        ArtifactError: it is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise ArtifactError('OpenVINO is not installed. Install it with: pip install "shopkit[openvino]"') from error
    return openvino


class OpenVINOPredictor(Predictor):
    """Features by ONNX Runtime, the model by OpenVINO, the decision by ONNX Runtime.

    Args:
        folder: what the exporter `openvino` left.
        device: an OpenVINO device, e.g. `CPU`, `GPU`, `NPU`.
        threads: of the features and of OpenVINO's CPU; 0 leaves the latter to OpenVINO.
        precision: OpenVINO's inference precision; `f32` answers as the fitted model does, `bf16` and `f16` are faster where
            the device has them.

    Raises:
        ArtifactError: OpenVINO is not installed, or the folder is not such an export.
    """

    def __init__(self, folder: str | Path, *, device: str = "CPU", threads: int = 1, precision: str = "f32") -> None:
        folder = Path(folder)
        if not (folder / DESCRIPTION).is_file():
            raise ArtifactError(f"{folder} is not an OpenVINO export: it has no {DESCRIPTION}. Make one with exports=[openvino].")
        openvino = require_openvino()
        options = {"INFERENCE_PRECISION_HINT": precision} | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
        compiled = openvino.Core().compile_model(folder / MODEL, device, options)
        description = Description.from_json((folder / DESCRIPTION).read_text(encoding="utf-8"), folder)
        chain = Chain(
            open_session(folder / FEATURES, threads or 1),
            compiled,
            open_session(folder / DECISION),
            description.facts["tensors"],
        )
        self._ready(folder, chain, description, {})


class Chain:
    """The three, called as one ONNX Runtime session."""

    def __init__(self, features: Any, model: Any, decision: Any, tensors: Sequence[str]) -> None:
        self.features, self.model, self.decision = features, model, decision
        self.tensors = list(tensors)
        self.get_inputs, self.get_outputs = features.get_inputs, decision.get_outputs
        self._columns = {value.name for value in features.get_inputs()}

    def run(self, names: Sequence[str] | None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        columns = {name: values for name, values in feed.items() if name in self._columns}
        options = {name: values for name, values in feed.items() if name not in self._columns}
        arrays = dict(zip(self.tensors, self.features.run(self.tensors, columns), strict=True))
        # ONNX Runtime's int64 is C's `long long`, which OpenVINO does not take for the `long` of the same size that it knows.
        scores = self.model({name: array.view(array.dtype.str) for name, array in arrays.items()})["scores"]
        answers: list[np.ndarray] = self.decision.run(names, {SCORES: np.asarray(scores, np.float32)} | options)
        return answers
