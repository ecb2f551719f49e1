"""What a file says that its rows take of memory, by the shapes inside its model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import spox
import spox.opset.ai.onnx.v21 as op

from shopkit.exporters.footprint import AT_ONCE, footprint, largest_value
from shopkit.exporters.onnx import OnnxExporter
from shopkit.exporters.settings import OnnxSettings
from shopkit.features.base import FeatureBlock, FeatureSpec
from shopkit.models.bert import Bert
from shopkit.models.settings import BertSettings
from shopkit.models.to_onnx import to_onnx
from shopkit.runtime import Predictor
from tests.handmade import make_fitted

HIDDEN, HEADS = 32, 4


def test_an_encoder_takes_what_its_widest_layer_and_its_attention_do() -> None:
    tokens = FeatureBlock("text", "wordpiece", "tokens", 0, 1, (), cardinality=50, shape=(128,))
    spec = FeatureSpec((tokens,))
    settings = BertSettings(encoder="scratch", layers=1, hidden_dim=HIDDEN, heads=HEADS)
    model = to_onnx(Bert(settings, spec, 1), spec)
    assert largest_value(model, 8) == 8 * 4 * HIDDEN * 4
    assert largest_value(model, 128) == HEADS * 128 * 128 * 4
    found = footprint(replace(make_fitted(), model=model, longest=128))
    assert found.read == pytest.approx(AT_ONCE * HEADS * 128 * 4, rel=0.01)
    assert found.longest == 128


def test_a_table_takes_its_widest_value_and_its_scores() -> None:
    x = spox.argument(spox.Tensor(np.float32, ("N", 3)))
    wide = op.matmul(x, op.const(np.ones((3, 5000), np.float32)))
    model = spox.build({"dense": x}, {"scores": op.reduce_sum(wide, op.const(np.array([1])))})
    assert largest_value(model, 1) == largest_value(model, 100) == 5000 * 4


def test_the_file_says_so(tmp_path: Path) -> None:
    predictor = Predictor(OnnxExporter(OnnxSettings()).export(make_fitted(), tmp_path).path)
    assert predictor.description.footprint == footprint(make_fitted())
    assert predictor.description.footprint.columns == ()
    assert predictor.description.footprint.row > 0
    assert predictor.description.footprint.read == 0
