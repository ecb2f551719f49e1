from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable

import pytest

from shopkit.report.calling import snippets
from shopkit.report.columns import summarise
from shopkit.report.facts import Facts
from shopkit.runs import Run
from shopkit.schema import Column

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
