from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from shopkit.exporters.graph import compose
from shopkit.exporters.operators import special_operators
from tests.handmade import make_fitted


def test_what_reads_or_writes_text_and_what_is_of_another_domain() -> None:
    found = special_operators(compose(make_fitted()))
    assert found["ai.onnx.ml"] == ["LabelEncoder"]
    assert "LabelEncoder" in found["text"]
    assert not {"Gemm", "IsNaN"} & set(found["text"])
    assert "com.microsoft" not in found


def test_a_graph_of_numbers_has_none() -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in "xy")
    assert special_operators(helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y]))) == {}


def test_inner_graphs_and_onnx_runtimes_own_operators_count() -> None:
    text = helper.make_tensor_value_info("text", TensorProto.STRING, ["N"])
    tokens = helper.make_tensor_value_info("tokens", TensorProto.STRING, ["N", "K"])
    split = helper.make_node("Tokenizer", ["text"], ["tokens"], domain="com.microsoft", mark=0, pad_value="", mincharnum=1)
    branch = helper.make_graph([split], "branch", [], [tokens])
    either = helper.make_node("If", ["flag"], ["out"], then_branch=branch, else_branch=branch)
    flag = helper.make_tensor_value_info("flag", TensorProto.BOOL, [])
    out = helper.make_tensor_value_info("out", TensorProto.STRING, None)
    graph: onnx.GraphProto = helper.make_graph([either], "g", [flag, text], [out])
    assert special_operators(helper.make_model(graph)) == {"text": ["If", "Tokenizer"], "com.microsoft": ["Tokenizer"]}
