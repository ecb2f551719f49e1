from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shopkit.report.facts import Facts
from shopkit.report.headline import Headline, headline
from shopkit.runs import Run

MakeRun = Callable[..., Run]


def of(run: Run) -> Headline:
    return headline(Facts.read(run))


def test_a_ranking_is_told_by_what_the_top_of_the_list_catches(make_run: MakeRun) -> None:
    curve = {"share_of_rows": [0.0, 0.1, 0.3, 1.0], "share_of_positives": [0.0, 0.5, 0.7, 1.0], "lift": [None, 5, 2.3, 1]}
    top = of(make_run("binary", curves={"gains": curve}))
    assert top.title == "The top 20\u00a0% of the list catch 60\u00a0% of all cases of “bought”"
    assert top.lead.startswith("That is 3.0 times what picking at random would catch, measured on 6,000 rows")


def test_where_positives_are_many_it_is_told_by_how_many_of_the_top_are_positive(make_run: MakeRun) -> None:
    curve = {"share_of_rows": [0.0, 0.2, 1.0], "share_of_positives": [0.0, 0.32, 1.0], "lift": [None, 1.6, 1]}
    target = {"classes": ["kept", "returned"], "positive": "returned", "rate": {"test": 0.6}}
    top = of(make_run("binary", curves={"gains": curve}, target=target))
    assert top.title == "96\u00a0% of the top 20\u00a0% are cases of “bought = returned”, against 60\u00a0% overall"
    assert top.lead.startswith("Rank by probability and start at the top. Measured on 6,000 rows")


def test_without_a_gains_curve_the_auroc_stands_in(make_run: MakeRun) -> None:
    assert of(make_run("binary", curves={})).title == "Ranks with an AUROC of 0.912"


def test_classes_are_told_by_accuracy_and_errors_in_their_unit(make_run: MakeRun) -> None:
    assert of(make_run("multiclass", name="a")).title == "Names the right one of 4 classes for 74.3\u00a0% of rows"
    assert of(make_run("regression", name="b")).title == "Off by 12.43\u00a0USD on average, 38\u00a0% less than a constant guess"


@pytest.mark.parametrize(
    ("verdict", "level", "words"),
    [
        ("better", "good", "Better than the constant guess: AUROC +0.100 (0.050 to 0.150)"),
        ("equal", "even", "Not distinguishable from the constant guess: AUROC +0.100 (0.050 to 0.150)"),
        ("worse", "bad", "Worse than the constant guess: AUROC +0.100 (0.050 to 0.150)"),
    ],
)
def test_a_verdict_is_taken_from_the_paired_difference(make_run: MakeRun, verdict: str, level: str, words: str) -> None:
    difference: dict[str, Any] = {"value": 0.1, "low": 0.05, "high": 0.15, "verdict": verdict}
    baselines = {"constant": {"metrics": {"auroc": {"value": 0.5}}, "difference": {"auroc": difference}}}
    (told,) = of(make_run("binary", baselines=baselines)).verdicts
    assert (told.level, told.text) == (level, words)


def test_a_difference_of_shares_is_in_points(make_run: MakeRun) -> None:
    first = of(make_run("multiclass")).verdicts[0]
    assert first.text == "Better than the constant guess: Accuracy +33.1\u00a0points (29.8 to 36.4)"
