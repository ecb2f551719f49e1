"""Contestants that are ONNX files: the exported one, those beside it, its pieces, and what any file with these columns costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from shopkit.bench.clock import Call, CannotError, Contestant, LeftOut
from shopkit.bench.cut import ELEMENTS, halves
from shopkit.bench.rows import Rows, as_frame
from shopkit.errors import ArtifactError
from shopkit.onnx_format import IR_VERSION, OPSETS
from shopkit.runtime import Predictor
from shopkit.runtime.artifact import open_session

CPU = "CPUExecutionProvider"
ACCELERATORS = {
    "CUDAExecutionProvider": "CUDA",
    "TensorrtExecutionProvider": "TensorRT",
    "CoreMLExecutionProvider": "CoreML",
    "DmlExecutionProvider": "DirectML",
    "ROCMExecutionProvider": "ROCm",
}
"""Execution providers that are tried where ONNX Runtime has them."""

FLOOR, BARE, FEATURES = "feeding floor", "bare model", "features alone"


class OfFile:
    """Contestants of one exported file.

    Args:
        path: a file that shopkit exported.
        rows: what they are asked about.
    """

    def __init__(self, path: Path, rows: Rows) -> None:
        self.path, self.rows = path, rows
        self.predictor = cache(lambda threads: Predictor(path, threads=threads))

    def contestants(self, name: str) -> Iterator[Contestant]:
        yield Contestant(name, "the whole file, columns to decision", "arrays", lambda n, threads: self.run(n, threads))
        yield Contestant(
            "Predictor", "the same through shopkit's Predictor: a dict for one row, a DataFrame for more", "DataFrame", self.call
        )
        yield Contestant(FLOOR, "a graph with the same inputs that computes next to nothing", "arrays", self.floor)

    def run(self, n_rows: int, threads: int, providers: Sequence[str] | None = None) -> Call:
        """The session with its inputs ready, block by block where the file asks for blocks."""
        try:
            predictor = Predictor(self.path, threads=threads, providers=providers) if providers else self.predictor(threads)
        except ArtifactError as error:  # of a provider: the file itself was opened before
            raise CannotError(str(error)) from error
        feeds, outputs = (
            list(predictor.feeds(self.rows.take(n_rows))),
            [value.name for value in predictor.session.get_outputs()],
        )
        return _each(predictor.session, outputs, feeds)

    def call(self, n_rows: int, threads: int) -> Call:
        predictor, frame = self.predictor(threads), as_frame(self.rows.take(n_rows))
        if n_rows > 1:
            return lambda: predictor(frame)
        row = {name: _plain(values[0]) for name, values in self.rows.take(1).items()}
        return lambda: predictor(row)

    def floor(self, n_rows: int, threads: int) -> Call:
        predictor = self.predictor(threads)
        session = open_session(idle([(v.name, v.type, v.shape) for v in predictor.session.get_inputs()]), threads)
        return _each(session, ["nothing"], list(predictor.feeds(self.rows.take(n_rows))))

    def accelerated(self, name: str) -> tuple[list[Contestant], list[LeftOut]]:
        """The same file on every accelerator that ONNX Runtime has here."""
        present = [provider for provider in ort.get_available_providers() if provider in ACCELERATORS]
        found = [
            Contestant(
                f"{name}, {ACCELERATORS[provider]}",
                f"the whole file with {provider}",
                "arrays",
                lambda n, threads, provider=provider: self.run(n, threads, [provider, CPU]),  # type: ignore[misc]
            )
            for provider in present
        ]
        missing = ", ".join(word for provider, word in ACCELERATORS.items() if provider not in present)
        return found, [LeftOut("accelerators", f"this ONNX Runtime has no {missing}")] if not present else []


def of_export(name: str, path: Path, rows: Rows) -> Contestant:
    """What an exporter of that name left beside the run's own file.

    Raises:
        CannotError: nothing here runs it.
    """
    if path.suffix == ".onnx":
        of_file = OfFile(path, rows)
        return Contestant(name, "an export beside it, columns to decision", "arrays", of_file.run)
    if name == "openvino":
        return Contestant(name, "features by ONNX Runtime, the model by OpenVINO", "arrays", _openvino(path, rows))
    if path.is_dir() and next(path.rglob("model.onnx"), None) is not None:
        raise CannotError("it holds the same model.onnx, for another server or page")
    raise CannotError("it is no model that a row could be given to")


def _openvino(path: Path, rows: Rows) -> Callable[[int, int], Call]:
    from shopkit.runtime.openvino import OpenVINOPredictor

    def prepare(n_rows: int, threads: int) -> Call:
        predictor = OpenVINOPredictor(path, threads=threads)
        feeds = list(predictor.feeds(rows.take(n_rows)))
        return lambda: [predictor.run(feed) for feed in feeds]

    return prepare


class OfHalves:
    """Contestants of a file's two halves: the features alone, and the model without them."""

    def __init__(self, of_file: OfFile, features: onnx.ModelProto, rest: onnx.ModelProto) -> None:
        self.of_file = of_file
        first, second = features.SerializeToString(), rest.SerializeToString()
        self.features, self.rest = cache(lambda threads: open_session(first, threads)), cache(lambda n: open_session(second, n))

    @classmethod
    def of(cls, of_file: OfFile) -> OfHalves:
        """
        Raises:
            CannotError: the file cannot be parted.
        """
        found = halves(onnx.load(of_file.path, load_external_data=False))
        if found is None:
            raise CannotError("features and model cannot be told apart in this file")
        return cls(of_file, *found)

    def contestants(self) -> Iterator[Contestant]:
        yield Contestant(FEATURES, "the features' half of the file: columns to tensors", "arrays", self._run_features)
        yield Contestant(BARE, "the other half: model and decision, fed with ready tensors", "tensors", self._run_rest)

    def _feeds(self, session: ort.InferenceSession, n_rows: int) -> list[dict[str, np.ndarray]]:
        names = {value.name for value in session.get_inputs()}
        feeds = self.of_file.predictor(1).feeds(self.of_file.rows.take(n_rows))
        return [{name: values for name, values in feed.items() if name in names} for feed in feeds]

    def _run_features(self, n_rows: int, threads: int) -> Call:
        session = self.features(threads)
        return _each(session, [value.name for value in session.get_outputs()], self._feeds(session, n_rows))

    def _run_rest(self, n_rows: int, threads: int) -> Call:
        session = self.rest(threads)
        return _each(session, [value.name for value in session.get_outputs()], self._tensors(n_rows))

    def _tensors(self, n_rows: int) -> list[dict[str, np.ndarray]]:
        """The inputs of the second half, block by block."""
        session, wanted = self.features(1), {value.name for value in self.rest(1).get_inputs()}
        names = [value.name for value in session.get_outputs()]
        predictor, found = self.of_file.predictor(1), []
        for feed in predictor.feeds(self.of_file.rows.take(n_rows)):
            given = {value.name: feed[value.name] for value in session.get_inputs()}
            answers = dict(zip(names, session.run(names, given), strict=True))
            found.append({name: values for name, values in (feed | answers).items() if name in wanted})
        return found


