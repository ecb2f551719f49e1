"""Sizes told by constants are those that ONNX Runtime makes."""

from __future__ import annotations

import tracemalloc
from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from onnx import TensorProto, helper, numpy_helper

from shopkit.errors import ArtifactError
from shopkit.runtime import artifact
from shopkit.runtime.artifact import open_session
from shopkit.runtime.constants import FEW, SIZED, Constant, makes, outcome, rounds_of
from shopkit.runtime.safety import check_model
from tests.runtime.test_safety import model, refused, shape

F, I = np.float32, np.int64  # noqa: E741
CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("ConstantOfShape", [np.array([70, 3])], {}),
    ("Expand", [np.zeros((3, 1), F), np.array([2, 1, 50])], {}),
    ("Expand", [np.arange(2), np.array([3, 2])], {}),
    ("Tile", [np.zeros((3, 5), F), np.array([4, 9])], {}),
    ("Tile", [np.arange(3), np.array([2])], {}),
    ("Range", [np.array(0.5, F), np.array(99.0, F), np.array(0.7, F)], {}),
    ("Range", [np.array(9), np.array(0), np.array(-2)], {}),
    ("Concat", [np.zeros((40, 2), F), np.zeros((41, 2), F)], {"axis": 0}),
    ("Concat", [np.arange(3), np.arange(2)], {"axis": -1}),
    ("MatMul", [np.zeros((90, 2), F), np.zeros((2, 80), F)], {}),
    ("MatMul", [np.zeros((3, 9, 2), F), np.zeros((2, 80), F)], {}),
    ("MatMul", [np.zeros(4, F), np.zeros((4, 80), F)], {}),
    ("MatMul", [np.zeros((80, 4), F), np.zeros(4, F)], {}),
    ("MatMul", [np.zeros(70, F), np.zeros(70, F)], {}),
    ("Gemm", [np.zeros((2, 90), F), np.zeros((80, 2), F)], {"transA": 1, "transB": 1}),
    ("Gemm", [np.zeros((90, 2), F), np.zeros((2, 80), F)], {}),
    ("OneHot", [np.zeros((4, 5), I), np.array(30), np.array([0.0, 1.0], F)], {}),
    ("Gather", [np.zeros((5, 70), F), np.zeros((2, 3), I)], {"axis": 0}),
    ("Gather", [np.arange(9), np.array([1, 1, 3])], {}),
    ("Resize", [np.zeros((1, 1, 4, 4), F), None, np.array([1, 1, 3, 5], F)], {}),
    ("Resize", [np.zeros((1, 1, 4, 4), F), None, None, np.array([1, 1, 40, 2])], {}),
    ("Add", [np.zeros((70, 1), F), np.zeros((1, 3), F)], {}),
    ("Where", [np.array([True, False]), np.arange(2), np.arange(2)], {}),
    ("Cast", [np.array([3.0, -1.0], F)], {"to": TensorProto.INT64}),
    ("Identity", [np.zeros((9, 9), F)], {}),
    ("Unsqueeze", [np.arange(3), np.array([0, 2])], {}),
    ("Squeeze", [np.arange(3)[None], np.array([0])], {}),
    ("Squeeze", [np.arange(3)[None]], {}),
    ("Reshape", [np.arange(6), np.array([2, -1])], {}),
    ("Slice", [np.arange(9), np.array([7]), np.array([-(2**62)]), np.array([0]), np.array([-2])], {}),
    ("Slice", [np.arange(12).reshape(3, 4), np.array([1]), np.array([3]), np.array([1])], {}),
    ("ReduceProd", [np.array([3, 5, 7])], {"keepdims": 0}),
    ("ReduceSum", [np.arange(6).reshape(2, 3), np.array([1])], {}),
    ("ReduceMax", [np.arange(6).reshape(2, 3)], {"keepdims": 0}),
    ("Sub", [np.array([3, 5]), np.array([1])], {}),
    ("Mul", [np.array([3, 5]), np.array([2, 4])], {}),
    ("Div", [np.array([9, 8]), np.array([2])], {}),
    ("Div", [np.array([9.0], F), np.array([2.0], F)], {}),
    ("Pow", [np.array([2, 3]), np.array([5, 2])], {}),
    ("Max", [np.array([1, 9]), np.array([5])], {}),
    ("Min", [np.array([1, 9]), np.array([5])], {}),
    ("Equal", [np.array([1, 9]), np.array([9])], {}),
    ("Neg", [np.array([1, 9])], {}),
    ("Abs", [np.array([-1, 9])], {}),
    ("Floor", [np.array([1.7], F)], {}),
    ("Ceil", [np.array([1.2], F)], {}),
    ("Sqrt", [np.array([16.0], F)], {}),
    ("Shape", [np.zeros((7, 90), F)], {}),
]


