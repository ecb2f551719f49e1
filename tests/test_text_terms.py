"""A text column as a bag of terms through the whole way: from raw strings to the answers of the exported file."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import shopkit
from shopkit.errors import DataError
from shopkit.runs import Run

GOOD = ["质量很好", "下次还来", "喜欢", "love it", "soft fabric", "fits well"]
BAD = ["质量太差", "不推荐", "退货", "too small", "returned it", "fell apart"]
OVERRIDES = [
    "view=table", "view.target=good", "task=binary", "model=linear", "split=random", "evaluation.baselines=[]",
    "evaluation.n_bootstrap=0", "evaluation.permutation_repeats=0", "evaluation.latency_seconds=0.01",
]  # fmt: skip


def reviews(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    good = rng.random(n) < 0.5
    texts = [" ".join(rng.choice(GOOD if is_good else BAD, 3)) + f" nr {at}" for at, is_good in enumerate(good)]
    return pd.DataFrame({"review": texts, "age": rng.integers(18, 80, n).astype(float), "good": good.astype(int)})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return shopkit.run(None, OVERRIDES, data=reviews(), folder=tmp_path_factory.mktemp("texts") / "run")


def test_a_text_is_found_out_and_weighed(run: Run) -> None:
    columns = (run.facts("features") or {})["columns"]
    (review,) = [row for row in columns if row["column"] == "review"]
    assert review["extractor"] == "tfidf"
    assert "a text of" in review["why"]
    assert run.metrics["metrics"]["test"]["auroc"]["value"] > 0.99


def test_each_extractor_of_a_column_is_told_with_its_own_width(tmp_path) -> None:
    words, letters = "{name: tfidf, min_df: 1}", "{name: tfidf, analyzer: char, ngram_range: [1, 1], min_df: 1}"
    run = shopkit.run(
        None, [*OVERRIDES, f"features.columns.review=[{words}, {letters}]"], data=reviews(100), folder=tmp_path / "run"
    )
    facts = run.facts("features") or {}
    widths = {(row["column"], row["settings"].get("analyzer")): row["width"] for row in facts["columns"]}
    assert widths["review", "word"] != widths["review", "char"]
    assert [block["width"] for block in facts["spec"] if block["tensor"] == "bag"] == [
        widths["review", "word"], widths["review", "char"],
    ]  # fmt: skip
    page = run.report_path.read_text(encoding="utf-8")
    assert all(f'<td class="n">{width:,}</td>' in page for width in widths.values())


def test_the_file_answers_for_any_text(run: Run) -> None:
    predictor = shopkit.Predictor(run.model_path)
    texts = ["love it, soft fabric", "不推荐，退货", "", None, "ЖЖЖ", "😀😀", " \n", "word " * 200_000]
    answers = predictor([{"review": text, "age": 30.0} for text in texts])
    probability = np.array([answer["probability"] for answer in answers])
    assert probability[0] > 0.9 > 0.1 > probability[1]
    assert np.isfinite(probability).all()
    # Without a known character, all that is left is the age.
    np.testing.assert_allclose(probability[2:6], probability[2], atol=1e-6)
    one_by_one = [predictor({"review": text, "age": 30.0})["probability"] for text in texts]
    np.testing.assert_allclose(probability, one_by_one, atol=1e-5)


def test_text_that_is_no_unicode_is_refused_with_its_row(run: Run) -> None:
    predictor = shopkit.Predictor(run.model_path)
    with pytest.raises(DataError, match=r"'review', row 1: 'caf\\udce9' \(str\) is not Unicode"):
        predictor([{"review": "fine", "age": 1.0}, {"review": "caf\udce9", "age": 1.0}])
    with pytest.raises(DataError, match=r"'review', row 0: b'caf\\xe9' \(bytes\) is not text"):
        predictor({"review": b"caf\xe9", "age": 1.0})
