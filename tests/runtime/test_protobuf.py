"""Runs of fields are passed over as one by one they would be."""

from __future__ import annotations

import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper

from shopkit.errors import ArtifactError
from shopkit.runtime.protobuf import FLOATS, INTS, STRING_DATA, STRINGS, DamagedError, fields_of
from shopkit.runtime.safety import check_model

ATTRIBUTES = {INTS, FLOATS, STRINGS}


def attribute(ints: list[int], floats: list[float], strings: list[bytes]) -> bytes:
    return AttributeProto(name="a", ints=ints, floats=floats, strings=strings, ref_attr_name="r").SerializeToString()


def plain(data: bytes, passed_over: set[int]) -> list[tuple[int, object]]:
    return [
        (number, value if isinstance(value, int) else bytes(value)) for number, value in fields_of(memoryview(data), passed_over)
    ]


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1)),
    st.lists(st.floats(width=32)),
    st.lists(st.binary(max_size=300)),
    st.integers(0, 400),
)
def test_the_others_are_given_and_damage_is_seen(ints: list[int], floats: list[float], strings: list[bytes], cut: int) -> None:
    data = attribute(ints, floats, strings)
    # A text whose length needs two bytes is given all the same: it is looked at by itself.
    kept = [field for field in plain(data, set()) if field[0] not in (7, 8, 9) or (field[0] == 9 and len(field[1]) > 127)]
    assert [field for field in plain(data, ATTRIBUTES) if field[0] != 9 or len(field[1]) > 127] == kept
    broken = data[: max(0, len(data) - cut)]
    try:
        expected = len(plain(broken, set()))
    except DamagedError:
        with pytest.raises(DamagedError):
            plain(broken, ATTRIBUTES)
    else:
        assert len(plain(broken, ATTRIBUTES)) <= expected


def test_a_tensors_texts_are_passed_over() -> None:
    data = TensorProto(name="t", string_data=[b"a", b"b" * 90] * 50).SerializeToString()
    assert [number for number, _ in plain(data, {STRING_DATA})] == [8]


def labels(*strings: bytes) -> bytes:
    node = helper.make_node("LabelEncoder", ["x"], ["y"], keys_strings=list(strings), values_int64s=list(range(len(strings))))
    node.attribute.append(helper.make_attribute("later", 1))
    value = helper.make_tensor_value_info("x", TensorProto.STRING, ["N"])
    graph = helper.make_graph([node], "g", [value], [helper.make_tensor_value_info("y", TensorProto.INT64, ["N"])])
    return helper.make_model(graph).SerializeToString()


def test_a_pickle_far_inside_a_vocabulary_is_found() -> None:
    words = [f"word {number}".encode() for number in range(3000)]
    check_model(labels(*words), "a model")
    random.Random(0).shuffle(words)
    for at in (0, 1, 1500, 2999):
        hidden = [*words[:at], pickle.dumps({"a": 1}), *words[at:]]
        with pytest.raises(ArtifactError, match="holds a Python pickle in attribute 'keys_strings'"):
            check_model(labels(*hidden), "a model")


def test_what_only_begins_like_a_pickle_is_no_pickle() -> None:
    check_model(labels(b"a", "\u0080\x02 odd".encode("latin-1"), b"b"), "a model")
