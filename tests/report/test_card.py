from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopkit.report import render
from shopkit.report.card import cell
from shopkit.runs import Run
from shopkit.schema import Column

MakeRun = Callable[..., Run]
NOT_ESCAPED = re.compile(r"(?<!\\)\|")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def tables(text: str) -> Iterator[list[str]]:
    """The tables of a Markdown text: runs of lines that start with a bar."""
    for block in re.split(r"\n(?!\|)", text):
        lines = [line for line in block.splitlines() if line.startswith("|")]
        if lines:
            yield lines


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_every_table_is_a_table(make_run: MakeRun, kind: str) -> None:
    hostile = Column("a | b <script> `c`\n*d*", "number", unit="$|€")
    run = make_run(kind, columns=(hostile, Column("id", "string", "key")))
    render(run)
    text = without_code(run.card_path.read_text(encoding="utf-8"))
    found = list(tables(text))
    assert len(found) == 4
    for head, rule, *rows in found:
        assert re.fullmatch(r"\|(:?-+:?\|)+", rule)
        assert rows
        width = len(NOT_ESCAPED.findall(head))
        assert [len(NOT_ESCAPED.findall(row)) for row in (rule, *rows)] == [width] * (len(rows) + 1)
    assert "<script" not in text


def test_the_card_says_what_it_must(make_run: MakeRun) -> None:
    run = make_run("binary")
    render(run)
    text = run.card_path.read_text(encoding="utf-8")
    for heading in ("Intended use", "Data", "Metrics", "Limits", "Inputs", "Outputs", "How to call it", "Provenance"):
        assert f"\n## {heading}\n" in text
    assert "| AUROC | 0.912 | 0.902 to 0.922 | 0.915 |" in text
    assert re.search(r"\| spend\\_28\\_days \| float32 \| [\d.]+\s% \| USD \|", text)
    assert "has drifted between training and test" in text
    assert "free for research and teaching" in text
    assert "\n\n\n" not in text


LACKING = {"text": ["LabelEncoder", "Where"], "ai.onnx.ml": ["LabelEncoder"], "com.microsoft": ["Tokenizer"]}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "Give it the model alone, which takes coded inputs: `exports=[openvino]` writes it as `model.xml`"),
        ({"exports": {"openvino": {}}}, "takes coded inputs: it is in `exports/openvino/` as `model.xml`"),
        ({"model_operators": {"ai.onnx.ml": ["Scaler"]}}, "with coded inputs, needs `Scaler` too: it is for ONNX Runtime."),
    ],
)
def test_what_other_runtimes_lack_and_what_works_there(make_run: MakeRun, facts: dict[str, object], said: str) -> None:
    run = make_run("binary")
    run.finish_stage("export", {**(run.facts("export") or {}), "operators": LACKING, **facts})
    render(run)
    text = run.card_path.read_text(encoding="utf-8")
    assert "| operators for text (OpenVINO, for one) | `LabelEncoder`, `Where` |" in text
    assert "| ONNX Runtime's own `com.microsoft` | `Tokenizer` |" in text
    assert said in text
    assert "\n\n\n" not in text


@given(st.text())
def test_a_cell_stays_one_cell(text: str) -> None:
    written = cell(text)
    assert "\n" not in written
    assert "<" not in written
    assert not re.search(r"(?<!\\)(\\\\)*\|", written)
