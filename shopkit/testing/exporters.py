"""What every exporter promises, tried on a small pipeline written by hand: three raw columns, a linear model, a binary task."""

from __future__ import annotations

import math

import numpy as np
import onnx
import spox
import spox.opset.ai.onnx.ml.v4 as ml
import spox.opset.ai.onnx.v21 as op

from shopkit.component import MAIN
from shopkit.errors import ExportError
from shopkit.exporters.base import Exported, Exporter, Fitted, Raw, export_apart
from shopkit.fitting import outputs_of
from shopkit.runtime import Predictor
from shopkit.runtime.artifact import open_session
from shopkit.schema import INPUT_PREFIX, MISSING_TIME, Column, Schema
from shopkit.tasks.base import Task
from shopkit.testing.checks import applies
from shopkit.testing.data import raw_column
from shopkit.testing.subject import NotApplicable, Subject, as_objects

TOLERANCE = 1e-4
COLUMNS = (Column("price", "number"), Column("at", "time"), Column("color", "string"))
WEIGHT = np.array([[0.3], [-0.5], [0.8]], np.float32)
DAY = 86_400


def feature_graph() -> onnx.ModelProto:
    """Price, place in the day and code of the color, 0 where missing: `dense` (N, 3)."""
    price, at, color = (spox.argument(spox.Tensor(dtype, ("N",))) for dtype in (np.float32, np.int64, np.str_))
    zero, axis = op.const(np.float32(0)), op.const(np.array([1]))
    hour = op.div(op.cast(op.mod(at, op.const(np.int64(DAY))), to=np.float32), op.const(np.float32(DAY)))
    known_hour = op.where(op.equal(at, op.const(np.int64(MISSING_TIME))), zero, hour)
    code = ml.label_encoder(color, keys_strings=["red", "blue"], values_floats=[1.0, 2.0], default_float=0.0)
    parts = [op.where(op.isnan(price), zero, price), known_hour, code]
    dense = op.concat([op.unsqueeze(part, axis) for part in parts], axis=1)
    inputs = zip(COLUMNS, (price, at, color), strict=True)
    return spox.build({INPUT_PREFIX + column.name: argument for column, argument in inputs}, {"dense": dense})


def fitted(subject: Subject, exported_bias: float = 0.0, model_input: str = "dense") -> Fitted:
    """The pipeline, fitted. What is exported can be made to differ from the fitted model by a bias or in its inputs."""
    features = feature_graph()
    session = open_session(features.SerializeToString())

    def reference(raw: Raw) -> np.ndarray:
        (dense,) = session.run(["dense"], {INPUT_PREFIX + name: values for name, values in raw.items()})
        return np.asarray(dense @ WEIGHT, np.float32)

    rng = subject.rng
    held_out = {column.name: raw_column(column.kind, rng) for column in COLUMNS}
    task: Task = subject.registry.build(subject.registry.choice("tasks", "binary"))
    scores = reference(held_out)
    bought = scores[:, 0] + rng.normal(size=len(scores)) > np.median(scores)
    target = np.array(["no", "yes"], object)[bought.astype(int)]
    task.fit_target(target)
    task.fit_decision(scores, task.encode(target), None)
    argument = spox.argument(spox.Tensor(np.float32, ("N", len(WEIGHT))))
    answer = op.gemm(argument, op.const(WEIGHT), op.const(np.array([exported_bias], np.float32)))
    model = spox.build({model_input: argument}, {"scores": answer})
    schema = Schema((Column("customer", "string", "key"), *COLUMNS))
    return Fitted(schema, features, model, task, reference, held_out, {"experiment": "conformance"})


def _export(subject: Subject, pipeline: Fitted, folder: str) -> Exported:
    path = subject.folder / folder
    exporter: Exporter = subject.build()
    if MAIN not in subject.tags:
        return export_apart(exporter, pipeline, path)
    path.mkdir()
    return exporter.export(pipeline, path)


def check_exporters_compare_file_and_model(subject: Subject) -> None:
    """The exporter leaves a file in the folder and says how far it is from the fitted model: close, in every situation."""
    exported = _export(subject, fitted(subject), "whole")
    subject.require(
        exported.path.exists() and exported.path.is_relative_to(subject.folder / "whole"),
        f"`path` must be the folder or what was left in it; it is {exported.path}.",
    )
    subject.require(bool(exported.checks), "`checks` is empty: the file was not compared with the fitted model.")
    far = {name: value for name, value in exported.checks.items() if not (math.isfinite(value) and 0 <= value <= TOLERANCE)}
    subject.require(not far, f"`checks` must be differences from 0 to {TOLERANCE:g}; it says {far}.")


@applies("main")
def check_exporters_main_leaves_the_runs_file(subject: Subject) -> None:
    """An exporter tagged `main` leaves the file `model.onnx`, which the run is measured and served by."""
    exported = _export(subject, fitted(subject), "whole")
    subject.require(
        exported.path.name == "model.onnx" and exported.path.is_file(),
        f"it has the tag main, so `path` must be model.onnx in the folder; it is {exported.path.name}.",
    )


def check_exporters_file_answers_as_the_model(subject: Subject) -> None:
    """The file, loaded back by the runtime, decides as the fitted model does, for one row and for many."""
    pipeline = fitted(subject)
    exported = _export(subject, pipeline, "whole")
    if exported.path.suffix != ".onnx":
        raise NotApplicable(f"{exported.path.name} is not an .onnx file, which the runtime could load")
    predictor = Predictor(exported.path)
    for rows in (slice(0, 1), slice(None)):
        raw = {name: values[rows] for name, values in pipeline.held_out.items()}
        expected = outputs_of(pipeline.task, pipeline.reference(raw))
        answers = predictor.run({predictor.description.inputs[name]: values for name, values in raw.items()})
        for name, values in expected.items():
            law = f"the file must answer '{name}' of {len(values)} rows as the fitted model does"
            subject.require_equal(as_objects(answers[name]), as_objects(values), law, TOLERANCE)


def check_exporters_refuse_a_file_that_differs(subject: Subject) -> None:
    """A graph that does not answer as the fitted model is refused with an ExportError, and nothing is left behind."""
    _require_refused(subject, fitted(subject, exported_bias=0.5), "a graph that differs from the fitted model")


def check_exporters_refuse_pieces_that_do_not_fit(subject: Subject) -> None:
    """A model that wants inputs the features do not give is refused with an ExportError, and nothing is left behind."""
    _require_refused(subject, fitted(subject, model_input="ids"), "a model that wants other inputs than the features give")


def _require_refused(subject: Subject, broken: Fitted, what: str) -> None:
    folder = subject.folder / "broken"
    try:
        _export(subject, broken, "broken")
    except ExportError:
        left = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        subject.require(not left, f"{what} was refused, but {', '.join(left)} was left behind.")
        return
    except Exception as error:
        subject.fail(f"{what} must be refused with an ExportError, but it raised {type(error).__name__}: {error}")
    subject.fail(f"{what} must be refused with an ExportError, but it was exported.")


def check_exporters_are_deterministic(subject: Subject) -> None:
    """Exporting the same pieces twice gives the same bytes, so that a run's seal can be repeated."""
    first, second = (_export(subject, fitted(subject), folder).path for folder in ("one", "other"))
    if first.is_dir():
        raise NotApplicable("it leaves a folder")
    subject.require(first.read_bytes() == second.read_bytes(), "exporting the same pieces twice must give the same bytes.")
