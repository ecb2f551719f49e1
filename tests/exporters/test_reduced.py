from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import spox
import spox.opset.ai.onnx.v21 as op

from shopkit.errors import ConfigError, ExportError
from shopkit.exporters.base import Fitted, Raw
from shopkit.exporters.reduced import Fp16Exporter, Int8Exporter
from shopkit.exporters.settings import Fp16Settings, Int8Settings
from shopkit.runtime import Predictor
from shopkit.runtime.artifact import open_session
from shopkit.schema import INPUT_PREFIX
from tests.handmade import make_fitted


def measured(fitted: Fitted, before: float = 0.9, after: float = 0.9) -> Fitted:
    """Qualities by the task's first metric: the fitted model's, and that of any other answers."""
    name = next(iter(fitted.task.described))
    answers: list[Mapping[str, np.ndarray]] = []

    def quality(outputs: Mapping[str, np.ndarray]) -> dict[str, float]:
        answers.append(outputs)
        return {name: before if len(answers) == 1 else after}

    return replace(fitted, quality=quality)


def two_layers() -> Fitted:
    """A model of two products, the second of which gives the scores."""
    fitted = make_fitted()
    session = open_session(fitted.features.SerializeToString())
    hidden = np.random.default_rng(0).normal(size=(2, 16)).astype(np.float32)
    last = np.random.default_rng(1).normal(size=(16, 1)).astype(np.float32)
    dense = spox.argument(spox.Tensor(np.float32, ("N", 2)))
    scores = op.gemm(op.relu(op.matmul(dense, op.const(hidden))), op.const(last))

    def reference(raw: Raw) -> np.ndarray:
        (found,) = session.run(["dense"], {INPUT_PREFIX + name: values for name, values in raw.items()})
        return np.maximum(found @ hidden, 0) @ last

    return replace(fitted, model=spox.build({"dense": dense}, {"scores": scores}), reference=reference)


@pytest.mark.parametrize("mode", ["dynamic", "static"])
def test_int8_keeps_features_and_decision_and_says_how_far_it_is(tmp_path: Path, mode: str) -> None:
    exported = Int8Exporter(Int8Settings(mode=mode)).export(two_layers(), tmp_path)
    assert exported.path == tmp_path / "model.int8.onnx"
    model = onnx.load(exported.path)
    assert any(tensor.data_type == onnx.TensorProto.INT8 for tensor in model.graph.initializer)
    assert 0 < exported.checks["probability"] < 0.05
    assert exported.checks["changed label"] < 0.05
    predictor = Predictor(exported.path)
    answer = predictor({"price": None, "color": "red"})
    assert 0 < answer["probability"] < 1
    assert predictor.description.facts["experiment"] == "test"


def test_fp16_holds_the_model_in_half_floats_and_takes_the_same_columns(tmp_path: Path) -> None:
    exported = Fp16Exporter(Fp16Settings()).export(make_fitted(), tmp_path)
    model = onnx.load(exported.path)
    assert any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)
    assert exported.checks["probability"] < 2e-3
    assert Predictor(exported.path).inputs.names == ("price", "color")


def test_the_quality_before_and_after_is_told(tmp_path: Path) -> None:
    exported = Int8Exporter(Int8Settings()).export(measured(make_fitted(), 0.9, 0.899), tmp_path)
    (before,), (after,) = (exported.facts["quality"][which].values() for which in ("before", "after"))
    assert (before, after) == (0.9, 0.899)


def test_a_loss_above_the_limit_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match=r"model\.int8\.onnx: .* on 300 validation rows goes from 0\.9000 to 0\.8000 once reduced"
    ):
        Int8Exporter(Int8Settings(max_loss=0.05)).export(measured(make_fitted(), 0.9, 0.8), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_numbers_too_large_for_half_floats_are_refused(tmp_path: Path) -> None:
    fitted = make_fitted()
    rows = {"price": np.full(300, 1e6, np.float32), "color": fitted.held_out["color"]}
    with pytest.raises(ExportError, match=r"output 'probability' is not finite once reduced|goes from"):
        Fp16Exporter(Fp16Settings()).export(measured(replace(fitted, held_out=rows), 0.9, 0.5), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "fast"}, "exporter.mode is 'fast'; it must be dynamic or static"),
        ({"max_loss": 1.5}, "exporter.max_loss must lie between 0 and 1, got 1.5"),
        ({"check_rows": 0}, "exporter.check_rows must be at least 1, got 0"),
    ],
)
def test_settings_are_checked(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Int8Settings(**settings)


def test_an_error_that_is_a_share_is_judged_as_shares_are(tmp_path: Path) -> None:
    fitted = two_layers()
    qualities = iter([{"calibration_error": 0.028}, {"calibration_error": 0.029}] * 2)
    judged = replace(fitted, quality=lambda outputs: next(qualities))
    assert Int8Exporter(Int8Settings()).export(judged, tmp_path).path.is_file()
    with pytest.raises(ExportError, match=r"Calibration error on 300 validation rows goes from 0\.0280 to 0\.0290"):
        Int8Exporter(Int8Settings(max_loss=0.0005)).export(judged, tmp_path)


def test_embedding_tables_are_reduced_where_that_is_asked_for(tmp_path: Path) -> None:
    ids = spox.argument(spox.Tensor(np.float32, ("N", 2)))
    table = np.random.default_rng(0).normal(size=(5000, 8)).astype(np.float32)
    column = op.cast(
        op.clip(op.gather(ids, op.const(np.array([1])), axis=1), op.const(np.float32(0)), op.const(np.float32(2))), to=np.int64
    )
    rows = op.gather(op.const(table), op.squeeze(column, op.const(np.array([1]))))
    scores = op.matmul(rows, op.const(np.ones((8, 1), np.float32)))
    fitted = replace(two_layers(), model=spox.build({"dense": ids}, {"scores": scores}))
    session = open_session(fitted.features.SerializeToString())

    def reference(raw: Raw) -> np.ndarray:
        (found,) = session.run(["dense"], {INPUT_PREFIX + name: values for name, values in raw.items()})
        return np.asarray(table[found[:, 1].clip(0, 2).astype(int)].sum(1, keepdims=True), np.float32)

    fitted = replace(fitted, reference=reference)
    sizes = []
    for embeddings in (False, True):
        exported = Int8Exporter(Int8Settings(embeddings=embeddings)).export(fitted, tmp_path)
        sizes.append(exported.path.stat().st_size)
    assert sizes[1] < 0.3 * sizes[0]


def test_what_cannot_be_loaded_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = two_layers()
    broken = onnx.ModelProto.FromString(fitted.model.SerializeToString())
    broken.graph.node[0].op_type = "NoSuchOperator"
    monkeypatch.setattr("shopkit.exporters.reduced.compose", lambda fitted: broken)
    with pytest.raises(
        ExportError, match=r"model\.int8\.onnx: ONNX Runtime does not load what its own tools made .*mode: dynamic"
    ):
        Int8Exporter(Int8Settings()).export(fitted, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_quantiser_is_quiet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Int8Exporter(Int8Settings()).export(two_layers(), tmp_path)
    assert "pre-processing" not in caplog.text
