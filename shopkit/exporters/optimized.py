"""The file as ONNX Runtime would make it while it loads, made beforehand."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import onnx

from shopkit.exporters.base import Exported, Fitted
from shopkit.exporters.graph import compose
from shopkit.exporters.onnx import OnnxExporter
from shopkit.exporters.settings import OptimizedSettings
from shopkit.onnx_format import pin_versions
from shopkit.runs import replacing
from shopkit.runtime import Predictor


class OptimizedExporter(OnnxExporter):
    """Writes `model.optimized.onnx`, checked as `model.onnx` is, by its own tolerance."""

    settings: OptimizedSettings
    file = "model.optimized.onnx"

    def export(self, fitted: Fitted, folder: Path) -> Exported:
        plain = compose(fitted)
        model = optimized(plain, self.settings.level)
        path = folder / self.file
        with replacing(path) as temporary:
            temporary.write_bytes(model.SerializeToString(deterministic=True))
            checks = self.check(fitted, Predictor(temporary))
        facts = {"nodes": {"before": len(plain.graph.node), "after": len(model.graph.node)}, "domains": _domains(model)}
        return Exported(path, checks, facts)


def optimized(model: onnx.ModelProto, level: str) -> onnx.ModelProto:
    """What ONNX Runtime's own optimiser makes of a file on the CPU, with the file's description.

    Args:
        level: `basic` writes operators of ONNX only; `extended` also fused ones of `com.microsoft`. Its highest level arranges
            weights for the processor it runs on, and is left to loading.
    """
    import onnxruntime as ort

    levels: Mapping[str, ort.GraphOptimizationLevel] = {
        "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
        "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    }
    with tempfile.TemporaryDirectory(prefix="shopkit-") as folder:
        target = Path(folder) / "optimized.onnx"
        options = ort.SessionOptions()
        options.graph_optimization_level = levels[level]
        options.optimized_model_filepath = str(target)
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        made = onnx.load(target, load_external_data=False)
    used = {node.domain for node in made.graph.node} | {""}
    # It states every domain that it knows, used or not.
    kept = [opset for opset in made.opset_import if opset.domain in used]
    del made.opset_import[:]
    made.opset_import.extend(kept)
    del made.metadata_props[:]
    made.metadata_props.extend(model.metadata_props)
    pin_versions(made)
    return made


def _domains(model: onnx.ModelProto) -> list[str]:
    return sorted({node.domain or "ai.onnx" for node in model.graph.node})
