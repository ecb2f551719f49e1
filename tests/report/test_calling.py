from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from shopkit.report.calling import snippets
from shopkit.report.columns import Summary, summarise
from shopkit.report.facts import Facts
from shopkit.runs import Run
from shopkit.runtime.artifact import Description
from shopkit.schema import Column, Schema

MakeRun = Callable[..., Run]


def code_of(run: Run) -> dict[str, str]:
    facts = Facts.read(run)
    assert facts.description is not None
    return {snippet.title: snippet.code for snippet in snippets(facts.description, summarise(run.examples_path, facts.columns))}


def printed(code: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "snippet", "exec"), {})
    return out.getvalue()


def test_both_python_examples_run_as_they_stand_and_agree(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    quoted = Column('it\'s "quoted" \\ naïve', "string")
    run = make_run("binary", columns=(quoted, Column("price", "number"), Column("seen", "time"), Column("id", "string", "key")))
    code = code_of(run)
    monkeypatch.chdir(run.path)
    with_shopkit, bare = printed(code["Python"]), printed(code["Python without shopkit"])
    assert float(re.findall(r"[\d.]{4,}", with_shopkit)[0]) == pytest.approx(float(re.findall(r"[\d.]{4,}", bare)[0]), abs=1e-6)


def test_the_node_example_names_every_input_with_its_type(make_run: MakeRun) -> None:
    code = code_of(make_run("binary"))["Node"]
    assert '"raw_0": new ort.Tensor("float32", [' in code
    assert '"raw_2": new ort.Tensor("string", ["GROCERY"], [1])' in code
    assert re.search(r'"raw_3": new ort\.Tensor\("int64", BigInt64Array\.of\(\d+n\), \[1\]\)', code)
    assert 'answer["probability"].data' in code


def test_without_examples_the_values_are_empty_ones(make_run: MakeRun) -> None:
    run = make_run("binary")
    run.examples_path.unlink()
    assert "'favourite_department': ''" in code_of(run)["Python"]


def test_an_image_is_made_of_zeros_of_the_commonest_size() -> None:
    photo = Column("photo", "image", channels=3)
    facts = {
        "schema": Schema((photo,)).to_json(),
        "inputs": {"photo": "photo"},
        "outputs": [{"name": "label"}],
        "format_version": 1,
    }
    description = Description.from_json(json.dumps(facts), Path("model.onnx"))
    python, bare, node = snippets(description, {"photo": Summary(photo, 0.0, 5, median=(28, 20))})
    assert "import numpy as np" in python.code
    assert "'photo': np.zeros((28, 20, 3), np.uint8)," in python.code
    assert "'photo': np.array([np.zeros((28, 20, 3), np.uint8)], np.uint8)," in bare.code
    assert 'new ort.Tensor("uint8", new Uint8Array(1680), [1, 28, 20, 3])' in node.code


def test_a_text_that_may_not_be_shown_is_not_taken_for_an_empty_one() -> None:
    review = Column("review", "string")
    facts = {
        "schema": Schema((review,)).to_json(),
        "inputs": {"review": "review"},
        "outputs": [{"name": "label"}],
        "format_version": 1,
    }
    description = Description.from_json(json.dumps(facts), Path("model.onnx"))
    line, python, *_ = snippets(description, {"review": Summary(review, 0.0, 900)})
    assert "'review': '…'," in python.code
    assert line.code.startswith("shopkit predict ")
