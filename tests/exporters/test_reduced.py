from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import spox
import spox.opset.ai.onnx.v21 as op

from shopkit.errors import ConfigError, ExportError
from shopkit.exporters.base import Change, Exporter, Fitted, Raw
from shopkit.exporters.onnx import OnnxExporter
from shopkit.exporters.reduced import Fp16Exporter, Int8Exporter
from shopkit.exporters.settings import Fp16Settings, Int8Settings, OnnxSettings
from shopkit.runtime import Predictor, canonicalise
from shopkit.runtime.artifact import open_session
from shopkit.runtime.blocks import Footprint, in_blocks
from shopkit.schema import INPUT_PREFIX, Column, Schema
from tests.handmade import WEIGHT, make_fitted


def measured(fitted: Fitted, name: str = "auroc", before: float = 0.9, after: float = 0.9, spread: float = 0.0) -> Fitted:
    """A metric of the fitted model and of any other answers, whose change is known but for `spread`."""
    change = Change(before, after, after - before - spread, after - before + spread)
    return replace(fitted, changes=lambda first, second: {"auroc": Change(0.5, 0.5, 0.0, 0.0), name: change})


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
    exported = Int8Exporter(Int8Settings()).export(measured(make_fitted(), "auroc", 0.9, 0.899), tmp_path)
    (before,), (after,) = (exported.facts["quality"][which].values() for which in ("before", "after"))
    assert (before, after) == (0.9, 0.899)


def test_a_loss_above_the_limit_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(
        ExportError,
        match=r"int8\.onnx: AUROC on 300 validation rows goes from 0\.9000 to 0\.8000 once reduced, a loss of 0\.0800 at least",
    ):
        Int8Exporter(Int8Settings(max_loss=0.05)).export(measured(make_fitted(), "auroc", 0.9, 0.8, spread=0.02), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_chance_explains_is_kept_and_told(tmp_path: Path) -> None:
    exported = Int8Exporter(Int8Settings()).export(measured(make_fitted(), "auroc", 0.73, 0.71, spread=0.018), tmp_path)
    assert exported.facts["quality"] == {"before": {"auroc": 0.73}, "after": {"auroc": 0.71}}


@pytest.mark.parametrize("name", ["precision", "recall", "f1", "accuracy"])
def test_metrics_at_a_threshold_are_told_and_not_judged(tmp_path: Path, name: str) -> None:
    exported = Int8Exporter(Int8Settings()).export(measured(make_fitted(), name, 0.73, 0.6), tmp_path)
    assert exported.facts["quality"]["after"][name] == 0.6


def test_a_metric_that_is_no_number_any_more_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"AUROC on 300 validation rows goes from 0\.9000 to nan"):
        Int8Exporter(Int8Settings()).export(measured(make_fitted(), "auroc", 0.9, float("nan")), tmp_path)


