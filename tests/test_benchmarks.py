"""The benchmarks' own scripts: that all are run, that what they found is told, and that a missing table is said."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

Script = Callable[[str], ModuleType]
FOLDER = Path(__file__).parents[1] / "benchmarks"
HELPERS = {"run_all", "table", "timing", "speed", "made_sequences", "made_shop", "pandas_view", "figures", "shown"}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name: str) -> ModuleType:
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return load


def test_the_page_is_that_of_the_results(script: Script) -> None:
    page = script("table").render()
    assert (FOLDER / "README.md").read_text(encoding="utf-8") == page, "run: python benchmarks/table.py"


def test_the_readmes_table_of_speed_is_that_of_the_results(script: Script) -> None:
    speed = script("speed")
    _, table, _ = speed.parts((FOLDER.parent / "README.md").read_text(encoding="utf-8"))
    assert table == speed.render(), "run: python benchmarks/table.py"


def test_only_the_table_of_speed_is_written(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speed = script("speed")
    monkeypatch.setattr(speed, "README", tmp_path / "README.md")
    speed.README.write_text(f"# A\n\n{speed.HEAD}| old | 1 |\n\n## B\n\n| x |\n", encoding="utf-8")
    speed.write()
    assert speed.README.read_text(encoding="utf-8") == f"# A\n\n{speed.HEAD}{speed.render()}\n## B\n\n| x |\n"


def test_a_missed_aim_is_told(script: Script) -> None:
    timing = script("timing")
    ratios = {
        "a / b, one row (at least 60, aim 100)": 59.0,
        "c (at most 2)": 2.01,
        "d (at least 4)": 4.0,
        "e (1.5 tried for)": 1.0,
    }
    result = {"ratios": ratios, "first": {"reached": False, "aim": 1.3}, "second": {"reached": True}, "list": [1], "name": "x"}
    assert timing.missed(result) == ["a / b, one row (at least 60, aim 100): 59.00", "c (at most 2): 2.01", "first, reached"]


def test_medians_keep_their_spread(script: Script) -> None:
    timing = script("timing")
    found = timing.medians({"a": lambda: None, "b": lambda: sum(range(2000))}, 0.05, spread := {}, warm_up=1)
    for name, median in found.items():
        assert 0 <= spread[name]["low"] <= median <= spread[name]["high"]


def test_every_result_is_told_with_its_machine(script: Script) -> None:
    table = script("table")
    for path in sorted((FOLDER / "results").glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        shown = list(table.tables(path.stem, result))
        assert shown, path.name
        assert len(shown) == len(table.SHOWN.get(path.stem, shown)), f"{path.name}: a table has no rows"
        assert "x86_64" in table.machine(result) or "processor" in table.machine(result), path.name


def test_a_result_without_rules_shows_its_numbers_and_one_with_a_spread_shows_that(script: Script, tmp_path: Path) -> None:
    table = script("table")
    (tmp_path / "new_one.json").write_text(json.dumps({"a": {"b": 1.23456}, "machine": {"processor": "Z80", "cores": 1}}))
    (tmp_path / "inference.json").write_text(
        json.dumps(
            {
                "ratios": {"x (at most 3)": 2.0, "y": 1.0},
                "microseconds": {"one row": {"file": {"median": 16.0, "low": 15.5, "high": 18.25}}},
            }
        )
    )
    page = table.render(tmp_path)
    assert "| what | b |\n| :-- | --: |\n| a | 1.235 |" in page
    assert "<sub>processor Z80, cores 1</sub>" in page
    assert "| what | figure | aim |\n| :-- | --: | --: |\n| x | 2.00 | at most 3 |\n| y | 1.00 |  |" in page
    assert "| file | 16.0 (15.5 to 18.2) |" in page


def test_a_table_has_measures_as_columns(script: Script) -> None:
    table, shown = script("table"), script("shown")
    result = {
        "runs": {
            "a, csv": {"bytes": 3 * 2**20, "score": {"mean": 0.5, "spread": 0.25}, "ok": True},
            "a, text": {"bytes": 2**20, "stopped": "no memory"},
        },
        "folds": {"1 rows": [{"score": 0.3}, {"score": 0.1}, {"score": 0.2}], "b": [1, 2]},
    }
    grid = (
        shown.Measure("{column}, MiB", "runs/{who}, {column}/bytes", "{:.1f}", 2**20),
        shown.Measure("score", "runs/{who}, csv/score", "{:.2f}"),
        shown.Measure("ended", "runs/{who}, text/stopped", "stopped: {}", lacking="finished"),
        shown.Measure("ok", "runs/{who}, csv/ok"),
    )
    assert str(table._table(grid, result)).splitlines() == [
        "| who | csv, MiB | text, MiB | score | ended |",
        "| :-- | --: | --: | --: | --: |",
        "| a | 3.0 | 1.0 | 0.50 ± 0.25 | stopped: no memory |",
    ]
    folds = table._table((shown.Measure("score", "folds/{what}/score", "{:.1f}"),), result)
    assert folds.rows == {("1 row",): {"score": "0.2 (0.1 to 0.3)"}}
    with pytest.raises(ValueError, match=r"runs/a, \{column\}/bytes: two figures are 'MiB' of"):
        table._table((shown.Measure("MiB", "runs/a, {column}/bytes"),), result)


def test_every_network_measured_is_shown(script: Script) -> None:
    result = json.loads((FOLDER / "results" / "sasrec_accuracy.json").read_text(encoding="utf-8"))
    shown = {name for grid in script("table").tables("sasrec_accuracy", result) for (name,) in grid.rows}
    assert shown == set(result["results"])


def test_every_benchmark_is_run_by_run_all(script: Script) -> None:
    run_all = script("run_all")
    known = {one.script or one.name for one in run_all.EVERY}
    assert all((FOLDER / f"{name}.py").is_file() for name in known)
    left = {path.stem for path in FOLDER.glob("*.py")} - known - HELPERS
    assert left == set(run_all.BY_HAND)


def test_what_is_lacking_is_said(script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_all = script("run_all")
    benchmarks = {one.name: one for one in run_all.EVERY}
    with pytest.raises(run_all.LackingError, match="it needs bitext_intents in --data FOLDER"):
        run_all.arguments_of(benchmarks["intents_linear"], tmp_path, None)
    with pytest.raises(run_all.LackingError, match=r"it needs amazon_beauty_5core/sequences\.parquet in --data FOLDER"):
        run_all.arguments_of(benchmarks["sasrec_epoch"], None, tmp_path)
    (tmp_path / "amazon_beauty_5core").mkdir()
    (tmp_path / "amazon_beauty_5core" / "sequences.parquet").touch()
    with pytest.raises(run_all.LackingError, match="it needs --peers FOLDER"):
        run_all.arguments_of(benchmarks["sasrec_epoch"], tmp_path, None)
    assert run_all.arguments_of(benchmarks["inference"], None, None) == []
    assert run_all.arguments_of(benchmarks["sasrec_epoch"], tmp_path, tmp_path)[1:] == ["--rectools", str(tmp_path / "rectools")]


def test_a_graphics_card_that_is_not_there_is_left_out(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = script("gpu")
    monkeypatch.setattr(gpu.ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    _, left_out = gpu.sessions(gpu.to_onnx(*gpu.models()["MLP"]).SerializeToString())
    assert left_out["ONNX Runtime, CUDA"] == "this ONNX Runtime has no CUDAExecutionProvider"


def test_training_is_measured_on_the_device_there_is(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu, table = script("gpu"), script("table")
    monkeypatch.setattr(gpu, "LENGTH", 8)
    monkeypatch.setattr(gpu, "N_VOCABULARY", 1100)
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    tiny = ["--train", "--hidden=8", "--layers=1", "--batch=4", "--steps=2", "--epochs=8", "--peak-tflops=0.5"]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *tiny, f"--json={tmp_path / 'gpu.json'}"])
    gpu.main()
    assert "1 layers, width 8, 4 rows of 8 tokens a step, on CPU, 32-true" in capsys.readouterr().out
    (found,) = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["training"].values()
    # 8 tokens, each through 12 · 8² weights and 2 · 8 · 8 of attention; forward, and twice that backward.
    assert found["TFLOP/s"] == pytest.approx(found["rows a second"] * 6 * 8 * (12 * 64 + 2 * 8 * 8) / 1e12)
    assert found["share of the bf16 peak"] == pytest.approx(found["TFLOP/s"] / 0.5)
    assert "| what | rows a second | share of the bf16 peak |" in table.render(tmp_path)


@pytest.mark.parametrize(
    ("card", "peak"),
    [
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA H100 80GB HBM3", 989.0),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("NVIDIA L4", 121.0),
        ("NVIDIA L40", 0.0),
        ("NVIDIA H200 MIG 1g.18gb", 0.0),
    ],
)
def test_the_peak_of_a_card_is_known_by_its_name(script: Script, monkeypatch: pytest.MonkeyPatch, card: str, peak: float) -> None:
    gpu = script("gpu")
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu.torch.cuda, "get_device_name", lambda: card)
    assert gpu.known_peak() == peak


def test_the_recommenders_beside_the_shipped_ones_are_of_one_run(script: Script) -> None:
    """As the experiment names them, and some more; no figure is shown for a metric that it lacks."""
    pytest.importorskip("shopkit_recommend")
    from shopkit.config import compose
    from shopkit.registry import load_registry

    benchmark, registry = script("next_item"), load_registry()
    for name, more in benchmark.MORE.items():
        named = compose(name, [], registry).evaluation.baselines
        composed = compose(name, benchmark.overrides_of(name), registry).evaluation.baselines
        assert composed == [*({"name": spec} if isinstance(spec, str) else spec for spec in named), *more]
        assert all(registry.choice("models", {key: spec[key] for key in spec if key != "as"}) for spec in composed)
    one = {"value": 0.2, "low": 0.1, "high": 0.3}
    metrics = {
        "protocol": "full ranking",
        "n_rows": {"test": 9},
        "interval": {"n_units": 3},
        "metrics": {"test": {"ndcg_10": one, "coverage": one}},
        "baselines": {
            "constant": {"metrics": {"ndcg_10": one}, "difference": {"ndcg_10": one}},
            "popular": {"metrics": {"ndcg_10": one}, "difference": {"ndcg_10": {**one, "verdict": "better"}}},
        },
    }
    found = benchmark.figures(SimpleNamespace(metrics=metrics), "sasrec")
    assert found["results"] == {"sasrec": {"ndcg_10": one}, "popular": {"ndcg_10": one}}
    assert found["model minus"] == {"popular": {"ndcg_10": one}}
    (shown,) = script("table").tables("next_item", {"experiments": {"next_item": found}})
    *_, difference = shown.heads
    assert shown.rows["next_item", "sasrec"]["nDCG@10"] == "0.2000 (0.1000 to 0.3000)"
    assert shown.rows["next_item", "popular"][difference] == "+0.2000 (+0.1000 to +0.3000)"
