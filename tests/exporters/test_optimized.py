from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from shopkit.errors import ConfigError, ExportError
from shopkit.exporters.optimized import OptimizedExporter, optimized
from shopkit.exporters.settings import OptimizedSettings
from shopkit.runtime import Predictor
from tests.exporters.test_reduced import two_layers
from tests.handmade import WEIGHT, make_fitted


@pytest.mark.parametrize("level", ["basic", "extended"])
def test_it_answers_as_the_model_does_with_no_more_nodes(level: str, tmp_path: Path) -> None:
    exported = OptimizedExporter(OptimizedSettings(level=level)).export(two_layers(), tmp_path)
    assert exported.path == tmp_path / "model.optimized.onnx"
    assert max(exported.checks.values()) < 1e-5
    assert exported.facts["nodes"]["after"] <= exported.facts["nodes"]["before"]
    predictor = Predictor(exported.path)
    assert predictor.description.facts["experiment"] == "test"
    assert 0 < predictor({"price": None, "color": "red"})["probability"] < 1


def test_basic_uses_operators_of_onnx_only_and_states_no_other_domain(tmp_path: Path) -> None:
    exported = OptimizedExporter(OptimizedSettings(level="basic")).export(two_layers(), tmp_path)
    model = onnx.load(exported.path)
    assert exported.facts["domains"] == ["ai.onnx", "ai.onnx.ml"]
    assert {opset.domain for opset in model.opset_import} == {"", "ai.onnx.ml"}
    assert {opset.domain: opset.version for opset in model.opset_import}[""] == 21
    assert model.ir_version == 10


def test_extended_may_use_fused_operators() -> None:
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 4])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 4])
    weight = onnx.numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    bias = onnx.numpy_helper.from_array(np.ones(4, np.float32), "b")
    nodes = [onnx.helper.make_node("Gemm", ["x", "w", "b"], ["g"]), onnx.helper.make_node("Relu", ["g"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], [weight, bias])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    assert [node.op_type for node in optimized(model, "extended").graph.node] == ["FusedGemm"]
    assert [node.op_type for node in optimized(model, "basic").graph.node] == ["Gemm", "Relu"]


def test_a_difference_beyond_its_own_tolerance_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    wrong = make_fitted(exported_weight=WEIGHT + np.float32(0.01))
    with pytest.raises(ExportError, match="output 'probability' differs from the model"):
        OptimizedExporter(OptimizedSettings()).export(wrong, tmp_path)
    assert list(tmp_path.iterdir()) == []
    lenient = OptimizedSettings(absolute_tolerance=0.1, relative_tolerance=0.1)
    assert OptimizedExporter(lenient).export(replace(wrong), tmp_path).path.is_file()


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ConfigError, match=re.escape("level is 'all'; it must be basic or extended.")):
        OptimizedSettings(level="all")