def answered(op: str, arrays: list[Any], attributes: dict[str, Any]) -> np.ndarray:
    """What ONNX Runtime makes of arrays."""
    given = {f"i{at}": array for at, array in enumerate(arrays) if array is not None}
    names = [f"i{at}" if array is not None else "" for at, array in enumerate(arrays)]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], **attributes)],
        "g",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), list(a.shape))
            for name, a in given.items()
        ],
        [helper.make_value_info("y", onnx.TypeProto())],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, given)[0])


@pytest.mark.parametrize(("op", "arrays", "attributes"), CASES, ids=[f"{op}-{at}" for at, (op, *_) in enumerate(CASES)])
def test_an_operator_makes_what_is_foretold(op: str, arrays: list[Any], attributes: dict[str, Any]) -> None:
    expected = answered(op, arrays, attributes)
    inputs = [Constant.of(array) if array is not None else None for array in arrays]
    integers = {name: [value] for name, value in attributes.items()}
    if op == "Resize":
        assert makes(op, inputs, integers) == expected.size
        return
    found = outcome(op, inputs, integers)
    assert found.shape == expected.shape
    if found.values is None:
        assert expected.size > FEW or op in ("ConstantOfShape", "MatMul")
    else:
        np.testing.assert_array_equal(found.values, expected)


def test_what_is_not_known() -> None:
    few, many, nothing = Constant.of(np.arange(2)), Constant((100,)), Constant()
    assert outcome("TopK", [few, few], {}) == Constant()
    assert outcome("Unsqueeze", [many, few], {}) == Constant()
    assert outcome("ConstantOfShape", [nothing], {}).shape is None
    assert outcome("Reshape", [few, Constant.of(np.array([7]))], {}) == Constant()
    assert outcome("Add", [many, few], {}).shape == (100,)
    assert outcome("Add", [many, nothing], {}).shape is None
    assert makes("Tile", [None, None], {}) == makes("Expand", [nothing, nothing], {}) == makes("Resize", [None], {}) == 1
    assert makes("Resize", [None, None, Constant.of(np.array([np.inf], F))], {}) == 1 << 62


NUMBERS = st.one_of(st.sampled_from([0, 1, -1, 2, 63, 64, 1 << 20, 1 << 40, -(1 << 63), (1 << 63) - 1]), st.integers(-5, 5))
ARRAYS = st.builds(
    lambda values, shape, dtype: Constant.of(np.resize(np.array(values, np.float64).astype(dtype), shape)),
    st.lists(st.one_of(NUMBERS, st.sampled_from([np.nan, np.inf, 0.5])), min_size=1, max_size=4),
    st.lists(st.sampled_from([0, 1, 2, 5, 64]), max_size=3).filter(lambda shape: np.prod(shape, initial=1) <= 64),
    st.sampled_from([np.int64, np.float32, np.int32]),
)
GIVEN = st.one_of(st.none(), st.builds(Constant), st.just(Constant((1 << 20, 3))), ARRAYS)
OPERATORS = sorted({op for op, *_ in CASES} | SIZED | {"Relu", "Mod", "And", "Greater"})


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(
    st.sampled_from(OPERATORS),
    st.lists(GIVEN, max_size=6),
    st.dictionaries(st.sampled_from(["axis", "axes", "to", "keepdims", "shape", "transA"]), st.lists(NUMBERS, max_size=3)),
)
def test_nothing_is_raised_or_made_whatever_is_given(
    op: str, inputs: list[Constant | None], attributes: dict[str, list[int]]
) -> None:
    tracemalloc.start()
    found = outcome(op, inputs, attributes)
    assert found.values is None or found.values.size <= FEW
    assert isinstance(rounds_of(inputs), int)
    if op in SIZED:
        assert isinstance(makes(op, inputs, attributes), int)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 22


def test_large_arrays_of_few_numbers_are_not_made() -> None:
    across = [Constant.of(np.zeros([64 if at == axis else 1 for axis in range(8)], np.int64)) for at in range(8)]
    assert outcome("Max", across, {}) == Constant((64,) * 8)
    assert outcome("Tile", [Constant.of(np.arange(2)), Constant.of(np.array([1, 10**9]))], {}) == Constant()


def test_a_tensor_of_very_many_dimensions() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1] * 65)
    refused(model(node("Add", ["x", "w"], ["y"]), initializers=[tensor]), "declares tensor 'w'")


# -- whole graphs ---------------------------------------------------------------------------------------------------


