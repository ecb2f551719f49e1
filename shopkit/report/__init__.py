"""The report of a run: `report.html` and `model_card.md`, made from the run folder alone, and the comparison of several runs."""

from __future__ import annotations

from pathlib import Path

from shopkit.report.card import model_card
from shopkit.report.columns import summarise
from shopkit.report.comparison import Comparison, compare
from shopkit.report.facts import Facts
from shopkit.report.page import html_page
from shopkit.runs import Run, replacing

__all__ = ["Comparison", "compare", "render"]


def render(run: Run) -> list[Path]:
    """Write `report.html` and `model_card.md` into the run folder; equal folders give equal bytes.

    Raises:
        RunError: the run was not evaluated, or its folder cannot be written.
        ArtifactError: its model.onnx cannot be read.
    """
    facts = Facts.read(run)
    summaries = summarise(run.examples_path, facts.columns, facts.memory)
    for path, text in ((run.report_path, html_page(facts, summaries)), (run.card_path, model_card(facts, summaries))):
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [run.report_path, run.card_path]
