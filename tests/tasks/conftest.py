from __future__ import annotations

from collections.abc import Callable

import ndonnx as ndx
import numpy as np
import onnxruntime as ort
import pytest

from shopkit.tasks.base import Task

Answer = Callable[[Task, np.ndarray], dict[str, np.ndarray]]


@pytest.fixture
def answer() -> Answer:
    """Scores (N, n_outputs) → the outputs of the task's traced decision, run by ONNX Runtime."""

    def run(task: Task, scores: np.ndarray) -> dict[str, np.ndarray]:
        argument = ndx.argument(shape=("N", task.n_outputs), dtype=ndx.float32)
        named = task.decide(argument)
        graph = ndx.build({"scores": argument}, named)
        assert [(entry.domain, entry.version) for entry in graph.opset_import] == [("", 21)]
        assert list(named) == [output.name for output in task.outputs]
        session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        return dict(zip(named, session.run(list(named), {"scores": scores.astype(np.float32)}), strict=True))

    return run
