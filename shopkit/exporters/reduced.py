"""Exporters that spend a little exactness on speed or size: the model's part of the graph in 8 or 16 bits, the rest as it is.

Features and decision stay in full precision: they cost little, and a category looked up wrongly is not a small error.
"""

from __future__ import annotations

import logging
import tempfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from shopkit.errors import ArtifactError, ExportError
from shopkit.exporters.attention import simplify_attention
from shopkit.exporters.base import Exported, Exporter, Fitted, decided
from shopkit.exporters.footprint import footprint
from shopkit.exporters.graph import compose
from shopkit.exporters.settings import Fp16Settings, Int8Settings
from shopkit.onnx_format import hoist_constants
from shopkit.runs import replacing
from shopkit.runtime import Predictor
from shopkit.runtime.artifact import open_session
from shopkit.runtime.blocks import blocks
from shopkit.runtime.sequences import graph_feed
from shopkit.schema import INPUT_PREFIX, LENGTHS_INPUT

WORST_ROUNDING = 1e-4
"""Of a quality measured twice on equal answers."""
OF_PROBABILITIES = ("log_loss", "brier", "calibration_error")
"""Errors that are often so near to 0 that any change is large beside them: they are judged as shares are."""
FAR = 0.1
"""Mean difference, in standard deviations of the model's own answers, that is no rounding any more."""


