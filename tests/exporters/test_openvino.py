from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import spox
import spox.opset.ai.onnx.ml.v4 as ml
import spox.opset.ai.onnx.v21 as op

from shopkit.errors import ArtifactError, ConfigError, ExportError
from shopkit.exporters.base import deciding, export_apart
from shopkit.exporters.openvino import OpenVINOExporter
from shopkit.exporters.settings import OpenVINOSettings
from shopkit.runtime.openvino import OpenVINOPredictor
from tests.handmade import WEIGHT, make_fitted


@pytest.fixture(autouse=True)
def openvino() -> None:
    pytest.importorskip("openvino")


def test_the_parts_together_answer_as_the_model(tmp_path: Path) -> None:
    fitted = make_fitted()
    exported = OpenVINOExporter(OpenVINOSettings()).export(fitted, tmp_path)
    assert {path.name for path in exported.path.iterdir()} == {
        "features.onnx",
        "model.xml",
        "model.bin",
        "decision.onnx",
        "description.json",
    }
    assert max(exported.checks.values()) < 1e-5
    predictor = OpenVINOPredictor(exported.path)
    raw = {"price": np.array([1.5, np.nan], np.float32), "color": np.array(["red", "☃"], object)}
    expected = deciding(fitted.task)(fitted.reference(raw))
    answers = predictor(pd.DataFrame({"price": [1.5, None], "color": ["red", "☃"]}))
    np.testing.assert_allclose(answers["probability"], expected["probability"], rtol=1e-5)
    assert answers["label"].tolist() == expected["label"].tolist()
    assert predictor({"price": 1.5, "color": "red"})["label"] == expected["label"][0]


def test_each_of_several_threads_gets_its_own_answers(tmp_path: Path) -> None:
    OpenVINOExporter(OpenVINOSettings()).export(make_fitted(), tmp_path)
    predictor = OpenVINOPredictor(tmp_path)
    rows = [{"price": float(price), "color": "red"} for price in range(4)]
    alone = [predictor(row) for row in rows]
    with ThreadPoolExecutor(len(rows)) as pool:
        found = pool.map(lambda row: [predictor(row) for _ in range(500)], rows)
        for answers, expected in zip(found, alone, strict=True):
            assert all(answer == expected for answer in answers)


def test_a_copy_opens_the_folder_again(tmp_path: Path) -> None:
    OpenVINOExporter(OpenVINOSettings()).export(make_fitted(), tmp_path)
    row = {"price": 3.5, "color": "red"}
    predictor = OpenVINOPredictor(tmp_path)
    assert pickle.loads(pickle.dumps(predictor))(row) == predictor(row)


def test_a_model_that_answers_otherwise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="exporter openvino: Export check 'many rows': output 'probability' differs from"):
        export_apart(OpenVINOExporter(OpenVINOSettings()), make_fitted(exported_weight=-WEIGHT), tmp_path / "openvino")
    assert list(tmp_path.iterdir()) == []


def test_a_model_with_operators_that_openvino_lacks_is_refused(tmp_path: Path) -> None:
    dense = spox.argument(spox.Tensor(np.float32, ("N", 2)))
    scores = op.gemm(ml.scaler(dense, offset=[0.0, 0.0], scale=[1.0, 1.0]), op.const(WEIGHT))
    fitted = replace(make_fitted(), model=spox.build({"dense": dense}, {"scores": scores}))
    with pytest.raises(ExportError, match=r"cannot read this model: it lacks ai\.onnx\.ml\.Scaler\. Leave it out"):
        export_apart(OpenVINOExporter(OpenVINOSettings()), fitted, tmp_path / "openvino")
    assert list(tmp_path.iterdir()) == []


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"is not an OpenVINO export: it has no description\.json"):
        OpenVINOPredictor(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return OpenVINOExporter(OpenVINOSettings()).export(make_fitted(), tmp_path).path


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def said(folder: Path, **facts: Any) -> None:
    path = folder / "description.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | facts), encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda folder: cut(folder / "model.xml"),
            r"model\.xml cannot be read by OpenVINO [\d.]+: it, or the \.bin beside it, may be",
        ),
        (lambda folder: cut(folder / "model.bin"), r"model\.xml cannot be read by OpenVINO"),
        (lambda folder: (folder / "model.bin").unlink(), r"There is no file .*model\.bin\. Copy the whole folder"),
        (lambda folder: (folder / "features.onnx").unlink(), r"There is no file .*features\.onnx"),
        (lambda folder: (folder / "description.json").write_bytes(b"\xff{"), "what the file says of itself cannot be read"),
        (
            lambda folder: said(folder, tensors=None),
            r"features\.onnx gives \['dense'\], .* description\.json says None\. Export it again",
        ),
        (lambda folder: said(folder, tensors=["ids"]), r"its parts do not belong together.* says \['ids'\]"),
        (lambda folder: said(folder, tensors=[["dense"]]), "its parts do not belong together"),
        (
            lambda folder: (folder / "decision.onnx").write_bytes((folder / "features.onnx").read_bytes()),
            "do not belong together",
        ),
        (
            lambda folder: said(folder, inputs={"price": "price", "color": "column.color"}),
            "does not fit its graph .the input 'column.price'",
        ),
    ],
)
def test_a_damaged_folder(folder: Path, harm: Callable[[Path], Any], message: str) -> None:
    said(folder, files=None)  # their hashes, which would be compared first
    harm(folder)
    with pytest.raises(ArtifactError, match=message):
        OpenVINOPredictor(folder)


def test_a_device_and_a_precision_that_are_not_there(folder: Path) -> None:
    with pytest.raises(ArtifactError, match=r"does not run with device='XPU' .*This OpenVINO has the devices .*CPU"):
        OpenVINOPredictor(folder, device="XPU")
    with pytest.raises(ArtifactError, match=r"'f99'.*precisions are f32, f16 and bf16"):
        OpenVINOPredictor(folder, precision="f99")


def test_without_openvino_the_message_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ArtifactError, match=r'pip install "shopkit\[openvino\]"'):
        OpenVINOExporter(OpenVINOSettings()).export(make_fitted(), tmp_path)


@pytest.mark.parametrize(
    "setting", [{"absolute_tolerance": 5.0}, {"absolute_tolerance": float("nan")}, {"relative_tolerance": -1.0}]
)
def test_tolerances_are_checked(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"^{next(iter(setting))} must lie between 0 and 0\.1, got"):
        OpenVINOSettings(**setting)
