"""A text model from raw strings to its file: what stands beside it, and what odd texts are answered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import shopkit
from shopkit.errors import DataError
from shopkit.runs import Run

GOOD, BAD = ["love this dress", "nice colour", "fits well"], ["too small", "returned it", "poor quality"]
OVERRIDES = [
    "view=table", "view.target=kept", "task=binary", "split=random", "evaluation.baselines=[]",
    "evaluation.permutation_repeats=0", "evaluation.latency_seconds=0.05", "model=bert", "model.encoder=scratch",
    "model.layers=1", "model.hidden_dim=16", "model.heads=2", "trainer.max_epochs=4",
    "trainer.batch_size=32", "trainer.threads=1", "trainer.lr=1e-2",
    "features.columns.review=[{name: wordpiece, vocabulary: scratch, max_length: 24}, {name: tfidf, min_df: 1}]",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    rng = np.random.default_rng(0)
    kept = rng.integers(0, 2, 240)
    reviews = [" ".join(rng.choice(GOOD if is_kept else BAD, 2)) for is_kept in kept]
    table = pd.DataFrame({"review": reviews, "age": rng.normal(40, 9, 240), "kept": np.where(kept, "yes", "no")})
    return shopkit.run(None, OVERRIDES, data=table, folder=tmp_path_factory.mktemp("texts") / "run")


def test_an_encoder_from_scratch_learns_its_own_word_pieces(tmp_path: Path) -> None:
    table = pd.DataFrame({"review": [f"number {at} fits well and I love it" for at in range(60)], "kept": ["yes", "no"] * 30})
    own = [override for override in OVERRIDES if not override.startswith("features")]
    learnt = shopkit.run(None, [*own, "trainer.max_steps=1"], data=table, folder=tmp_path / "run")
    (column,) = learnt.facts("features")["columns"]
    assert (column["extractor"], column["settings"]["vocabulary"]) == ("wordpiece", "scratch")


def answers(run: Run, *texts: object) -> np.ndarray:
    frame = pd.DataFrame({"review": pd.Series(texts, dtype=object), "age": 40.0})
    return np.asarray(shopkit.Predictor(run.model_path)(frame)["probability"])


def test_it_reads_raw_text(run: Run) -> None:
    good, bad = answers(run, "love this dress", "returned it, too small")
    assert good > bad


def test_the_tokenizer_stands_beside_the_file_and_the_card_says_which_way_applies(run: Run) -> None:
    assert json.loads((run.path / "tokenizer.json").read_text(encoding="utf-8"))["model"]["type"] == "WordPiece"
    assert "tokenizer.json" in run.manifest["files"]
    assert "`tokenizer.json` beside it is the same tokenizer" in (run.path / "model_card.md").read_text(encoding="utf-8")


def test_texts_without_a_known_token_are_answered(run: Run) -> None:
    found = answers(run, "", None, "   ", "没有认识的字", "🛒🛒", "\u200b", "x" * 500)
    assert np.isfinite(found).all()
    assert found[0] == found[1] == pytest.approx(found[2], abs=1e-6)


def test_a_text_of_a_megabyte_is_cut_at_its_end(run: Run) -> None:
    long = "love this dress " * 65_536
    tokens_only = answers(run, long, "love this dress " * 40)
    assert tokens_only[0] == pytest.approx(tokens_only[1], abs=0.02)


def test_text_that_is_not_unicode_is_refused_with_its_place(run: Run) -> None:
    with pytest.raises(DataError, match=r"review.*row 1.*Unicode"):
        answers(run, "fine", "broken \ud800")