def _each(session: ort.InferenceSession, outputs: list[str], feeds: Sequence[Mapping[str, np.ndarray]]) -> Call:
    if len(feeds) == 1:
        return lambda: session.run(outputs, feeds[0])
    return lambda: [session.run(outputs, feed) for feed in feeds]


def idle(inputs: Sequence[tuple[str, str, Sequence[Any]]]) -> bytes:
    """A graph that takes these inputs (name, type and shape, in ONNX Runtime's words), and gives the rows of the first."""
    values = [onnx.helper.make_tensor_value_info(name, ELEMENTS[kind], list(shape) or None) for name, kind, shape in inputs]
    output = onnx.helper.make_tensor_value_info("nothing", onnx.TensorProto.INT64, [1])
    nodes = [onnx.helper.make_node("Shape", [inputs[0][0]], ["nothing"], start=0, end=1)]
    graph = onnx.helper.make_graph(nodes, "nothing", values, [output])
    opsets = [onnx.helper.make_opsetid("", OPSETS[""])]
    return bytes(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString())


def _plain(value: Any) -> Any:
    """As it stands in a row of JSON; an image stays an array."""
    if isinstance(value, np.ndarray):
        return value if value.ndim > 1 else value.tolist()
    return value.item() if isinstance(value, np.generic) else value
