"""How much of long texts and sequences is not read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import shopkit
from shopkit.features import cut
from shopkit.features.cut import Cut, cut_sequences, cut_texts
from shopkit.features.sequences import Limit
from shopkit.features.settings import FeaturePlan
from shopkit.runs import Run
from tests.features.fitting import fit_table, floats, texts, write

QUICK = [
    "trainer.max_epochs=1", "trainer.max_steps=1", "trainer.threads=1", "model=lstm", "model.hidden_dim=4", "split=random",
    "view=table", "view.target=y", "evaluation.baselines=[]", "evaluation.n_bootstrap=0", "evaluation.permutation_repeats=0",
    "evaluation.latency_batch_sizes=[1]", "evaluation.latency_seconds=0.02",
]  # fmt: skip


def found(table: pd.DataFrame, folder: Path, *overrides: str) -> tuple[dict[str, Any], Run, pd.DataFrame]:
    """What is said of the cut, the run, and its training rows."""
    run = shopkit.run(None, [*QUICK, *overrides], data=table, folder=folder)
    is_train = pd.read_parquet(run.split_path)["part"] == "train"
    facts = run.facts("features")
    assert facts is not None
    (said,) = facts["cut"]
    return said, run, table[is_train.to_numpy()]


def test_of_texts(tmp_path: Path) -> None:
    lengths = np.tile([3, 9, 10, 11, 30], 40)
    table = pd.DataFrame({"text": ["ab" * 20] * 200, "y": np.arange(200) % 2})
    table["text"] = [text[:n] for text, n in zip(table["text"], lengths, strict=True)]
    columns = "features.columns.text={name: characters, max_length: 10}"
    said, run, train = found(table, tmp_path / "run", columns)
    n = train["text"].str.len()
    assert {name: said[name] for name in ("columns", "unit", "max_length", "keep")} == {
        "columns": ["text"], "unit": "tokens", "max_length": 10, "keep": "start"
    }  # fmt: skip
    assert said["rows"] == pytest.approx((n > 10).mean())
    assert said["lost"] == pytest.approx((n - 10).clip(lower=0).sum() / n.sum())
    page = run.report_path.read_text(encoding="utf-8")
    assert "text: 40" in page
    assert "longer than the 10 tokens that are read, the first ones" in page
    assert "raise max_length of the extractor, in features.columns, or keep the other end" in page


def test_of_texts_that_share_a_stream_and_of_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, "MOST_COUNTED", 16)
    words = [" ".join(["tea"] * n) for n in np.tile([1, 2, 60], 60)]
    table = pd.DataFrame({"title": words, "body": words, "y": np.arange(180) % 2})
    wordpiece = "{name: wordpiece, vocabulary: scratch, max_length: 20, keep: end}"
    said, run, train = found(table, tmp_path / "run", f"features.columns={{title: {wordpiece}, body: {wordpiece}}}")
    assert (said["columns"], said["keep"]) == (["title", "body"], "end")
    assert said["rows"] == pytest.approx((train["title"].str.len() > 100).mean(), abs=1e-6)
    # [CLS], and a [SEP] after each text.
    whole = 2 * train["title"].str.split().str.len() + 3
    assert said["lost"] == pytest.approx(1 - whole.clip(upper=19).sum() / whole.sum(), abs=0.01)
    assert "the last ones" in run.report_path.read_text(encoding="utf-8")


def test_of_sequences(tmp_path: Path) -> None:
    lengths = np.tile([0, 1, 2, 3, 4] * 4 + [9], 10)
    table = pd.DataFrame(
        {"bought": [["tea", "milk", "rice"] * 3 for _ in lengths], "paid": [[1.0, 2.0, 3.0] * 3 for _ in lengths]}
    )
    for name in ("bought", "paid"):
        table[name] = [values[:n] for values, n in zip(table[name], lengths, strict=True)]
    table["y"] = np.arange(len(table)) % 2
    said, run, train = found(table, tmp_path / "run", "features.max_length=4")
    n = train["bought"].str.len()
    assert (said["columns"], said["unit"], said["keep"]) == (["bought", "paid"], "steps", "latest")
    assert said["rows"] == pytest.approx((n > 4).mean())
    assert said["lost"] == pytest.approx((n - 4).clip(lower=0).sum() / n.sum())
    page = run.report_path.read_text(encoding="utf-8")
    assert "longer than the 4 steps that are read, the last ones" in page


def test_without_a_limit_nothing_is_said(tmp_path: Path) -> None:
    table = pd.DataFrame({"bought": [["tea", "milk", "rice"][: i % 4] for i in range(60)], "y": np.arange(60) % 2})
    run = shopkit.run(None, [*QUICK, "features.max_length=0"], data=table, folder=tmp_path / "run")
    assert (run.facts("features") or {})["cut"] == []
    assert "that are read" not in run.report_path.read_text(encoding="utf-8")


# -- by hand ------------------------------------------------------------------------------------------------------------

LENGTHS = np.array([9, 8, 20, 0, 5, 30, 8, 12] * 5)
"""Characters of a text, of which 8 are read."""
CHOSEN = np.arange(40) % 8 != 7


def of_characters(folder: Path, monkeypatch: pytest.MonkeyPatch, most_counted: int = 100, keep: str = "start") -> Cut | None:
    monkeypatch.setattr(cut, "READ_ROWS", 6)
    monkeypatch.setattr(cut, "MOST_COUNTED", most_counted)
    table = {"x": texts(["a" * n for n in LENGTHS]), "n": floats(range(40))}
    spec = {"name": "characters", "max_length": 8, "keep": keep}
    fitted = fit_table(table, FeaturePlan(columns={"x": spec}), ["features:tokens"])
    read = np.minimum(LENGTHS, 8)[CHOSEN]
    return cut_texts(fitted.features.groups, read, write(table, folder / "x.parquet"), CHOSEN)


def test_texts_that_fill_the_limit_are_counted_to_their_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of every seven rows three are longer, by 1, 12 and 22 of 80 characters.
    expected = Cut(("x",), "tokens", 8, "end", pytest.approx(3 / 7), pytest.approx(35 / 80))
    assert of_characters(tmp_path, monkeypatch, keep="end") == expected
    assert expected.to_json()["columns"] == ["x"]


def test_some_of_those_that_fill_the_limit_stand_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 25 of 35 fill it: 8, 9, 20, 30 and 8 by turns, of which every fifth is counted.
    for counted in (5, 1):
        found = of_characters(tmp_path, monkeypatch, counted)
        assert found is not None
        sampled = np.flatnonzero(CHOSEN & (LENGTHS >= 8))[evenly_spaced(25, counted)]
        lost = np.maximum(LENGTHS[sampled] - 8, 0)
        assert found.rows == pytest.approx((lost > 0).mean() * 25 / 35)
        n_lost = lost.mean() * 25
        assert found.lost == pytest.approx(n_lost / (np.minimum(LENGTHS, 8)[CHOSEN].sum() + n_lost))


def evenly_spaced(n: int, most: int) -> np.ndarray:
    mask = np.ones(n, bool)
    return np.flatnonzero(cut.evenly(mask, most))


def test_nothing_is_said_of_no_texts_and_of_those_without_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"x": texts(["aa", "b"]), "n": floats([1, 2])}
    path = write(table, tmp_path / "x.parquet")
    everything = np.ones(2, bool)
    numbers = fit_table(table, FeaturePlan(ignore=["x"]))
    assert cut_texts(numbers.features.groups, np.array([2, 1]), path, everything) is None
    characters = fit_table(table, FeaturePlan(columns={"x": "characters"}), ["features:tokens"])
    assert cut_texts(characters.features.groups, np.array([], np.int64), path, np.zeros(2, bool)) is None
    found = cut_texts(characters.features.groups, np.array([2, 1]), path, everything)
    assert found == Cut(("x",), "tokens", 256, "start", 0.0, 0.0)
    unlimited: Any = SimpleNamespace(
        blocks=lambda: [SimpleNamespace(tensor="tokens")], extractor=SimpleNamespace(settings=object()), assignments=()
    )
    assert cut_texts([unlimited], np.array([2, 1]), path, everything) is None


@pytest.mark.parametrize("keep", ["latest", "earliest"])
def test_steps_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str) -> None:
    monkeypatch.setattr(cut, "READ_ROWS", 3)
    path = tmp_path / "steps.parquet"
    pq.write_table(pa.table({"a": [["x"] * n if n is not None else None for n in [0, 1, 3, None, 6, 2, 9, 4]]}), path)
    rows = np.array([True, True, True, True, True, True, False, True])
    # Of 0, 1, 3, none, 6, 2 and 4 steps 6 and 4 are more than 3, by 4 of 16.
    assert cut_sequences(["a"], Limit(3, keep), path, rows) == Cut(("a",), "steps", 3, keep, 2 / 7, 4 / 16)
    assert cut_sequences(["a"], Limit(99), path, rows) == Cut(("a",), "steps", 99, "latest", 0.0, 0.0)
    only = np.arange(8) == 3
    assert cut_sequences(["a"], Limit(1), path, only) == Cut(("a",), "steps", 1, "latest", 0.0, 0.0)
    assert cut_sequences([], Limit(3), path, rows) is None
    assert cut_sequences(["a"], Limit(0), path, rows) is None
    assert cut_sequences(["a"], Limit(3), path, np.zeros(8, bool)) is None
