"""The model in OpenVINO, with features and decision in ONNX Runtime."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from shopkit.errors import ArtifactError
from shopkit.runtime.openvino import OpenVINOPredictor, require_openvino
from tests.runtimes.conftest import Case, absent, answered, compare
from tests.runtimes.families import EVERY

pytestmark = pytest.mark.runtimes


@pytest.mark.parametrize("family", EVERY)
def test_openvino_gives_the_same_answers(family: str, case: Callable[[str], Case]) -> None:
    try:
        require_openvino()
    except ArtifactError as error:
        absent("openvino", str(error))
    asked = case(family)
    predictor = OpenVINOPredictor(asked.run.path / "exports" / "openvino")
    compare(answered(predictor, asked.batches), asked.expected, 1e-4)


def lacking(path: Path) -> set[str]:
    """Operators of a file that OpenVINO says it has not."""
    openvino = pytest.importorskip("openvino")
    try:
        openvino.Core().read_model(path)
    except RuntimeError as error:
        # "… for operations: StringNormalizer-21, ai.onnx.ml.LabelEncoder, com.microsoft.Tokenizer"
        names = str(error).partition("No conversion rule found for operations: ")[2].splitlines()[0]
        return {name.split(".")[-1].split("-")[0] for name in names.split(", ")}
    return {"Gather"}  # of the labels, on which it fails only when asked


@pytest.mark.parametrize("family", EVERY)
def test_the_card_names_what_openvino_lacks(family: str, case: Callable[[str], Case]) -> None:
    run = case(family).run
    lacks = lacking(run.model_path)
    card = run.card_path.read_text(encoding="utf-8")
    assert lacks <= set(re.findall(r"`(\w+)`", card[card.index("Another runtime may lack") :]))
    assert "it is in `exports/openvino/` as `model.xml`" in card
    assert ("`tokenizer.json` beside it is the same tokenizer in Hugging Face's format" in card) == (family == "text_pieces")