class Reduced(Exporter):
    """Writes a file whose model is reduced by `reduce`, and measures what that costs on the validation part."""

    settings: Int8Settings | Fp16Settings
    file: str

    @abstractmethod
    def reduce(self, fitted: Fitted) -> onnx.ModelProto:
        """The model's graph, smaller or faster."""

    def export(self, fitted: Fitted, folder: Path) -> Exported:
        model = compose(replace(fitted, model=self.reduce(fitted)))
        path = folder / self.file
        with replacing(path) as temporary:
            temporary.write_bytes(model.SerializeToString(deterministic=True))
            try:
                predictor = Predictor(temporary)
            except ArtifactError as error:
                raise ExportError(
                    f"{self.file}: ONNX Runtime does not load what its own tools made of this model, so the file was not kept "
                    f"({error}). Choose another way to reduce it, e.g. mode: dynamic."
                ) from error
            checks, facts = self.check(fitted, predictor)
        return Exported(path, checks, facts)

    def check(self, fitted: Fitted, predictor: Predictor) -> tuple[dict[str, float], dict[str, Any]]:
        """Largest differences, and the quality before and after.

        Raises:
            ExportError: an answer that is not finite, or a loss of quality above `max_loss`.
        """
        rows = {name: values[: self.settings.check_rows] for name, values in fitted.held_out.items()}
        before = decided(fitted.task, fitted.reference(rows))
        after = predictor.answer(rows)
        checks: dict[str, float] = {}
        for output in fitted.task.outputs:
            answer, truth = after[output.name], before[output.name]
            if output.dtype == "float32":
                if not np.isfinite(answer).all():
                    raise ExportError(f"{self.file}: output '{output.name}' is not finite once reduced. The file was not kept.")
                difference = np.abs(answer.astype(np.float64) - truth)
                checks[output.name] = float(difference.max(initial=0.0))
                if len(truth) > 1 and float(difference.mean()) > FAR * float(truth.std()):
                    raise ExportError(
                        f"{self.file}: output '{output.name}' differs by {float(difference.mean()):.3g} on average once reduced, "
                        f"while the model's answers spread by {float(truth.std()):.3g}. The file was not kept."
                    )
            else:
                checks[f"changed {output.name}"] = float((answer != truth).mean()) if len(truth) else 0.0
        return checks, self._quality(fitted, before, after)

    def _quality(self, fitted: Fitted, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> dict[str, Any]:
        if fitted.quality is None:
            return {}
        first, second = fitted.quality(before), fitted.quality(after)
        for name, metric in fitted.task.described.items():
            if name not in first or not np.isfinite(first[name]):
                continue
            loss = first[name] - second[name] if metric.better == "higher" else second[name] - first[name]
            # Other errors have a unit of their own; they are judged relative to themselves.
            is_share = metric.better == "higher" or name in OF_PROBABILITIES
            allowed = self.settings.max_loss * (1.0 if is_share else max(abs(first[name]), 1e-12))
            if not loss <= allowed + WORST_ROUNDING:
                raise ExportError(
                    f"{self.file}: {metric.title} on {len(next(iter(before.values()))):,} validation rows goes from "
                    f"{first[name]:.4f} to {second[name]:.4f} once reduced, more than max_loss={self.settings.max_loss:g}. "
                    "The file was not kept. Keep the full precision, or allow more."
                )
        return {"quality": {"before": first, "after": second}}


class Int8Exporter(Reduced):
    """Writes `model.int8.onnx`: weights of matrix products as int8, by output channel (Jacob et al. 2018).

    `dynamic` measures the range of activations as it goes; `static` fixes it on validation rows, which suits convolutions.
    """

    settings: Int8Settings
    file = "model.int8.onnx"

    def reduce(self, fitted: Fitted) -> onnx.ModelProto:
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

        settings = self.settings
        feeds = self._calibration(fitted) if settings.mode == "static" else iter(())

        class Reader(CalibrationDataReader):  # type: ignore[misc]
            def get_next(self) -> dict[str, np.ndarray] | None:
                return next(feeds, None)

        with tempfile.TemporaryDirectory(prefix="shopkit-") as folder, _without_advice():
            source, target = Path(folder) / "model.onnx", Path(folder) / "int8.onnx"
            plain = onnx.ModelProto.FromString(fitted.model.SerializeToString())
            del plain.graph.value_info[:]  # shapes that the tracer noted confuse the quantiser
            hoist_constants(plain.graph)
            simplify_attention(plain)
            last = _last(plain.graph)
            onnx.save(plain, source)
            if settings.mode == "dynamic":
                quantize_dynamic(
                    source,
                    target,
                    op_types_to_quantize=["MatMul", "Gemm", *(["Gather"] if settings.embeddings else [])],
                    per_channel=settings.per_channel,
                    weight_type=QuantType.QInt8,
                )
            else:
                quantize_static(
                    source,
                    target,
                    Reader(),
                    quant_format=QuantFormat.QDQ,
                    per_channel=settings.per_channel,
                    op_types_to_quantize=["MatMul", "Gemm", "Conv", *(["Gather"] if settings.embeddings else [])],
                    nodes_to_exclude=[*last, *_of_two_activations(plain.graph)],
                    activation_type=QuantType.QInt8,
                    weight_type=QuantType.QInt8,
                )
            return onnx.load(target)

    def _calibration(self, fitted: Fitted) -> Iterator[dict[str, np.ndarray]]:
        """The model's inputs for the first held-out rows, block by block."""
        session = open_session(fitted.features.SerializeToString())
        columns = fitted.schema.of_role("feature")
        raw = {column.name: fitted.held_out[column.name][: self.settings.calibration_rows] for column in columns}
        inputs = {column.name: INPUT_PREFIX + column.name for column in columns}
        names = [value.name for value in fitted.model.graph.input]
        for rows in blocks(raw, columns, footprint(fitted)):
            feed = graph_feed({name: values[rows] for name, values in raw.items()}, columns, inputs, LENGTHS_INPUT)
            yield dict(zip(names, session.run(names, feed), strict=True))


class Fp16Exporter(Reduced):
    """Writes `model.fp16.onnx`: weights and arithmetic of the model in 16-bit floats, for GPUs."""

    settings: Fp16Settings
    file = "model.fp16.onnx"

    def reduce(self, fitted: Fitted) -> onnx.ModelProto:
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel

        plain = onnx.ModelProto.FromString(fitted.model.SerializeToString())
        reduced = OnnxModel(convert_float_to_float16(plain, keep_io_types=True))
        reduced.topological_sort()  # the casts it adds stand at the end
        model: onnx.ModelProto = reduced.model
        return model


def _of_two_activations(graph: onnx.GraphProto) -> list[str]:
    """Matrix products without a weight: `dynamic` leaves them as well, and ONNX Runtime 1.31 does not load all reduced ones."""
    constants = {tensor.name for tensor in graph.initializer}
    return [node.name for node in graph.node if node.op_type == "MatMul" and not constants & set(node.input)]


@contextmanager
def _without_advice() -> Iterator[None]:
    """The quantiser advises its own pre-processing by the root logger; what that would do is done here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _last(graph: onnx.GraphProto) -> list[str]:
    """The nodes that give the scores: the decision wants them in full precision."""
    outputs = {value.name for value in graph.output}
    for i, node in enumerate(graph.node):
        node.name = node.name or f"{node.op_type}_{i}"
    for node in reversed(graph.node):
        if node.op_type == "Identity" and node.output[0] in outputs:
            outputs.add(node.input[0])
    return [node.name for node in graph.node if outputs & set(node.output)]
