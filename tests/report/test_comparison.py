from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from shopkit.errors import RunError
from shopkit.report import compare
from shopkit.runs import Run, read_json, write_json

MakeRun = Callable[..., Run]


def test_metrics_stand_side_by_side_with_the_best_marked(make_run: MakeRun) -> None:
    runs = [make_run("binary", name="first"), make_run("binary", name="second")]
    metrics = read_json(runs[1].metrics_path)
    metrics["metrics"]["test"]["auroc"] = {"value": 0.95, "low": 0.94, "high": 0.96}
    metrics["metrics"]["test"]["log_loss"] = {"value": 0.9, "low": 0.8, "high": 1.0}
    write_json(runs[1].metrics_path, metrics)

    found = compare(runs)

    assert found.runs == ("first", "second")
    rows = {row.name: row for row in found.metrics}
    assert next(iter(rows)) == "auroc"
    assert [(cell.text, cell.interval, cell.is_best) for cell in rows["auroc"].cells] == [
        ("0.912", "0.902 to 0.922", False),
        ("0.950", "0.940 to 0.960", True),
    ]
    assert [cell.is_best for cell in rows["log_loss"].cells] == [True, False]
    assert found.notes == ()


def test_only_settings_that_differ_are_told(make_run: MakeRun) -> None:
    runs = [make_run("binary", name="a"), make_run("binary", name="b")]
    runs[1].config_path.write_text(runs[1].config_path.read_text().replace("depth: 2, dropout: 0.1", "depth: 3"))
    assert dict(compare(runs).differences) == {"name": ("a", "b"), "model.depth": ("2", "3"), "model.dropout": ("0.1", "–")}


def test_what_makes_a_comparison_unfair_is_said(make_run: MakeRun) -> None:
    runs = [make_run("binary", name="a"), make_run("regression", name="b", n_rows={"test": 5})]
    runs[1].finish_stage("examples", {**(runs[1].facts("examples") or {}), "fingerprint": "other"})
    notes = " ".join(compare(runs).notes)
    for words in ("different tasks", "different data", "differ in size"):
        assert words in notes


@pytest.mark.parametrize("keys", [{"row": [3, 1, 2, 0]}, {}])
def test_test_parts_of_one_size_may_be_of_different_rows(make_run: MakeRun, keys: dict[str, list[int]]) -> None:
    runs = [make_run("binary", name=name) for name in ("a", "b", "c")]
    for run, parts in zip(runs, ("train test train test", "validation test train test", "test train train test"), strict=True):
        pd.DataFrame({**keys, "part": parts.split()}).to_parquet(run.split_path)
    assert compare(runs[:2]).notes == ()
    assert compare(runs).notes == (
        "The test parts are of one size, but not the same rows, so a difference may be one of the rows.",
    )


def test_the_page_overlays_the_curves(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run("binary", name="<b>first</b>"[1:2] + "first"), make_run("binary", name="second")]
    path = tmp_path / "comparison.html"
    compare(runs, path)
    text = path.read_text(encoding="utf-8")
    assert text.count('<svg class="chart"') == 4
    assert "<h1>2 runs side by side</h1>" in text
    assert "http" not in text.replace("http-equiv", "")


def test_runs_of_one_name_are_told_apart_by_their_folder(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run("binary", name="a"), make_run("binary", name="b")]
    runs[1].config_path.write_text(runs[1].config_path.read_text().replace("name: b", "name: a"))
    assert compare(runs).runs == ("a (a)", "a (b)")


def test_a_run_without_metrics_is_refused(make_run: MakeRun) -> None:
    run = make_run("binary")
    run.metrics_path.unlink()
    with pytest.raises(RunError, match="it was not evaluated"):
        compare([run, run])
