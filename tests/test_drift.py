"""Drift of new data from the training part, by what an exported file carries."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shopkit
from shopkit.cli import main
from shopkit.drift import N_NAMES, ROWS_A_BATCH, DriftMonitor, population_stability, statistics
from shopkit.runs import Run
from shopkit.schema import MISSING_TIME
from tests.shop import TABLE, visits


def strings(*texts: str) -> np.ndarray:
    return np.array(texts, object)


def compared(train: np.ndarray, new: np.ndarray, kind: str) -> dict[str, object]:
    monitor = DriftMonitor({"x": statistics(train, kind)})
    monitor.update({"x": new})
    (entry,) = monitor.report()["columns"]
    return dict(entry)


def test_equal_data_do_not_drift_and_shifted_data_do() -> None:
    rng = np.random.default_rng(0)
    train = rng.normal(size=20_000).astype(np.float32)
    assert compared(train, train[::2], "number")["level"] == "none"
    shifted = compared(train, train[::2] + 1, "number")
    assert shifted["level"] == "large"
    times = (1.7e9 + 1e6 * train.astype(np.float64)).astype(np.int64)
    assert compared(times, times + 10**7, "time")["level"] == "large"


def test_few_rows_do_not_cry_wolf() -> None:
    rng = np.random.default_rng(1)
    train = rng.normal(size=5000).astype(np.float32)
    levels = [compared(train, rng.normal(size=40).astype(np.float32), "number")["level"] for _ in range(60)]
    assert levels.count("none") >= 54


def test_missing_values_and_unknown_categories_are_shares_of_all_rows() -> None:
    train = strings(*["a"] * 50, *["b"] * 45, *[""] * 5)
    found = compared(train, strings(*["a"] * 40, *["b"] * 20, *["new"] * 30, *[""] * 10), "string")
    assert (found["unseen"], found["unseen_train"], found["missing"], found["missing_train"]) == (0.3, 0.0, 0.1, 0.05)
    assert found["level"] == "large"
    numbers = compared(np.arange(1000, dtype=np.float32), np.where(np.arange(1000) % 2, np.nan, np.arange(1000)), "number")
    assert (numbers["missing"], numbers["unseen"], numbers["level"]) == (0.5, None, "large")
    assert compared(np.full(50, MISSING_TIME), np.full(50, MISSING_TIME), "time")["missing"] == 1.0


def test_free_text_leaves_none_of_its_words() -> None:
    rng = np.random.default_rng(2)
    texts = strings(*(f"review {i} " + "very " * int(rng.integers(0, 30)) for i in range(2000)))
    kept = statistics(texts, "string")
    assert kept["kind"] == "text"
    assert "review" not in json.dumps(kept)
    assert compared(texts, texts, "string")["level"] == "none"
    assert compared(texts, strings(*["short"] * 500), "string")["level"] == "large"


def test_long_tails_keep_their_head() -> None:
    texts = strings(*(f"p{i}" for i in range(1000) for _ in range(1000 // (i + 1))))
    kept = statistics(texts, "string")
    assert (kept["kind"], len(kept["names"])) == ("string", N_NAMES)
    assert sum(kept["counts"]) + kept["other"] == len(texts)
    assert compared(texts, texts, "string")["unseen"] == kept["other"] / len(texts)


def test_steps_of_sequences_are_taken_together() -> None:
    rows = np.empty(3, object)
    rows[:] = [np.array([1.0, 2.0], np.float32), np.array([], np.float32), np.array([3.0], np.float32)]
    kept = statistics(rows, "number")
    assert sum(kept["counts"]) == 3
    assert compared(rows, rows, "number")["psi"] == 0


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6, width=32)), min_size=1, max_size=200),
    n_batches=st.integers(1, 4),
)
def test_batches_count_as_the_whole(values: list[float], n_batches: int) -> None:
    column = np.array(values, np.float32)
    whole, parts = (DriftMonitor({"x": statistics(column, "number")}) for _ in range(2))
    whole.update({"x": column})
    for part in np.array_split(column, n_batches):
        parts.update({"x": part})
    assert whole.report() == parts.report()
    assert whole.report()["columns"][0]["psi"] == 0


def test_large_batches_are_looked_at_in_part() -> None:
    column = np.arange(10 * ROWS_A_BATCH, dtype=np.float32)
    monitor = DriftMonitor({"x": statistics(column, "number")})
    monitor.update({"x": column})
    report = monitor.report()
    assert (report["n_rows"], report["n_looked_at"]) == (len(column), ROWS_A_BATCH)
    assert report["columns"][0]["psi"] < 1e-3


def test_population_stability_of_a_known_case() -> None:
    assert population_stability(np.array([999_999, 999_999]), np.array([1_999_999, 999_999])) == pytest.approx(
        (2 / 3 - 1 / 2) * np.log((2 / 3) / (1 / 2)) + (1 / 3 - 1 / 2) * np.log((1 / 3) / (1 / 2)), abs=1e-5
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    overrides = [*TABLE, "model=linear", "trainer.max_epochs=1", "features.ignore=[amount]"]
    return shopkit.run(data=visits(), overrides=overrides, folder=tmp_path_factory.mktemp("drift") / "run")


def test_predict_says_which_columns_drifted(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = visits(400, seed=9).assign(price=lambda frame: frame["price"] * 3, channel="fax")
    data.to_csv(tmp_path / "new.csv", index=False)
    arguments = ["predict", str(run.path), str(tmp_path / "new.csv"), "-o", str(tmp_path / "out.csv")]
    assert main([*arguments, "--drift", str(tmp_path / "drift.json")]) == 0
    out = capsys.readouterr().out
    assert "columns differ from the training part:" in out
    shown = {line.split()[0]: line.split()[1] for line in out.splitlines() if line.startswith(("price ", "channel "))}
    assert shown == {"price": "large", "channel": "large"}
    assert main([*arguments, "--drift", str(tmp_path / "new.csv")]) == 2
    assert "new.csv: the report is a .json file" in capsys.readouterr().err
    report = json.loads((tmp_path / "drift.json").read_text())
    by_name = {entry["column"]: entry for entry in report["columns"]}
    assert (report["n_rows"], by_name["channel"]["unseen"], by_name["pages"]["level"]) == (400, 1.0, "none")


def test_a_report_that_cannot_be_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    visits(20).to_csv(tmp_path / "new.csv", index=False)
    out, drift = tmp_path / "out.csv", tmp_path / "drift.json"
    arguments = ["predict", str(run.path), str(tmp_path / "new.csv"), "-o", str(out), "--drift"]
    assert main([*arguments, str(tmp_path / "no" / "drift.json")]) == 1
    assert "no is no folder that can be written. Name a file elsewhere with --drift FILE." in capsys.readouterr().err
    assert not out.exists()
    original = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target == drift:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(self, target)

    monkeypatch.setattr(Path, "replace", full)
    assert main([*arguments, str(drift)]) == 1
    said = f"Cannot write {drift}: No space left on device. Free some space or name a file elsewhere."
    assert said in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"new.csv", "out.csv"}


def test_predict_on_no_data_says_nothing(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    visits(9).iloc[:0].to_csv(tmp_path / "none.csv", index=False)
    arguments = ["predict", str(run.path), str(tmp_path / "none.csv"), "-o", str(tmp_path / "out.csv")]
    assert main([*arguments, "--drift", str(tmp_path / "drift.json")]) == 0
    assert capsys.readouterr().out.startswith("0 rows → ")
    assert json.loads((tmp_path / "drift.json").read_text()) == {"n_rows": 0, "n_looked_at": 0, "columns": []}


def test_predict_on_like_data_says_nothing(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.read_parquet(run.examples_path).assign(at=lambda frame: pd.to_datetime(frame["at"], unit="s")).to_parquet(
        tmp_path / "a.parquet"
    )
    assert main(["predict", str(run.path), str(tmp_path / "a.parquet"), "-o", str(tmp_path / "out.parquet")]) == 0
    assert "differ" not in capsys.readouterr().out


def saying(run: Run, change: Callable[[dict[str, Any]], Any], path: Path) -> Path:
    """The run's file, saying something else of itself."""
    import onnx

    from shopkit.runtime.artifact import METADATA_KEY

    model = onnx.load(run.model_path)
    (entry,) = [entry for entry in model.metadata_props if entry.key == METADATA_KEY]
    facts = json.loads(entry.value)
    change(facts)
    entry.value = json.dumps(facts)
    onnx.save(model, path)
    return path