def test_answers_far_from_the_models_are_refused_by_a_limit_of_their_own(tmp_path: Path) -> None:
    wrong = make_fitted(exported_weight=WEIGHT * np.float32(0.5))
    with pytest.raises(ExportError, match=r"output 'probability' differs by .* more than max_difference=0\.1 of the spread"):
        Int8Exporter(Int8Settings()).export(wrong, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert Int8Exporter(Int8Settings(max_difference=10)).export(wrong, tmp_path).path.is_file()


@pytest.mark.parametrize("exporter", [Int8Exporter(Int8Settings()), Fp16Exporter(Fp16Settings()), OnnxExporter(OnnxSettings())])
def test_without_held_out_rows_nothing_is_said_to_be_equal(tmp_path: Path, exporter: Exporter) -> None:
    fitted = make_fitted()
    empty = replace(fitted, held_out={name: values[:0] for name, values in fitted.held_out.items()})
    with pytest.raises(
        ExportError, match=r"The validation part has no rows, so no file can be compared with the model\. Give it"
    ):
        exporter.export(empty, tmp_path)
    assert list(tmp_path.iterdir()) == []


def without_weights() -> Fitted:
    """A model that is a sum, with no product to reduce."""
    fitted = make_fitted()
    session = open_session(fitted.features.SerializeToString())
    dense = spox.argument(spox.Tensor(np.float32, ("N", 2)))
    model = spox.build({"dense": dense}, {"scores": op.reduce_sum(dense, op.const(np.array([1])), keepdims=1)})

    def reference(raw: Raw) -> np.ndarray:
        (found,) = session.run(["dense"], {INPUT_PREFIX + name: values for name, values in raw.items()})
        return np.asarray(found.sum(1, keepdims=True), np.float32)

    return replace(fitted, model=model, reference=reference)


@pytest.mark.parametrize(
    ("exporter", "said"),
    [
        (Int8Exporter(Int8Settings()), "it has no matrix product with a weight"),
        (Int8Exporter(Int8Settings(mode="static")), "it has no matrix product or convolution with a weight"),
        (Int8Exporter(Int8Settings(embeddings=True)), "it has no matrix product with a weight, nor an embedding table"),
        (Fp16Exporter(Fp16Settings()), "it has no weights in 32-bit floats"),
    ],
)
def test_a_model_without_anything_to_reduce_is_refused(tmp_path: Path, exporter: Exporter, said: str) -> None:
    with pytest.raises(
        ExportError, match=rf"nothing in this model can be reduced \({said}\), so the file would be that of the full"
    ):
        exporter.export(without_weights(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_static_ranges_are_those_of_training_rows(tmp_path: Path) -> None:
    asked = []
    fitted = two_layers()

    def training(most: int) -> Raw:
        asked.append(most)
        return {name: values[:most] for name, values in fitted.held_out.items()}

    def calibrated(rows: Raw) -> bytes:
        seen = replace(fitted, training=lambda most: {name: values[:most] for name, values in rows.items()})
        return Int8Exporter(Int8Settings(mode="static", max_difference=10)).export(seen, tmp_path).path.read_bytes()

    exporter = Int8Exporter(Int8Settings(mode="static", calibration_rows=100))
    exporter.export(replace(fitted, training=training), tmp_path)
    assert asked == [100]
    wide = {"price": fitted.held_out["price"] * np.float32(10), "color": fitted.held_out["color"]}
    assert calibrated(fitted.held_out) != calibrated(wide)
    for nothing in (None, lambda most: {name: values[:0] for name, values in fitted.held_out.items()}):
        with pytest.raises(ExportError, match="mode static needs training rows to fix ranges by, and there are none"):
            exporter.export(replace(fitted, training=nothing), tmp_path)


def test_numbers_too_large_for_half_floats_are_refused(tmp_path: Path) -> None:
    fitted = make_fitted()
    rows = {"price": np.full(300, 1e6, np.float32), "color": fitted.held_out["color"]}
    with pytest.raises(ExportError, match=r"output 'probability' is not finite once reduced|goes from"):
        Fp16Exporter(Fp16Settings()).export(measured(replace(fitted, held_out=rows), "auroc", 0.9, 0.5), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "fast"}, "^mode is 'fast'; it must be dynamic or static"),
        ({"max_loss": 1.5}, "^max_loss must lie between 0 and 1, got 1.5"),
        ({"check_rows": 0}, "^check_rows must be at least 1, got 0"),
        ({"max_difference": 0.0}, "^max_difference must be above 0 and at most 10, got 0.0"),
    ],
)
def test_settings_are_checked(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Int8Settings(**settings)


def test_an_error_of_probabilities_is_judged_as_shares_are(tmp_path: Path) -> None:
    judged = measured(two_layers(), "calibration_error", 0.028, 0.029)
    assert Int8Exporter(Int8Settings()).export(judged, tmp_path).path.is_file()
    with pytest.raises(ExportError, match=r"Calibration error on 300 validation rows goes from 0\.0280 to 0\.0290"):
        Int8Exporter(Int8Settings(max_loss=0.0005)).export(judged, tmp_path)


def of_photographs() -> Fitted:
    """Three means of a picture's channels, a product of them; pictures of several sizes, and one that is missing."""
    photo = spox.argument(spox.Tensor(np.uint8, ("N", "H", "W", 3)))
    dense = op.div(
        op.reduce_mean(op.cast(photo, to=np.float32), op.const(np.array([1, 2])), keepdims=0), op.const(np.float32(255))
    )
    features = spox.build({INPUT_PREFIX + "photo": photo}, {"dense": dense})
    weight = np.array([[1.0], [-2.0], [0.5]], np.float32)
    argument = spox.argument(spox.Tensor(np.float32, ("N", 3)))
    # The last product keeps its precision where ranges are fixed.
    scores = op.gemm(op.matmul(argument, op.const(np.eye(3, dtype=np.float32))), op.const(weight))
    column = Column("photo", "image", channels=3)
    session = open_session(features.SerializeToString())

    def some(raw: Raw) -> dict[str, np.ndarray]:
        return {"dense": session.run(["dense"], {INPUT_PREFIX + "photo": np.stack(list(raw["photo"]))})[0]}

    rng = np.random.default_rng(0)
    sizes = [(8, 8), (12, 5), (3, 20)] * 30
    pictures = [rng.integers(0, 256, 3, np.uint8) + np.zeros((*size, 3), np.uint8) for size in sizes]
    rows = {"photo": canonicalise([*pictures, None], column)}
    return replace(
        make_fitted(),
        schema=Schema((column,)),
        features=features,
        model=spox.build({"dense": argument}, {"scores": scores}),
        reference=lambda raw: np.asarray(in_blocks(raw, [column], Footprint(), some)["dense"] @ weight, np.float32),
        held_out=rows,
        training=lambda most: {"photo": rows["photo"][:most]},
    )


@pytest.mark.parametrize(
    "exporter", [Int8Exporter(Int8Settings()), Int8Exporter(Int8Settings(mode="static")), Fp16Exporter(Fp16Settings())]
)
def test_pictures_of_several_sizes_and_missing_ones_are_compared_as_well(tmp_path: Path, exporter: Exporter) -> None:
    exported = exporter.export(of_photographs(), tmp_path)
    assert exported.path.is_file()
    assert 0 < exported.checks["probability"] < 0.05


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


@pytest.mark.parametrize(
    ("exporter", "advice"),
    [
        (Int8Exporter(Int8Settings(mode="static")), "Choose mode: dynamic, or leave it out of exports."),
        (Int8Exporter(Int8Settings()), "Leave it out of exports."),
        (Fp16Exporter(Fp16Settings()), "Leave it out of exports."),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exporter: Exporter, advice: str
) -> None:
    fitted = two_layers()
    broken = onnx.ModelProto.FromString(fitted.model.SerializeToString())
    broken.graph.node[0].op_type = "NoSuchOperator"
    monkeypatch.setattr("shopkit.exporters.reduced.compose", lambda fitted: broken)
    with pytest.raises(ExportError, match=r"ONNX Runtime does not load what its own tools made of this model") as raised:
        exporter.export(fitted, tmp_path)
    assert str(raised.value).endswith(f"The file was not kept. {advice}")
    assert list(tmp_path.iterdir()) == []


def test_what_the_tools_cannot_take_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object, **more: object) -> None:
        raise AttributeError("no such tensor\nand more")

    monkeypatch.setattr("onnxruntime.quantization.quantize_dynamic", fails)
    with pytest.raises(
        ExportError, match=r"tools cannot reduce this model \(AttributeError: no such tensor\)\. The file was not"
    ):
        Int8Exporter(Int8Settings()).export(two_layers(), tmp_path)


def test_the_quantiser_is_quiet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Int8Exporter(Int8Settings()).export(two_layers(), tmp_path)
    assert "pre-processing" not in caplog.text
