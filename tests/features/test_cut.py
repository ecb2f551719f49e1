"""How much of long texts and sequences is not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import shopkit
from shopkit.features import cut
from shopkit.runs import Run

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