def test_a_file_without_statistics(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = saying(run, lambda facts: facts.pop("training"), tmp_path / "old.onnx")
    visits(20).to_csv(tmp_path / "new.csv", index=False)
    arguments = ["predict", str(old), str(tmp_path / "new.csv"), "-o", str(tmp_path / "out.csv")]
    assert main(arguments) == 0
    assert main([*arguments, "--drift", str(tmp_path / "drift.json")]) == 1
    assert "carries no statistics of its training part" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda training: "x", "training: 'x' is not an object"),
        (lambda training: {"nope": training["price"]}, "the statistics of 'nope' are of kind 'number', the column of None"),
        (lambda training: {"price": training["channel"]}, "of 'price' are of kind 'string', the column of 'number'"),
        (lambda training: {"price": []}, "of 'price' are of kind None, the column of 'number'"),
        (lambda training: {"price": training["price"] | {"edges": 5}}, "the edges of 'price' are no list of float"),
        (lambda training: {"price": training["price"] | {"edges": ["a"]}}, "the edges of 'price' are no list of float"),
        (lambda training: {"price": training["price"] | {"counts": None}}, "the counts of 'price' are no list of int"),
        (lambda training: {"price": training["price"] | {"counts": [True]}}, "the counts of 'price' are no list of int"),
        (lambda training: {"price": training["price"] | {"counts": [5]}}, "'price' has 9 edges and 1 counts"),
        (lambda training: {"price": training["price"] | {"missing": -1}}, "a count of 'price' is -1"),
        (lambda training: {"price": training["price"] | {"missing": None}}, "a count of 'price' is None"),
        (lambda training: {"price": training["price"] | {"missing": 2**62}}, "a count of 'price' is 4611686018427387904"),
        (lambda training: {"channel": training["channel"] | {"other": 1.5}}, "a count of 'channel' is 1.5"),
        (lambda training: {"channel": training["channel"] | {"names": [1]}}, "the names of 'channel' are no list of str"),
        (lambda training: {"channel": training["channel"] | {"names": []}}, "'channel' has 0 names and"),
        (
            lambda training: {"channel": training["channel"] | {"names": ["\ud800"] * len(training["channel"]["names"])}},
            "surrogates not allowed",
        ),
    ],
)
def test_damaged_statistics(
    run: Run, change: Callable[[Any], Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = saying(run, lambda facts: facts.update(training=change(facts["training"])), tmp_path / "damaged.onnx")
    visits(20).to_csv(tmp_path / "new.csv", index=False)
    assert main(["predict", str(damaged), str(tmp_path / "new.csv"), "-o", str(tmp_path / "out.csv")]) == 1
    said = capsys.readouterr().err
    assert "damaged.onnx: what the file says of itself cannot be read (" in said
    assert message in said
    assert not (tmp_path / "out.csv").exists()
