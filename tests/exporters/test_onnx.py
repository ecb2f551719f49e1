from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest

from shopkit.errors import ArtifactError, ConfigError, DataError, ExportError
from shopkit.exporters.base import Exported
from shopkit.exporters.onnx import OnnxExporter
from shopkit.exporters.settings import OnnxSettings
from shopkit.runtime import Predictor
from shopkit.tasks.regression import Regression
from shopkit.tasks.settings import RegressionSettings
from tests.handmade import WEIGHT, make_fitted


@pytest.fixture
def exported(tmp_path: Path) -> Exported:
    return OnnxExporter(OnnxSettings()).export(make_fitted(), tmp_path)


def test_the_file_describes_itself(exported: Exported) -> None:
    predictor = Predictor(exported.path)
    assert predictor.inputs.names == ("price", "color")
    assert predictor.description.facts["experiment"] == "test"
    assert [output["name"] for output in predictor.description.outputs] == ["probability", "label"]
    model = onnx.load(exported.path)
    assert (model.ir_version, model.opset_import[0].version) == (10, 21)
    assert all(not node.metadata_props for node in model.graph.node)
    assert [value.type.tensor_type.shape.dim[0].dim_param for value in model.graph.input] == ["N", "N"]


def test_every_situation_is_checked(exported: Exported) -> None:
    assert set(exported.checks) == {"one row", "many rows", "unseen categories", "missing values", "all values missing"}
    assert max(exported.checks.values()) < 1e-6


def test_large_answers_are_compared_by_their_size(tmp_path: Path) -> None:
    task = Regression(RegressionSettings())
    task.fit_target(np.array([10_000.0, 10_100.0]))
    nearly = WEIGHT * np.float32(1 + 1e-4)
    exported = OnnxExporter(OnnxSettings()).export(replace(make_fitted(exported_weight=nearly), task=task), tmp_path)
    assert 1e-8 < max(exported.checks.values()) < 1e-5


def test_the_same_pieces_give_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first = OnnxExporter(OnnxSettings()).export(make_fitted(), tmp_path)
    second = OnnxExporter(OnnxSettings()).export(make_fitted(), tmp_path / "again")
    assert first.path.read_bytes() == second.path.read_bytes()


def test_a_file_that_differs_from_the_model_is_refused_and_not_kept(tmp_path: Path) -> None:
    wrong = np.array([[0.7], [-1.2]], np.float32)
    with pytest.raises(ExportError, match=r"Export check 'many rows': output 'probability' differs from the model on \d+ values"):
        OnnxExporter(OnnxSettings()).export(make_fitted(exported_weight=wrong), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_wants_other_inputs_is_refused(tmp_path: Path) -> None:
    fitted = make_fitted()
    fitted.model.graph.input[0].name = "ids"
    for node in fitted.model.graph.node:
        node.input[:] = ["ids" if name == "dense" else name for name in node.input]
    with pytest.raises(ExportError, match=r"The model's graph wants the inputs \['ids'\], the feature graph gives \['dense'\]"):
        OnnxExporter(OnnxSettings()).export(fitted, tmp_path)


@pytest.mark.parametrize(
    "name", ["probability", "label", "scores", "dense", "Inline_0__dense", "a b/c:ü", "Inline_1__scores", "column.price"]
)
def test_a_column_may_have_any_name(tmp_path: Path, name: str) -> None:
    exported = OnnxExporter(OnnxSettings()).export(make_fitted(number=name), tmp_path)
    answer = Predictor(exported.path)({name: 1.0, "color": "red"})
    assert answer.keys() == {"probability", "label"}


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"absolute_tolerance must lie between 0 and 0\.1, got 2"):
        OnnxSettings(absolute_tolerance=2)
    with pytest.raises(ConfigError, match=r"check_rows must be at least 1, got 0"):
        OnnxSettings(check_rows=0)


# -- the runtime on such a file -----------------------------------------------------------------------------------


def test_every_shape_of_data_gets_the_same_answer(exported: Exported) -> None:
    predictor = Predictor(exported.path)
    rows = [{"price": 1.5, "color": "red"}, {"price": None, "color": None}, {"price": 3, "color": "never seen"}]
    singles = [predictor(row) for row in rows]
    assert predictor(rows) == singles
    columns = {"price": [1.5, None, 3], "color": ["red", None, "never seen"]}
    frame = predictor(pd.DataFrame(columns, index=["a", "b", "c"]))
    assert list(frame.index) == ["a", "b", "c"]
    assert frame["probability"].tolist() == [row["probability"] for row in singles]
    assert predictor(columns)["label"].tolist() == [row["label"] for row in singles]


