"""Exporters that spend a little exactness on speed or size: the model's part of the graph in 8 or 16 bits, the rest as it is.

Features and decision stay in full precision: they cost little, and a category looked up wrongly is not a small error.
"""

from __future__ import annotations

import logging
import tempfile
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from shopkit.errors import ArtifactError, ExportError, ShopkitError
from shopkit.exporters.attention import simplify_attention
from shopkit.exporters.base import Change, Exported, Exporter, Fitted, Outputs, deciding, require_rows
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
from shopkit.tasks.base import Metric

JUDGED = ("log_loss", "brier", "calibration_error")
"""Errors of probabilities, judged beside the task's first metric. They are often so near to 0 that any change is large beside
them, so they are judged as shares are; other errors, which have a unit, relative to themselves."""
BLOCK_ROWS = 64
"""Rows that the quantiser looks at together."""


class Reduced(Exporter):
    """Writes a file whose model is reduced by `reduce`, and measures what that costs on the validation part."""

    settings: Int8Settings | Fp16Settings
    file: str
    kind: int
    """Type of the tensors that it makes, in ONNX's numbers."""

    @abstractmethod
    def reduce(self, fitted: Fitted) -> onnx.ModelProto:
        """The model's graph, smaller or faster."""

    def export(self, fitted: Fitted, folder: Path) -> Exported:
        """
        Raises:
            ExportError: nothing in the model can be reduced, ONNX Runtime's tools or its loading fail, or the file answers worse
                than allowed. Nothing is left behind.
        """
        model = compose(replace(fitted, model=self._reduced(fitted)))
        path = folder / self.file
        with replacing(path) as temporary:
            temporary.write_bytes(model.SerializeToString(deterministic=True))
            try:
                predictor = Predictor(temporary)
            except ArtifactError as error:
                raise self._refused("ONNX Runtime does not load what its own tools made of this model", error) from error
            checks, facts = self.check(fitted, predictor)
        return Exported(path, checks, facts)

    def _reduced(self, fitted: Fitted) -> onnx.ModelProto:
        try:
            model = self.reduce(fitted)
        except ShopkitError:
            raise
        except Exception as error:  # the tools raise whatever they run into
            raise self._refused("ONNX Runtime's tools cannot reduce this model", error) from error
        if not any(tensor.data_type == self.kind for tensor in model.graph.initializer):
            raise ExportError(
                f"{self.file}: nothing in this model can be reduced ({self.reads}), so the file would be that of the full "
                "precision. Leave it out of exports."
            )
        return model

    def _refused(self, what: str, error: Exception) -> ExportError:
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        return ExportError(f"{self.file}: {what} ({type(error).__name__}: {reason}). The file was not kept. {self.advice}")

    @property
    @abstractmethod
    def reads(self) -> str:
        """What it looks for in a model, in words."""

    @property
    def advice(self) -> str:
        """What to do where it fails."""
        return "Leave it out of exports."

    def check(self, fitted: Fitted, predictor: Predictor) -> tuple[dict[str, float], dict[str, Any]]:
        """Largest differences, and the quality before and after.

        Raises:
            ExportError: there are no rows to compare on, an answer that is not finite, answers further from the model's than
                `max_difference`, or a loss of quality above `max_loss`.
        """
        rows = {name: values[: self.settings.check_rows] for name, values in fitted.held_out.items()}
        require_rows(rows)
        before = deciding(fitted.task)(fitted.reference(rows))
        after = predictor.answer(rows)
        checks: dict[str, float] = {}
        for output in fitted.task.outputs:
            answer, truth = after[output.name], before[output.name]
            if output.dtype == "float32":
                if not np.isfinite(answer).all():
                    raise ExportError(f"{self.file}: output '{output.name}' is not finite once reduced. The file was not kept.")
                difference = np.abs(answer.astype(np.float64) - truth)
                checks[output.name] = float(difference.max(initial=0.0))
                if len(truth) > 1 and float(difference.mean()) > self.settings.max_difference * float(truth.std()):
                    raise ExportError(
                        f"{self.file}: output '{output.name}' differs by {float(difference.mean()):.3g} on average once reduced, "
                        f"more than max_difference={self.settings.max_difference:g} of the spread of the model's answers, "
                        f"{float(truth.std()):.3g}. The file was not kept."
                    )
            else:
                checks[f"changed {output.name}"] = float((answer != truth).mean())
        return checks, self._quality(fitted, before, after)

    def _quality(self, fitted: Fitted, before: Outputs, after: Outputs) -> dict[str, Any]:
        if fitted.changes is None:
            return {}
        changes = {name: change for name, change in fitted.changes(before, after).items() if np.isfinite(change.before)}
        known = [name for name in fitted.task.described if name in changes]
        for name in (name for name in known if name in (known[0], *JUDGED)):
            self._judge(fitted.task.described[name], name, changes[name], len(next(iter(before.values()))))
        first, second = ({name: getattr(change, which) for name, change in changes.items()} for which in ("before", "after"))
        return {"quality": {"before": first, "after": second}}

    def _judge(self, metric: Metric, name: str, change: Change, n_rows: int) -> None:
        """Of the losses that the rows leave open, the smallest is held against the limit: a few labels tip by chance."""
        least = -change.high if metric.better == "higher" else change.low
        is_share = metric.better == "higher" or name in JUDGED
        allowed = self.settings.max_loss * (1.0 if is_share else abs(change.before))
        if not (np.isfinite(change.after) and least <= allowed):
            raise ExportError(
                f"{self.file}: {metric.title} on {n_rows:,} validation rows goes from {change.before:.4f} to {change.after:.4f} "
                f"once reduced, a loss of {least:.4f} at least (in 19 of 20 resamples), more than "
                f"max_loss={self.settings.max_loss:g} allows. The file was not kept. Keep the full precision, or allow more."
            )


