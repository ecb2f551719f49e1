"""What a file says of itself is not taken at its word."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from shopkit.errors import ArtifactError
from shopkit.runtime import Predictor

GOLDEN = Path(__file__).parents[1] / "golden" / "v1"
Facts = dict[str, Any]
OPTION = {"name": "k", "input": "k", "dtype": "int64", "meaning": "how many", "default": 1}


def saying(folder: Path, change: Callable[[Facts], Any], golden: str = "plain") -> Path:
    """A sound graph that says something else of itself."""
    model = onnx.load(GOLDEN / f"{golden}.onnx")
    facts = json.loads(model.metadata_props[0].value)
    change(facts)
    model.metadata_props[0].value = json.dumps(facts)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def column(facts: Facts, name: str) -> Facts:
    return next(found for found in facts["schema"] if found["name"] == name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: facts.update(block_rows=-1), "block_rows is -1"),
        (lambda facts: facts.update(block_rows="abc"), "block_rows is 'abc'"),
        (lambda facts: facts.update(block_rows=True), "block_rows is True"),
        (lambda facts: facts.update(options=[{"name": "k"}]), "the input of an option: None is not a text"),
        (lambda facts: facts.update(options={}), r"options: \{\} is not a list"),
        (
            lambda facts: facts.update(options=[{**OPTION, "dtype": "complex"}]),
            "option 'k' has dtype='complex'; there are float32",
        ),
        (lambda facts: facts.update(options=[{**OPTION, "default": None}]), r"option 'k' of shape \[\] has default=None"),
        (lambda facts: facts.update(options=[{**OPTION, "default": "x"}]), r"option 'k' of shape \[\] has default='x'"),
        (lambda facts: facts.update(options=[{**OPTION, "default": True}]), r"option 'k' of shape \[\] has default=True"),
        (lambda facts: facts.update(options=[{**OPTION, "default": 2**63}]), r"option 'k' of shape \[\] has default=9223372"),
        (lambda facts: facts.update(options=[{**OPTION, "column": []}]), r"the column of an option: \[\] is not a text"),
        (
            lambda facts: facts.update(options=[{**OPTION, "shape": ["M"], "default": 3}]),
            "default of option 'k': 3 is not a list",
        ),
        (lambda facts: facts.update(options=[OPTION, OPTION]), "there are two of the option 'k'"),
        (lambda facts: facts["inputs"].update(price=5), "the input of price: 5 is not a text"),
        (lambda facts: facts["inputs"].update(price="pages"), "there are two of the input 'pages'"),
        (lambda facts: facts["inputs"].pop("price"), "no input is named for price"),
        (lambda facts: facts.update(inputs=[]), r"inputs: \[\] is not an object"),
        (lambda facts: facts.update(schema=[], inputs={}), "no column is a feature"),
        (lambda facts: facts["schema"].append(facts["schema"][0]), "there are two of the column 'customer'"),
        (
            lambda facts: column(facts, "price").update(kind="blob"),
            "column 3 has kind='blob'; there are number, string, time, image",
        ),
        (lambda facts: column(facts, "price").update(role="x"), "column 3 has role='x'; there are feature"),
        (lambda facts: column(facts, "price").update(kind=[]), r"column 3 has kind=\[\]"),
        (lambda facts: column(facts, "price").update(else_=1), "column 3 has else_=1"),
        (lambda facts: column(facts, "price").pop("kind"), "column 3 has kind=None"),
        (lambda facts: column(facts, "price").update(kind="image"), "column 'price' of kind image has channels=0"),
        (lambda facts: column(facts, "at").update(unit="../../etc/passwd"), "column 'at' is in the time zone '../../etc/passwd'"),
        (lambda facts: column(facts, "at").update(unit="Moon/Base"), "'Moon/Base', which Python does not find here"),
        (lambda facts: facts.update(outputs=[]), "no output is named"),
        (lambda facts: facts["outputs"][0].update(name=None), "the name of an output: None is not a text"),
        (lambda facts: facts["outputs"][0].update(classes=5), "classes: 5 is not a list"),
        (lambda facts: facts["outputs"][0].update(classes=[5]), "a class: 5 is not a text"),
        (lambda facts: facts["outputs"].append(facts["outputs"][0]), "there are two of the output 'probability'"),
        (lambda facts: facts.pop("schema"), "KeyError: 'schema'"),
    ],
)
def test_a_description_that_cannot_be_read(change: Callable[[Facts], Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=rf"model\.onnx: what the file says of itself cannot be read \(.*{message}"):
        Predictor(saying(tmp_path, change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda facts: facts["inputs"].update(price="nope"),
            "the input 'nope' is a tensor.float. of 1 dimensions as it says, and not there",
        ),
        (
            lambda facts: facts["schema"].remove(column(facts, "price")),
            "the input 'price' is not there as it says, and a tensor.float.",
        ),
        (
            lambda facts: column(facts, "price").update(kind="string"),
            r"'price' is a tensor\(string\) of 1 .* and a tensor\(float\)",
        ),
        (lambda facts: column(facts, "price").update(double=True), r"'price' is a tensor\(double\)"),
        (lambda facts: column(facts, "price").update(sequence=True), "the input '' is a tensor.int64. of 1 dimensions"),
        (
            lambda facts: facts.update(options=[OPTION]),
            "the input 'k' is a tensor.int64. of 0 dimensions as it says, and not there",
        ),
        (lambda facts: facts["outputs"][0].update(name="nope"), "the graph has no output 'nope'"),
        (
            lambda facts: facts["outputs"][0].update(classes=["a", "b"]),
            r"the output 'probability' has the shape \['N'\] and 2 classes",
        ),
        (lambda facts: facts["outputs"][0].update(per="rank"), r"the output 'probability' has the shape \['N'\]"),
    ],
)
def test_a_description_of_another_graph(change: Callable[[Facts], Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=rf"model\.onnx: what the file says of itself does not fit its graph \(.*{message}"):
        Predictor(saying(tmp_path, change))


def test_the_lengths_of_sequences_are_an_input(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"the input .elsewhere. is a tensor.int64. of 1 dimensions as it says"):
        Predictor(saying(tmp_path, lambda facts: facts.update(lengths="elsewhere"), "sequence"))
    assert Predictor(saying(tmp_path, lambda facts: facts.update(block_rows=2), "sequence")).inputs["seen"].sequence
