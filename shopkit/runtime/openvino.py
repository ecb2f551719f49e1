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

    def run(self, names: Sequence[str] | None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        arrays = self.features.run(self.tensors, feed)
        scores = self.model(dict(zip(self.tensors, arrays, strict=True)))["scores"]
        answers: list[np.ndarray] = self.decision.run(names, {"scores": np.asarray(scores, np.float32)})
        return answers