class Int8Exporter(Reduced):
    """Writes `model.int8.onnx`: weights of matrix products as int8, by output channel (Jacob et al. 2018).

    `dynamic` measures the range of activations as it goes; `static` fixes it on training rows, which suits convolutions.
    """

    settings: Int8Settings
    file = "model.int8.onnx"
    kind = onnx.TensorProto.INT8

    @property
    def reads(self) -> str:
        more = " or convolution" if self.settings.mode == "static" else ""
        table = ", nor an embedding table" if self.settings.embeddings else ""
        return f"it has no matrix product{more} with a weight{table}"

    @property
    def advice(self) -> str:
        return super().advice if self.settings.mode == "dynamic" else "Choose mode: dynamic, or leave it out of exports."

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
        """The model's inputs for training rows, block by block.

        Raises:
            ExportError: there are no training rows.
        """
        raw = {} if fitted.training is None else fitted.training(self.settings.calibration_rows)
        if not len(next(iter(raw.values()), ())):
            raise ExportError(f"{self.file}: mode static needs training rows to fix ranges by, and there are none.")
        session = open_session(fitted.features.SerializeToString())
        columns = fitted.schema.of_role("feature")
        inputs = {column.name: INPUT_PREFIX + column.name for column in columns}
        names = [value.name for value in fitted.model.graph.input]
        for rows in blocks(raw, columns, footprint(fitted)):
            feed = graph_feed({name: values[rows] for name, values in raw.items()}, columns, inputs, LENGTHS_INPUT)
            yield dict(zip(names, session.run(names, feed), strict=True))


class Fp16Exporter(Reduced):
    """Writes `model.fp16.onnx`: weights and arithmetic of the model in 16-bit floats, for GPUs."""

    settings: Fp16Settings
    file = "model.fp16.onnx"
    kind = onnx.TensorProto.FLOAT16
    reads = "it has no weights in 32-bit floats"

    def reduce(self, fitted: Fitted) -> onnx.ModelProto:
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel

        plain = onnx.ModelProto.FromString(fitted.model.SerializeToString())
        hoist_constants(plain.graph)
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
