"""The model as OpenVINO reads it. OpenVINO has no operators for text, so the features stay an ONNX file, and the decision too."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import spox

from shopkit.errors import ExportError
from shopkit.exporters.base import Exported, Exporter, Fitted
from shopkit.exporters.graph import OPTION_PREFIX, compose, option_argument
from shopkit.exporters.onnx import OnnxExporter
from shopkit.exporters.settings import OpenVINOSettings
from shopkit.onnx_format import pin_versions
from shopkit.runs import file_hash
from shopkit.runtime.artifact import METADATA_KEY
from shopkit.runtime.openvino import DECISION, DESCRIPTION, FEATURES, MODEL, PARTS, SCORES, OpenVINOPredictor, require_openvino
from shopkit.schema import INPUT_PREFIX, LENGTHS_INPUT


class OpenVINOExporter(Exporter):
    """Writes `features.onnx` (raw columns → tensors, for ONNX Runtime), `model.xml` and `model.bin` (tensors →
    scores), `decision.onnx` (scores → outputs) and `description.json`. `shopkit.runtime.openvino.OpenVINOPredictor` runs them."""

    settings: OpenVINOSettings

    def export(self, fitted: Fitted, folder: Path) -> Exported:
        openvino = require_openvino()
        whole = compose(fitted)
        facts = json.loads(next(entry.value for entry in whole.metadata_props if entry.key == METADATA_KEY))
        columns = fitted.schema.of_role("feature")
        facts["inputs"] = {column.name: INPUT_PREFIX + column.name for column in columns}
        facts["lengths"] = LENGTHS_INPUT if any(column.sequence for column in columns) else ""
        for option in facts.get("options", []):
            option["input"] = OPTION_PREFIX + option["name"]
        (folder / FEATURES).write_bytes(fitted.features.SerializeToString(deterministic=True))
        try:
            model = openvino.Core().read_model(fitted.model.SerializeToString())
        except RuntimeError as error:
            lacking = re.search(r"No conversion rule found for operations: (.+)", str(error))
            reason = f"it lacks {lacking[1]}" if lacking else str(error).strip().splitlines()[-1]
            raise ExportError(
                f"exporter openvino: OpenVINO cannot read this model: {reason}. Leave it out of exports; model.onnx runs in "
                "ONNX Runtime."
            ) from error
        # What no operator reads is no input of OpenVINO's model.
        taken = set().union(*(port.names for port in model.inputs))
        facts["tensors"] = [value.name for value in fitted.model.graph.input if value.name in taken]
        openvino.save_model(model, folder / MODEL, compress_to_fp16=False)
        (folder / DECISION).write_bytes(self._decision(fitted))
        facts["files"] = {name: file_hash(folder / name) for name in PARTS}
        text = json.dumps(facts, sort_keys=True, ensure_ascii=False, indent=1)
        (folder / DESCRIPTION).write_text(text, encoding="utf-8")
        checks = self.check(fitted, OpenVINOPredictor(folder))
        return Exported(folder, checks)

    def _decision(self, fitted: Fitted) -> bytes:
        import ndonnx as ndx

        task = fitted.task
        scores = spox.argument(spox.Tensor(np.float32, ("N", task.n_outputs)))
        options = {option.name: option_argument(option) for option in task.inputs}
        answers = task.decide(ndx.asarray(scores), **options)
        # An output may be called `scores` too.
        inputs = {SCORES: scores} | {OPTION_PREFIX + name: option.unwrap_spox() for name, option in options.items()}
        model = spox.build(inputs, {output.name: answers[output.name].unwrap_spox() for output in task.outputs})
        pin_versions(model)
        return bytes(model.SerializeToString(deterministic=True))

    def check(self, fitted: Fitted, predictor: OpenVINOPredictor) -> dict[str, float]:
        """As the `onnx` exporter does, with the tolerances of this one.

        Raises:
            ExportError: an answer differs beyond the tolerance.
        """
        try:
            return OnnxExporter(self.settings).check(fitted, predictor)
        except ExportError as error:
            raise ExportError(f"exporter openvino: {error}") from error