def test_keys_are_carried_through(exported: Exported) -> None:
    predictor = Predictor(exported.path)
    row = {"customer": 7, "price": 1.5, "color": "red"}
    assert predictor(row)["customer"] == 7
    assert predictor([row])[0]["customer"] == 7
    assert list(predictor(pd.DataFrame([row])).columns) == ["customer", "probability", "label"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"prise": 1.0, "color": "red"},
            r"no column 'price', which model\.onnx needs\. Did you mean 'prise'\? .*Columns given: prise, color",
        ),
        ([{"price": 1.0, "color": "red"}, {"price": 1.0}], r"Row 1: The data has no column 'color'"),
        (pd.DataFrame({"price": [1.0]}), r"no column 'color'"),
        ({"price": [1.0, 2.0], "color": ["red"]}, r"Columns differ in length: \{'price': 2, 'color': 1\}"),
        ({"price": "cheap", "color": "red"}, r"Column 'price', row 0: 'cheap' \(str\) is not a number"),
        ("model", r"Cannot predict from str \(builtins\): give a dict"),
    ],
)
def test_bad_data_is_named(exported: Exported, data: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Predictor(exported.path)(data)


def test_a_truncated_file_is_refused(exported: Exported) -> None:
    exported.path.write_bytes(exported.path.read_bytes()[:200])
    with pytest.raises(ArtifactError, match=r"model\.onnx is not an ONNX file that onnxruntime can load: it may be truncated"):
        Predictor(exported.path)


def test_another_projects_file_is_refused(exported: Exported) -> None:
    model = onnx.load(exported.path)
    del model.metadata_props[:]
    onnx.save(model, exported.path)
    with pytest.raises(ArtifactError, match=r"is an ONNX file, but not one that shopkit exported"):
        Predictor(exported.path)


def test_a_later_format_is_refused(exported: Exported) -> None:
    model = onnx.load(exported.path)
    model.metadata_props[0].value = model.metadata_props[0].value.replace('"format_version": 1', '"format_version": 9')
    onnx.save(model, exported.path)
    with pytest.raises(ArtifactError, match=r"has artifact format 9, this shopkit reads format 1\. Install a newer"):
        Predictor(exported.path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"There is no file .*model\.onnx"):
        Predictor(tmp_path)


def test_two_runtimes_in_one_environment_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from shopkit.runtime import artifact

    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.31.1")
    both = r"Both onnxruntime 1\.31\.1 and onnxruntime-gpu 1\.31\.1 are installed\."
    assert re.match(both, artifact.runtime_clash())
    for wheel in ("onnxruntime", "onnxruntime-1.31.1.dist-info", "onnxruntime_gpu-1.31.1.dist-info"):
        (tmp_path / wheel).mkdir()
    with pytest.warns(RuntimeWarning, match=both):
        artifact._warn_of_clash(str(tmp_path / "onnxruntime" / "__init__.py"))


def test_the_runtime_needs_onnxruntime_and_numpy_only(exported: Exported) -> None:
    code = f"""
import sys
from shopkit import Predictor
assert Predictor({str(exported.path)!r})({{"price": 1.0, "color": "red"}})["label"]
heavy = {{"torch", "pandas", "pyarrow", "ibis", "hydra", "onnx", "spox", "ndonnx", "pluggy", "rich"}} & set(sys.modules)
# What only mistakes, time zones and runs need would be a good part of a cold start.
heavy |= {{"importlib.metadata", "difflib", "zoneinfo", "pickletools", "tempfile"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_file_answers_in_bare_onnxruntime(exported: Exported) -> None:
    predictor = Predictor(exported.path)
    answer = predictor({"price": None, "color": "never seen"})
    code = f"""
import numpy as np, onnxruntime as ort
session = ort.InferenceSession({str(exported.path)!r})
probability, label = session.run(None, {{"price": np.array([np.nan], np.float32), "color": np.array(["never seen"], object)}})
print(repr(float(probability[0])), label[0])
"""
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert printed == [repr(answer["probability"]), answer["label"]]
