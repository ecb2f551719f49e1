"""The model as OpenVINO reads it. OpenVINO has no operators for text, so the features stay an ONNX file, and the decision too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import spox

from shopkit.errors import ExportError
from shopkit.exporters.base import Exported, Exporter, Fitted, decided
from shopkit.exporters.graph import compose
from shopkit.exporters.settings import OpenVINOSettings
from shopkit.onnx_format import pin_versions
from shopkit.runs import replacing_folder
from shopkit.runtime.artifact import METADATA_KEY
from shopkit.runtime.openvino import DECISION, DESCRIPTION, FEATURES, MODEL, OpenVINOPredictor, require_openvino
from shopkit.schema import INPUT_PREFIX, LENGTHS_INPUT


class OpenVINOExporter(Exporter):
    """Writes `openvino/`: `features.onnx` (raw columns → tensors, for ONNX Runtime), `model.xml` and `model.bin` (tensors →
    scores), `decision.onnx` (scores → outputs) and `description.json`. `shopkit.runtime.openvino.OpenVINOPredictor` runs them."""

    settings: OpenVINOSettings

    def export(self, fitted: Fitted, folder: Path) -> Exported:
        openvino = require_openvino()
        whole = compose(fitted)
        facts = json.loads(next(entry.value for entry in whole.metadata_props if entry.key == METADATA_KEY))
        columns = fitted.schema.of_role("feature")
        facts["inputs"] = {column.name: INPUT_PREFIX + column.name for column in columns}
        facts["lengths"] = LENGTHS_INPUT if any(column.sequence for column in columns) else ""
        facts["tensors"] = [value.name for value in fitted.model.graph.input]
        with replacing_folder(folder / "openvino") as temporary:
            (temporary / FEATURES).write_bytes(fitted.features.SerializeToString(deterministic=True))
            try:
                model = openvino.Core().read_model(fitted.model.SerializeToString())
            except RuntimeError as error:
                reason = str(error).strip().splitlines()[-1]
                raise ExportError(f"exporter openvino: OpenVINO cannot read this model: {reason}") from error
            openvino.save_model(model, temporary / MODEL, compress_to_fp16=False)
            (temporary / DECISION).write_bytes(self._decision(fitted))
            text = json.dumps(facts, sort_keys=True, ensure_ascii=False, indent=1)
            (temporary / DESCRIPTION).write_text(text, encoding="utf-8")
            checks = self.check(fitted, OpenVINOPredictor(temporary))
        return Exported(folder / "openvino", checks)

    def _decision(self, fitted: Fitted) -> bytes:
        import ndonnx as ndx

        scores = spox.argument(spox.Tensor(np.float32, ("N", fitted.task.n_outputs)))
        answers = fitted.task.decide(ndx.asarray(scores))
        outputs = {output.name: answers[output.name].unwrap_spox() for output in fitted.task.outputs}
        model = spox.build({"scores": scores}, outputs)
        pin_versions(model)
        return bytes(model.SerializeToString(deterministic=True))

    def check(self, fitted: Fitted, predictor: OpenVINOPredictor) -> dict[str, float]:
        """Largest difference from the fitted model, for many rows and for one.

        Raises:
            ExportError: a difference beyond the tolerance.
        """
        checks = {}
        for situation, n_rows in (("many rows", self.settings.check_rows), ("one row", 1)):
            raw = {name: values[:n_rows] for name, values in fitted.held_out.items()}
            expected = decided(fitted.task, fitted.reference(raw))
            got = predictor.run(predictor.feed(raw))
            largest = 0.0
            for output in fitted.task.outputs:
                if output.dtype == "float32":
                    difference = np.abs(got[output.name].astype(np.float64) - expected[output.name])
                    allowed = self.settings.absolute_tolerance + self.settings.relative_tolerance * np.abs(expected[output.name])
                    if not (difference <= allowed).all():
                        raise ExportError(
                            f"exporter openvino, check '{situation}': output '{output.name}' differs by up to "
                            f"{float(difference.max()):.2g} from the model. The files were not kept."
                        )
                    largest = max(largest, float(difference.max(initial=0.0)))
            checks[situation] = largest
        return checks
