"""The model in OpenVINO, with features and decision in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.runtimes.conftest import Case, absent, answered, compare
from tests.runtimes.families import FAMILIES

pytestmark = pytest.mark.runtimes


@pytest.mark.parametrize("family", FAMILIES)
def test_openvino_gives_the_same_answers(family: str, case: Callable[[str], Case]) -> None:
    try:
        from shopkit.runtime.openvino import OpenVINOPredictor, require_openvino

        require_openvino()
    except Exception as error:
        absent(str(error))
    asked = case(family)
    predictor = OpenVINOPredictor(asked.run.path / "exports" / "openvino")
    compare(answered(predictor, asked.batches), asked.expected, 1e-4)
