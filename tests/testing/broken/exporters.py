from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
import spox
import spox.opset.ai.onnx.v21 as op

from shopkit.errors import ExportError
from shopkit.exporters.onnx import OnnxExporter
from shopkit.exporters.settings import OnnxSettings
from shopkit.testing.exporters import WEIGHT
from tests.testing.broken.base import broken


class ComparesNothing(OnnxExporter):
    """Says nothing of how far the file is from the model."""

    def check(self, fitted, predictor):
        return {}


class Renames(OnnxExporter):
    """Leaves the run's file under a name that nothing looks for."""

    def export(self, fitted, folder):
        exported = super().export(fitted, folder)
        return replace(exported, path=exported.path.rename(folder / "mine.onnx"))


class WritesAnother(OnnxExporter):
    """Exports a model of its own, and compares it with nothing."""

    def export(self, fitted, folder):
        dense = spox.argument(spox.Tensor(np.float32, ("N", len(WEIGHT))))
        other = spox.build({"dense": dense}, {"scores": op.gemm(dense, op.const(-WEIGHT))})
        return super().export(replace(fitted, model=other), folder)

    def check(self, fitted, predictor):
        return {"one row": 0.0}


class Trusts(OnnxExporter):
    """Finds every file equal."""

    def check(self, fitted, predictor):
        return {"one row": 0.0}


class Litters(OnnxExporter):
    """Leaves a file where it fails."""

    def export(self, fitted, folder):
        try:
            return super().export(fitted, folder)
        except ExportError:
            (folder / "model.onnx").write_bytes(b"half")
            raise


class Signs(OnnxExporter):
    """Writes something new into every file."""

    def export(self, fitted, folder):
        return super().export(replace(fitted, metadata={"at": uuid.uuid4().hex}), folder)


BROKEN = {
    check: broken("exporters", target, OnnxSettings, message)
    for check, target, message in (
        ("check_exporters_compare_file_and_model", ComparesNothing, r"`checks` is empty: the file was not compared"),
        (
            "check_exporters_file_answers_as_the_model",
            WritesAnother,
            r"the file must answer 'probability' of 1 rows as the fitted model",
        ),
        ("check_exporters_refuse_a_file_that_differs", Trusts, r"must be refused with an ExportError, but it was exported"),
        ("check_exporters_are_deterministic", Signs, r"exporting the same pieces twice must give the same bytes"),
    )
}
BROKEN["check_exporters_refuse_pieces_that_do_not_fit"] = broken(
    "exporters", Litters, OnnxSettings, r"was refused, but model\.onnx was left behind", frozenset({"main"})
)
BROKEN["check_exporters_main_leaves_the_runs_file"] = broken(
    "exporters", Renames, OnnxSettings, r"`path` must be model\.onnx in the folder; it is mine\.onnx", frozenset({"main"})
)
