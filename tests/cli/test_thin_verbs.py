"""`predict`, `report` and `compare`: arguments in, text out; what they call has tests of its own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli.conftest import Shopkit


@pytest.mark.parametrize("terminal", [False, True])
def test_predict(shopkit: Shopkit, monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    calls: list[tuple[Any, ...]] = []

    def predict_file(
        artifact: Path, data: Path, output: Path, *, threads: int, asked: Any, on_columns: Any, on_batch: Any = None
    ) -> int:
        assert asked == {}
        calls.append((artifact, data, output, threads))
        if on_batch is not None:
            on_batch(1234)
        return 1234

    monkeypatch.setattr("shopkit.predict.files.predict_file", predict_file)
    monkeypatch.setattr("shopkit.cli.predict.is_terminal", lambda: terminal)
    code, out, _ = shopkit("predict", "runs/one", "data.csv", "-o", "out.parquet", "--threads", "2")
    assert code == 0
    assert out.endswith("1,234 rows → out.parquet\n")
    assert calls == [(Path("runs/one"), Path("data.csv"), Path("out.parquet"), 2)]


def test_predict_wants_an_output(shopkit: Shopkit) -> None:
    code, _, err = shopkit("predict", "runs/one", "data.csv")
    assert code == 2
    assert err.startswith("Error: the following arguments are required: -o\nusage: shopkit predict")


@pytest.mark.parametrize("arguments", [["bench"], ["predict", "-o", "answers.csv", "visits.csv"]])
def test_a_table_where_a_run_is_wanted(shopkit: Shopkit, tmp_path: Path, arguments: list[str]) -> None:
    table = tmp_path / "visits.csv"
    table.write_text("a,b\n")
    verb, *rest = arguments
    code, _, err = shopkit(verb, str(table), *rest)
    assert code == 2
    assert err.startswith(
        f"Error: argument RUN_OR_ONNX: {table} is neither a run's folder nor an exported .onnx file.\nusage: shopkit {verb}"
    )


def test_report(shopkit: Shopkit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopkit.runs.Run.open", lambda path: path)
    monkeypatch.setattr("shopkit.report.render", lambda run: [run / "report.html", run / "model_card.md"])
    assert shopkit("report", "runs/one") == (0, "runs/one/report.html\nruns/one/model_card.md\n", "")


def test_report_of_no_run(shopkit: Shopkit) -> None:
    assert shopkit("report", "runs/none") == (1, "", "Error: There is no run folder runs/none.\n")


def test_compare(shopkit: Shopkit, monkeypatch: pytest.MonkeyPatch) -> None:
    def cell(text: str, interval: str, best: bool) -> SimpleNamespace:
        return SimpleNamespace(text=text, interval=interval, is_best=best)

    comparison = SimpleNamespace(
        runs=("one", "two"),
        metrics=[SimpleNamespace(title="AUROC", cells=(cell("0.9", "0.8 to 1.0", True), cell("0.8", "", False)))],
        differences=[("model.name", ("mlp", "linear"))],
        notes=("The test rows differ.",),
    )
    monkeypatch.setattr("shopkit.runs.Run.open", lambda path: path)
    monkeypatch.setattr("shopkit.report.compare", lambda runs, output: comparison)
    code, out, _ = shopkit("compare", "runs/one", "runs/two", "-o", "page.html")
    assert code == 0
    assert out == (
        "Metric  one                two\nAUROC   0.9* (0.8 to 1.0)  0.8\n\n"
        "Setting     one  two\nmodel.name  mlp  linear\n\nNote: The test rows differ.\n\npage.html\n"
    )


def test_compare_wants_two_runs(shopkit: Shopkit) -> None:
    code, _, err = shopkit("compare", "runs/one")
    assert code == 2
    assert err.startswith("Error: give at least two runs to compare\nusage: shopkit compare")
