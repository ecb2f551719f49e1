from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import ndonnx as ndx
import numpy as np
import pytest

from shopkit.errors import ConfigError, DataError, ExportError
from shopkit.exporters.base import export_apart
from shopkit.exporters.settings import OnnxSettings, TritonSettings
from shopkit.exporters.triton import TritonExporter, configuration
from shopkit.runtime import Predictor
from shopkit.tasks.base import Input
from shopkit.tasks.binary import Binary
from tests.handmade import WEIGHT, make_fitted


def test_the_repository_names_every_tensor_of_the_file(tmp_path: Path) -> None:
    exported = TritonExporter(TritonSettings()).export(make_fitted(), tmp_path)
    model = exported.path / "test"
    predictor = Predictor(model / "1" / "model.onnx")
    config = (model / "config.pbtxt").read_text()
    assert 'name: "test"' in config
    assert 'platform: "onnxruntime_onnx"' in config
    tensors = re.findall(r'(input|output) \[ \{ name: "(\w+)", data_type: (\w+), dims: \[(.*?)\]', config)
    assert tensors == [
        ("input", "price", "TYPE_FP32", "-1"),
        ("input", "color", "TYPE_STRING", "-1"),
        ("output", "probability", "TYPE_FP32", "-1"),
        ("output", "label", "TYPE_STRING", "-1"),
    ]
    assert {name for _, name, _, _ in tensors} == {
        value.name for value in [*predictor.session.get_inputs(), *predictor.session.get_outputs()]
    }


def test_the_server_may_join_rows_into_batches(tmp_path: Path) -> None:
    exported = TritonExporter(TritonSettings(model_name="intent", max_batch_size=64)).export(make_fitted(), tmp_path)
    config = (exported.path / "intent" / "config.pbtxt").read_text()
    assert "max_batch_size: 64" in config
    assert "dims: [1], reshape: { shape: [] }" in config
    assert "dynamic_batching" in config


def test_a_file_that_differs_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="differs from the model"):
        export_apart(TritonExporter(TritonSettings()), make_fitted(exported_weight=-WEIGHT), tmp_path / "triton")
    assert list(tmp_path.iterdir()) == []


def test_a_negative_batch_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^max_batch_size must be at least 0, got -1"):
        TritonSettings(max_batch_size=-1)


@pytest.mark.parametrize("name", ["../../escaped", "/abs/path", "a/b", "a\\b", "..", ".hidden", "a b", "café", "a\n"])
def test_a_name_that_is_no_folders_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^model_name is .*; it names a folder: letters, digits"):
        TritonSettings(model_name=name)


def test_the_file_is_held_to_the_runs_own_tolerance(tmp_path: Path) -> None:
    near = make_fitted(exported_weight=WEIGHT + np.float32(0.01))
    with pytest.raises(ExportError, match="differs from the model"):
        export_apart(TritonExporter(TritonSettings()), near, tmp_path / "strict")
    lenient = replace(near, gate=OnnxSettings(absolute_tolerance=0.1, relative_tolerance=0.1))
    assert TritonExporter(TritonSettings()).export(lenient, tmp_path).path.is_dir()


def test_rows_of_a_file_with_options_are_not_joined() -> None:
    predictor = SimpleNamespace(description=SimpleNamespace(options=({"name": "k"}, {"name": "candidates"})))
    with pytest.raises(
        ExportError, match=r"options that hold for all rows of a call \(k, candidates\)\. Leave max_batch_size at 0"
    ):
        configuration("items", cast(Predictor, predictor), 8)


class _Ranked(Binary):
    """Asked for a threshold, and for what may be said."""

    inputs = (Input("threshold", "float32", "is taken off", 0.0), Input("labels", "string", "all", [], ("labels",)))

    def decide(self, scores: ndx.Array, **options: ndx.Array) -> dict[str, ndx.Array]:
        found = super().decide(scores)
        return {**found, "probability": found["probability"] - options["threshold"]} if options else found


def test_a_single_option_is_a_list_of_one_as_the_server_knows_no_scalars(tmp_path: Path) -> None:
    fitted = make_fitted()
    fitted.task.__class__ = _Ranked
    exported = TritonExporter(TritonSettings()).export(fitted, tmp_path)
    config = (exported.path / "test" / "config.pbtxt").read_text()
    assert 'name: "threshold", data_type: TYPE_FP32, dims: [1] }' in config
    assert 'name: "labels", data_type: TYPE_STRING, dims: [-1] }' in config
    assert "reshape" not in config  # to no dimensions, the server would not load it
    predictor = Predictor(exported.path / "test" / "1" / "model.onnx")
    row = {"price": 3.5, "color": "red"}
    assert predictor(row, threshold=0.25) == predictor(row, threshold=[0.25])
    assert predictor(row, threshold=0.25)["probability"] == pytest.approx(predictor(row)["probability"] - 0.25)
    with pytest.raises(DataError, match=r"Option 'threshold': \[1, 2\] is not one float32"):
        predictor(row, threshold=[1, 2])
