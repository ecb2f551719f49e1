"""An OpenVINO export, answering as any exported file does."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shopkit.errors import ArtifactError
from shopkit.runtime.artifact import Description, open_session
from shopkit.runtime.manifest import check_manifest
from shopkit.runtime.predictor import Predictor

FEATURES, MODEL, DECISION, DESCRIPTION = "features.onnx", "model.xml", "decision.onnx", "description.json"
PARTS = (FEATURES, MODEL, "model.bin", DECISION)
"""Files whose sha256 stands in the description."""
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
        ArtifactError: OpenVINO is not installed, the folder is not such an export or was damaged, or this machine has no such
            device or precision.
    """

    def __init__(self, folder: str | Path, *, device: str = "CPU", threads: int = 1, precision: str = "f32") -> None:
        folder = Path(folder)
        if not (folder / DESCRIPTION).is_file():
            raise ArtifactError(f"{folder} is not an OpenVINO export: it has no {DESCRIPTION}. Make one with exports=[openvino].")
        _check_parts(folder)
        openvino = require_openvino()
        description = Description.from_json((folder / DESCRIPTION).read_text(encoding="utf-8", errors="replace"), folder)
        features, decision = open_session(folder / FEATURES, threads or 1), open_session(folder / DECISION)
        options = {"INFERENCE_PRECISION_HINT": precision} | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
        chain = Chain(features, _compiled(openvino, folder, device, options), decision, description.facts.get("tensors"), folder)
        description.check(chain, folder)
        again = partial(type(self), folder, device=device, threads=threads, precision=precision)
        self._ready(folder, chain, description, {}, again)


def _compiled(openvino: Any, folder: Path, device: str, options: Mapping[str, Any]) -> Any:
    """
    Raises:
        ArtifactError: a file is missing or damaged, or this OpenVINO has no such device or precision.
    """
    for path in (folder / MODEL, (folder / MODEL).with_suffix(".bin")):
        if not path.is_file():
            raise ArtifactError(f"There is no file {path}. Copy the whole folder, or export it again.")
    core = openvino.Core()
    try:
        model = core.read_model(folder / MODEL)
    except RuntimeError as error:
        raise ArtifactError(
            f"{folder / MODEL} cannot be read by OpenVINO {openvino.__version__.split('-')[0]}: it, or the .bin beside it, may "
            f"be truncated or damaged ({_reason(error)}). Copy the folder again, or export it again."
        ) from error
    try:
        return core.compile_model(model, device, options)
    except RuntimeError as error:
        raise ArtifactError(
            f"{folder / MODEL} does not run with device={device!r} and {options}: {_reason(error)}. This OpenVINO has the "
            f"devices {', '.join(core.available_devices)}; precisions are f32, f16 and bf16."
        ) from error


def _reason(error: RuntimeError) -> str:
    """The line in which OpenVINO says it: those before name its source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__


class Chain:
    """The three, called as one ONNX Runtime session."""

    def __init__(self, features: Any, model: Any, decision: Any, tensors: Any, folder: Path) -> None:
        self.features, self.model, self.decision = features, model, decision
        # Called itself, a compiled model has one request, over which threads get each other's answers.
        self._requests = threading.local()
        self.get_outputs = decision.get_outputs
        self._columns = {value.name for value in features.get_inputs()}
        given, taken = {value.name for value in features.get_outputs()}, [value.names for value in model.inputs]
        scores = {name for value in model.outputs for name in value.names}
        wanted = set(tensors) if isinstance(tensors, list) and set(map(type, tensors)) == {str} else set()
        fits = wanted and wanted <= given & set().union(*taken) and all(wanted & names for names in taken)
        if not fits or "scores" not in scores or all(value.name != SCORES for value in decision.get_inputs()):
            raise ArtifactError(
                f"{folder}: its parts do not belong together. {FEATURES} gives {sorted(given)}, {MODEL} takes "
                f"{sorted(set().union(*taken))} and gives {sorted(scores)}, {DESCRIPTION} says {tensors!r}. Export it again."
            )
        self.tensors: list[str] = tensors

    def get_inputs(self) -> list[Any]:
        """Of the columns and options."""
        return [*self.features.get_inputs(), *(value for value in self.decision.get_inputs() if value.name != SCORES)]

    def run(self, names: Sequence[str] | None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        columns = {name: values for name, values in feed.items() if name in self._columns}
        options = {name: values for name, values in feed.items() if name not in self._columns}
        arrays = dict(zip(self.tensors, self.features.run(self.tensors, columns), strict=True))
        # ONNX Runtime's int64 is C's `long long`, which OpenVINO does not take for the `long` of the same size that it knows.
        if not hasattr(self._requests, "own"):
            self._requests.own = self.model.create_infer_request()
        scores = self._requests.own.infer({name: array.view(array.dtype.str) for name, array in arrays.items()})["scores"]
        answers: list[np.ndarray] = self.decision.run(names, {SCORES: np.asarray(scores, np.float32)} | options)
        return answers


def _check_parts(folder: Path) -> None:
    """Compare the parts of an export with what its description says of them, and that with the manifest of its run.

    Raises:
        ArtifactError: one was changed since.
    """
    text = (folder / DESCRIPTION).read_bytes()
    with check_manifest(folder / DESCRIPTION, text):
        try:
            files = json.loads(text).get("files")
        except (ValueError, AttributeError, RecursionError):  # damaged, which those say who read the rest of it
            return
        for name, expected in files.items() if isinstance(files, dict) else ():
            path = folder / name
            if name in PARTS and path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != expected:
                raise ArtifactError(
                    f"{path} is not the one that was exported (its sha256 is not that in {DESCRIPTION}). Copy the whole folder "
                    "again, or export it again."
                )
