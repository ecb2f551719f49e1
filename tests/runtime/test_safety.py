"""Files that must not be loaded, each refused with a sentence."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from shopkit.errors import ArtifactError
from shopkit.runs import file_hash
from shopkit.runtime import safety
from shopkit.runtime.artifact import open_session
from shopkit.runtime.pickles import is_pickle
from shopkit.runtime.safety import check_model


def model(
    *nodes: onnx.NodeProto,
    initializers: Sequence[onnx.TensorProto] = (),
    opsets: Sequence[tuple[str, int]] = (("", 21),),
    ir_version: int = 10,
) -> onnx.ModelProto:
    """A graph from `x` float32 (N,) to `y`."""
    graph = helper.make_graph(
        list(nodes) or [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(*opset) for opset in opsets], ir_version=ir_version)


def refused(bad: onnx.ModelProto, match: str) -> None:
    with pytest.raises(ArtifactError, match=match):
        open_session(bad.SerializeToString())


def shape(*dims: int, name: str = "s") -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [len(dims)], dims)


def test_a_plain_model_is_loaded() -> None:
    (y,) = open_session(model().SerializeToString()).run(None, {"x": np.array([-1, 2], np.float32)})
    assert y.tolist() == [0, 2]


# -- other files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("../../../etc/passwd", r"'\.\./\.\./\.\./etc/passwd', a path outside its folder"),
        ("/etc/passwd", "'/etc/passwd', a path outside its folder"),
        ("..\\secret", "a path outside its folder"),
        ("C:\\secret", "a path outside its folder"),
        ("weights.bin", r"'weights\.bin'\. A file must hold all"),
    ],
)
def test_tensors_in_other_files(location: str, said: str) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    refused(model(helper.make_node("Add", ["x", "w"], ["y"]), initializers=[tensor]), f"tensor 'w' in another file, .*{said}")


def test_a_tensor_in_another_file_is_found_inside_an_attribute_of_an_inner_graph() -> None:
    tensor = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["z"], value=tensor)],
        "inner",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])],
    )
    condition = helper.make_tensor("c", TensorProto.BOOL, [], [True])
    refused(
        model(helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner), initializers=[condition]),
        "'hidden' in another file",
    )


def test_an_operator_that_reads_files() -> None:
    refused(
        model(helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft", ep_cache_context="/tmp/cache.bin")),
        "operator EPContext .*reads other files",
    )


# -- operators and versions -----------------------------------------------------------------------------------------


def test_an_operator_of_an_unknown_domain() -> None:
    refused(
        model(
            helper.make_node("PyOp", ["x"], ["y"], name="n1", domain="ai.onnx.contrib"), opsets=[("", 21), ("ai.onnx.contrib", 1)]
        ),
        r"operator PyOp of the domain 'ai\.onnx\.contrib' \(operator set 1; node 'n1'\)",
    )


def test_an_unknown_operator() -> None:
    refused(model(helper.make_node("Foo", ["x"], ["y"])), r"operator Foo \(operator set 21\), which onnxruntime .* does not have")
    refused(
        model(helper.make_node("Foo", ["x"], ["y"], domain="com.microsoft"), opsets=[("", 21), ("com.microsoft", 1)]),
        r"operator Foo of com\.microsoft, which onnxruntime .* does not have",
    )


def test_a_function_of_the_files_own_is_run() -> None:
    function = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 21)]
    )
    good = model(helper.make_node("Twice", ["x"], ["y"], domain="own"), opsets=[("", 21), ("own", 1)])
    good.functions.append(function)
    assert open_session(good.SerializeToString()).run(None, {"x": np.ones(1, np.float32)})[0] == 2


def test_newer_versions_than_the_runtime_reads() -> None:
    refused(model(opsets=[("", 99)]), r"operator set 99 of ai\.onnx; onnxruntime .* reads up to \d+\. Install a newer")
    refused(model(ir_version=99), r"ONNX IR version 99; onnxruntime .* reads up to \d+\. Install a newer")


# -- sizes ----------------------------------------------------------------------------------------------------------


def test_a_tensor_of_an_enormous_shape() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 20, 1 << 20])
    refused(model(helper.make_node("Add", ["x", "w"], ["y"]), initializers=[tensor]), "declares tensor 'w' .*more values than")
    tensor.dims[:] = [-5]
    refused(model(helper.make_node("Add", ["x", "w"], ["y"]), initializers=[tensor]), "declares tensor 'w'")


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("ConstantOfShape", ["s"], ["z"])],
        [helper.make_node("Expand", ["x", "s"], ["z"])],
        [helper.make_node("RandomNormal", [], ["z"], shape=[1 << 17, 1 << 17])],
        [
            helper.make_node("Constant", [], ["own"], value_ints=[1 << 17, 1 << 17]),
            helper.make_node("ConstantOfShape", ["own"], ["z"]),
        ],
        [helper.make_node("Constant", [], ["own"], value=shape(1 << 34)), helper.make_node("ConstantOfShape", ["own"], ["z"])],
    ],
)
def test_a_small_file_that_asks_for_a_large_array(nodes: list[onnx.NodeProto]) -> None:
    bomb = model(*nodes, helper.make_node("ReduceSum", ["z"], ["y"]), initializers=[shape(1 << 17, 1 << 17)])
    refused(bomb, r"makes an array of 17,179,869,184 values by the operator \w+ ")


def test_a_range_and_a_sparse_tensor_of_an_enormous_size() -> None:
    ends = [helper.make_tensor(name, TensorProto.INT64, [], [value]) for name, value in (("a", 0), ("b", 1 << 40), ("c", 1))]
    refused(model(helper.make_node("Range", ["a", "b", "c"], ["y"]), initializers=ends), "by the operator Range")
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0]), helper.make_tensor("i", TensorProto.INT64, [1], [0]), [1 << 40]
    )
    bad = model()
    bad.graph.sparse_initializer.append(sparse)
    refused(bad, "by a sparse tensor")


def test_a_file_larger_than_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model().SerializeToString())
    monkeypatch.setattr("shopkit.runtime.artifact.MAX_BYTES", 10)
    with pytest.raises(ArtifactError, match=r"model\.onnx has \d+ bytes; files of up to 10 are loaded"):
        open_session(path)
    monkeypatch.setattr(safety, "MAX_BYTES", 10)
    with pytest.raises(ArtifactError, match=r"The model has .* bytes"):
        check_model(model().SerializeToString(), "The model")


def test_graphs_inside_graphs() -> None:
    graph = model().graph
    for _ in range(20):
        graph = helper.make_graph([helper.make_node("If", ["x"], ["y"], then_branch=graph)], "g", [], [])
    refused(helper.make_model(graph), "graphs inside graphs")


# -- pickles --------------------------------------------------------------------------------------------------------


def test_a_file_that_is_a_pickle_or_an_archive(tmp_path: Path) -> None:
    import torch

    archive = tmp_path / "model.onnx"
    torch.save({"a": torch.zeros(1)}, archive)
    for content in (archive.read_bytes(), pickle.dumps({"a": 1}), pickle.dumps([1], protocol=2)):
        archive.write_bytes(content)
        with pytest.raises(ArtifactError, match="is a pickle or an archive, which can run code"):
            open_session(archive)


def test_a_pickle_inside_a_model() -> None:
    payload = pickle.dumps({"__reduce__": "os.system"})
    tensor = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[len(payload)], raw_data=payload)
    refused(model(initializers=[tensor]), "holds a Python pickle in tensor 'w'")
    tensor = helper.make_tensor("w", TensorProto.STRING, [1], [payload])
    refused(model(initializers=[tensor]), "holds a Python pickle in tensor 'w'")
    refused(model(helper.make_node("Relu", ["x"], ["y"], code=payload)), "holds a Python pickle in attribute 'code'")


def test_what_only_looks_like_a_pickle() -> None:
    assert not is_pickle(b"")
    assert not is_pickle(b"\x80\x04 and no more.")
    assert not is_pickle(struct.pack("<3f", 1.0, 2.0, 3.0))


# -- damage ---------------------------------------------------------------------------------------------------------


def test_files_that_are_no_model() -> None:
    whole = model().SerializeToString()
    for content in (b"", b"\x00", b"not a model at all", whole[: len(whole) // 2], whole + b"\xff", whole + whole, b"\x38\x01"):
        with pytest.raises(ArtifactError, match="not an ONNX file that onnxruntime can load: it may be truncated or damaged"):
            open_session(content)


def test_metadata_that_is_not_text() -> None:
    from shopkit.runtime.artifact import describe

    bad = model()
    entry = bad.metadata_props.add()
    entry.key, entry.value = "shopkit", "text"
    content = bad.SerializeToString().replace(b"text", b"te\xffx")
    with pytest.raises(ArtifactError, match="its metadata is not text"):
        describe(open_session(content), Path("model.onnx"))
    entry.value = "[1]"
    with pytest.raises(ArtifactError, match="what the file says of itself cannot be read"):
        describe(open_session(bad.SerializeToString()), Path("model.onnx"))


# -- the manifest ---------------------------------------------------------------------------------------------------


def sealed(folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(
        model(
            helper.make_node("Add", ["x", "w"], ["y"]), initializers=[helper.make_tensor("w", 1, [1], [1.5])]
        ).SerializeToString()
    )
    (folder / "manifest.json").write_text(json.dumps({"files": {"model.onnx": file_hash(path)}}))
    return path


def test_a_weight_altered_by_one_bit_fails_its_manifest(tmp_path: Path) -> None:
    path = sealed(tmp_path)
    open_session(path)
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack("<f", 1.5))
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.onnx was changed after its run was sealed"):
        open_session(path)
    (tmp_path / "manifest.json").unlink()
    open_session(path)


def test_a_link_to_a_file_of_a_run_is_held_to_its_manifest(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    path, link = sealed(tmp_path / "run"), tmp_path / "served.onnx"
    link.symlink_to(path)
    open_session(link)
    path.write_bytes(path.read_bytes().replace(struct.pack("<f", 1.5), struct.pack("<f", 2.5)))
    with pytest.raises(ArtifactError, match=r"served\.onnx was changed after its run was sealed"):
        open_session(link)


def test_a_file_is_hashed_while_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, begun, sha256 = sealed(tmp_path), threading.Event(), hashlib.sha256

    def hashed(content: bytes) -> Any:
        begun.set()
        return sha256(content)

    def check(content: bytes, name: str) -> int:
        assert begun.wait(10)
        return 1

    monkeypatch.setattr(hashlib, "sha256", hashed)
    monkeypatch.setattr("shopkit.runtime.artifact.check_model", check)
    open_session(path)


def test_a_damaged_file_of_a_run_was_changed_first_of_all(tmp_path: Path) -> None:
    path = sealed(tmp_path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ArtifactError, match=r"model\.onnx was changed after its run was sealed"):
        open_session(path)


def test_a_manifest_that_cannot_be_read_and_one_of_something_else(tmp_path: Path) -> None:
    path = sealed(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"manifest\.json cannot be read .* so model\.onnx cannot be checked"):
        open_session(path)
    for text in ('{"short_name": "a web app"}', "[]", '{"files": []}'):
        (tmp_path / "manifest.json").write_text(text)
        open_session(path)