def node(op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, outputs, **attributes)


def floats(name: str, *values: float, dims: tuple[int, ...] | None = None) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT, (len(values),) if dims is None else dims, values)


def turns(trips: str, *, inner: onnx.NodeProto | None = None) -> onnx.NodeProto:
    nodes = [node("Identity", ["c"], ["c2"]), inner or node("Identity", ["x"], ["yy"])]
    inputs = [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("c", TensorProto.BOOL, [])]
    outputs = [
        helper.make_tensor_value_info("c2", TensorProto.BOOL, []),
        helper.make_tensor_value_info("yy", TensorProto.FLOAT, None),
    ]
    return node("Loop", [trips, "cond"], ["yy" if trips == "few" else "y"], body=helper.make_graph(nodes, "b", inputs, outputs))


COND = helper.make_tensor("cond", TensorProto.BOOL, [], [True])
END = node("ReduceSum", ["z"], ["y"])
BIG = shape(1 << 17, 1 << 17)
BOMBS: list[tuple[list[onnx.NodeProto], list[onnx.TensorProto], str]] = [
    ([node("Identity", ["s"], ["t"]), node("ConstantOfShape", ["t"], ["z"]), END], [BIG], "ConstantOfShape"),
    (
        [node("Concat", ["a", "b"], ["t"], axis=0), node("ConstantOfShape", ["t"], ["z"]), END],
        [shape(1 << 17, name="a"), shape(1 << 17, name="b")],
        "ConstantOfShape",
    ),
    (
        [node("Range", ["a", "b", "c"], ["z"]), END],
        [floats("a", 0, dims=()), floats("b", 1e12, dims=()), floats("c", 1, dims=())],
        "Range",
    ),
    ([node("Constant", [], ["b"], value_float=1e12), node("Range", ["a", "b", "c"], ["z"]), END],
     [floats("a", 0, dims=()), floats("c", 1, dims=())], "Range"),
    ([node("Unsqueeze", ["x", "ax"], ["x1"]), node("Resize", ["x1", "", "sc"], ["z"]), END],
     [shape(1, name="ax"), floats("sc", 1e6, 1e6)], "Resize"),
    ([node("Tile", ["w", "r"], ["z"]), END], [floats("w", *[0.0] * 100), shape(1 << 24, name="r")], "Tile"),
    ([node("Expand", ["w", "r"], ["z"]), END], [floats("w", *[0.0] * 100, dims=(100, 1)), shape(1, 1 << 24, name="r")], "Expand"),
    ([node("Concat", [f"d{i}", f"d{i}"], [f"d{i + 1}"], axis=0) for i in range(40)] + [node("ReduceSum", ["d40"], ["y"])],
     [floats("d0", *[0.0] * 100)], "Concat"),
    ([node("MatMul", ["w", "v"], ["z"]), END],
     [floats("w", *[0.0] * 20_000, dims=(20_000, 1)), floats("v", *[0.0] * 20_000, dims=(1, 20_000))], "MatMul"),
    ([node("Add", ["w", "v"], ["z"]), END],
     [floats("w", *[0.0] * 20_000, dims=(20_000, 1)), floats("v", *[0.0] * 20_000, dims=(1, 20_000))], "Add"),
    ([node("OneHot", ["i", "dp", "vv"], ["z"]), END],
     [shape(*[0] * 60, name="i"), shape(1 << 28, name="dp"), floats("vv", 0, 1)], "OneHot"),
    ([node("Constant", [], ["a"], value_int=1 << 36), node("Unsqueeze", ["a", "ax"], ["t"]),
      node("ConstantOfShape", ["t"], ["z"]), END],
     [shape(0, name="ax")], "ConstantOfShape"),
    ([node("Identity", ["s"], ["t"]), node("Expand", ["x", "t"], ["z"]), END], [BIG], "Expand"),
    ([node("Pad", ["x", "p"], ["z"]), END], [shape(1 << 27, 1 << 27, name="p")], "Pad"),
    ([node("Mul", ["a", "a"], ["t"]), node("ConstantOfShape", ["t"], ["z"]), END], [shape(1 << 17, name="a")], "ConstantOfShape"),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "tensors", "maker"), BOMBS)
def test_a_large_array_made_of_constants(nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto], maker: str) -> None:
    refused(model(*nodes, initializers=tensors), rf"makes an array of [\d,]+ values by the operator {maker} ")


def test_loops_that_do_not_end() -> None:
    trips = helper.make_tensor("m", TensorProto.INT64, [], [1 << 60])
    refused(
        model(turns("m"), initializers=[trips, COND]), r"has a loop of 1,152,921,504,606,846,976 rounds .*1,048,576 are allowed"
    )
    refused(model(turns(""), initializers=[COND]), "has a loop without a limit")
    few = helper.make_tensor("few", TensorProto.INT64, [], [1 << 11])
    nested = model(
        turns("m", inner=turns("few")), initializers=[helper.make_tensor("m", TensorProto.INT64, [], [1 << 11]), few, COND]
    )
    refused(nested, "has a loop of 4,194,304 rounds")
    alone = model(turns("m"), initializers=[helper.make_tensor("m", TensorProto.INT64, [], [3]), COND])
    assert len(open_session(alone.SerializeToString()).run(None, {"x": np.ones(2, np.float32)})[0]) == 3


def test_functions_that_unfold_to_very_many_nodes() -> None:
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]

    def doubling(level: int) -> onnx.FunctionProto:
        op, domain = ("Neg", "") if level == 0 else (f"F{level - 1}", "own")
        nodes = [node(op, ["a"], ["m"], domain=domain), node(op, ["m"], ["b"], domain=domain)]
        return helper.make_function("own", f"F{level}", ["a"], ["b"], nodes, opsets)

    def of(levels: int) -> onnx.ModelProto:
        bad = model(node(f"F{levels - 1}", ["x"], ["y"], domain="own"), opsets=[("", 21), ("own", 1)])
        bad.functions.extend(doubling(level) for level in range(levels))
        return bad

    assert check_model(of(4).SerializeToString(), "M") >= 16
    bad = of(3)
    for function in bad.functions:  # each a million times over
        repeated = list(function.node[:1]) * 120
        del function.node[:]
        function.node.extend(repeated)
    refused(bad, r"has a function, F2, that unfolds to 1,728,000 nodes; 1,000,000 are allowed")
    refused(of(30), r"has a function, F19, that unfolds to 1,048,576 nodes")
    backwards = of(30)
    del backwards.functions[:]
    backwards.functions.extend(doubling(level) for level in reversed(range(30)))
    refused(backwards, "functions that call functions, more than 16 deep")
    circle = of(2)
    circle.functions[0].node[0].op_type, circle.functions[0].node[0].domain = "F1", "own"
    refused(circle, "functions that call functions")


# -- what ONNX Runtime computes as it loads -------------------------------------------------------------------------


def peak() -> int:
    """Bytes of memory that this process has had at most."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_what_no_rule_foretells_is_not_made_when_a_graph_is_loaded() -> None:
    """The shape comes from TopK, which nothing here computes."""
    hidden = [node("TopK", ["s", "k"], ["t", "places"]), node("ConstantOfShape", ["t"], ["z"]), END]
    bomb = model(*hidden, initializers=[shape(1 << 30), shape(1, name="k")]).SerializeToString()
    before = peak()
    open_session(bomb)
    assert peak() - before < 1 << 28


def test_the_constants_of_an_ordinary_file_are_made_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A weight that is turned around on the way is not turned at every call."""
    weight = numpy_helper.from_array(np.zeros((1000, 1), np.float32), "w")
    graph = model(node("Transpose", ["w"], ["t"]), node("MatMul", ["x", "w"], ["y"]), initializers=[weight])
    limits: list[int] = []
    entry = ort.SessionOptions.add_session_config_entry

    class Options(ort.SessionOptions):
        def add_session_config_entry(self, key: str, value: str) -> None:
            if key == artifact.FOLDING_LIMIT:
                limits.append(int(value))
            entry(self, key, value)

    monkeypatch.setattr(ort, "SessionOptions", Options)
    open_session(graph.SerializeToString())
    assert limits == [artifact.FOLDED_BYTES + 64 * len(graph.SerializeToString())]


def test_nodes_out_of_order_all_count() -> None:
    chain = [node("Identity", ["s"], ["a"]), node("Identity", ["a"], ["b"]), node("ConstantOfShape", ["b"], ["z"]), END]
    some = model(node("Shape", ["x"], ["l"]), *chain, initializers=[shape(3)])
    assert check_model(some.SerializeToString(), "M") == 5
    backwards = model(*chain[::-1], initializers=[shape(3)])
    assert check_model(backwards.SerializeToString(), "M") >= 4
    assert check_model(model().SerializeToString(), "M") == 0


def test_damaged_constants_end_in_a_message() -> None:
    short = TensorProto(name="s", data_type=TensorProto.INT64, dims=[3], raw_data=b"\1\2\3\4\5\6\7\1")
    with pytest.raises(ArtifactError):
        open_session(model(node("ConstantOfShape", ["s"], ["z"]), END, initializers=[short]).SerializeToString())
