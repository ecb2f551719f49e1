"""Every experiment that comes with shopkit, trained for a step on a little data of the shape it wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import shopkit
from shopkit.config.folders import core_folder
from tests.data import shop

STEP = [
    "trainer.max_epochs=1", "trainer.max_steps=1", "trainer.threads=1", "evaluation.n_bootstrap=0",
    "evaluation.permutation_repeats=0", "evaluation.latency_batch_sizes=[1]", "evaluation.latency_seconds=0.02",
]  # fmt: skip
HISTORY = ["view.windows_days=[7,28]", "view.active_days=28", "view.n_departments=2"]
SCRATCH = ["model.encoder=scratch", "model.hidden_dim=8", "model.layers=1"]

Make = Callable[[Path], tuple[object, list[str]]]
"""A folder → data to hand over, if any, and overrides."""


def households(folder: Path) -> tuple[object, list[str]]:
    return shop(), HISTORY


def sessions(folder: Path) -> tuple[object, list[str]]:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"PageValues": rng.gamma(1.0, 5.0, 200), "Month": rng.choice(["Nov", "Dec"], 200)})
    for column in ("OperatingSystems", "Browser", "Region", "TrafficType"):
        table[column] = rng.integers(1, 4, 200)
    table["Revenue"] = table["PageValues"] > 6
    return None, [f"source.path={written(table, folder / 'sessions.csv')}"]


def chinese_reviews(folder: Path) -> tuple[object, list[str]]:
    for name, words in (("pos", "很好喜欢满意"), ("neg", "太差失望不买")):
        lines = ["".join(np.random.default_rng(i).choice(list(words + "这本书的质量"), 12)) for i in range(80)]
        (folder / f"{name}.txt").write_text("\n".join([*lines, *lines, ""]), encoding="utf-8")
    return None, [f"source.path={folder}", "model.hidden_dim=8", "model.layers=1"]


def clothing_reviews(folder: Path) -> tuple[object, list[str]]:
    rng = np.random.default_rng(0)
    is_good = rng.random(160) < 0.7
    opinion = np.where(is_good, "lovely fit and soft", "poor cloth and bad fit")
    table = pd.DataFrame(
        {
            "Age": rng.integers(18, 80, 160),
            "Title": np.where(rng.random(160) < 0.2, None, "my view"),
            "Review Text": [
                f"{text} of the {word}" for text, word in zip(opinion, rng.choice(["dress", "top"], 160), strict=True)
            ],
            "Rating": np.where(is_good, 5, 2),
            "Recommended IND": is_good.astype(int),
            "Department Name": rng.choice(["Tops", "Dresses"], 160),
        }
    )
    return None, [f"source.path={written(table, folder / 'reviews.csv')}"]


def products(folder: Path) -> tuple[object, list[str]]:
    departments = {"DAIRY": ["MILK", "CHEESE"], "DELI": ["HAM", "SALAMI"]}
    rows = [
        {"product_id": number, "department": department, "product_type": f"{words[number % 2]} {number // 8}", "brand": brand}
        for number in range(240)
        for department, words in [list(departments.items())[number // 4 % 2]]
        for brand in [("National", "Private")[number // 2 % 2]]
    ]
    table = pd.DataFrame(rows).assign(package_size=lambda frame: [f"{number % 5} OZ" for number in frame["product_id"]])
    return {"products": table}, ["view.min_class_rows=20"]


def utterances(folder: Path) -> tuple[object, list[str]]:
    rng = np.random.default_rng(0)
    asks = {"cancel_order": "please cancel my order", "get_refund": "i want my money back", "track_order": "where is my parcel"}
    intents = rng.choice(list(asks), 150)
    table = pd.DataFrame(
        {
            "utterance": [f"{asks[intent]} number {number}" for number, intent in enumerate(intents)],
            "intent": intents,
            "tags": rng.choice(["B", "BI", "BZ", "BQ"], 150),
        }
    )
    columns = "features.columns.utterance=[{name: wordpiece, vocabulary: scratch}, tfidf]"
    return None, [f"source.path={written(table, folder / 'utterances.csv')}", columns, *SCRATCH]


def written(table: pd.DataFrame, path: Path) -> Path:
    table.to_csv(path, index=False)
    return path


DATA: dict[str, Make] = {
    "basket_value": households,
    "behaviour_lstm": households,
    "online_shoppers": sessions,
    "product_category": products,
    "purchase_intent": households,
    "review_recommend": clothing_reviews,
    "review_sentiment": chinese_reviews,
    "support_intent": utterances,
}


@pytest.mark.parametrize("name", sorted(path.stem for path in (core_folder() / "experiment").glob("*.yaml")))
def test_every_shipped_experiment_trains(name: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data, overrides = DATA[name](tmp_path / "data")
    run = shopkit.run(name, [*STEP, *overrides], data=data, folder=tmp_path / "run")
    assert run.is_complete
    shown = run.cases_path.is_file()
    assert shown == bool(shopkit.config.compose(name).evaluation.cases)
    assert ('id="cases"' in run.report_path.read_text(encoding="utf-8")) == shown
    assert ("cases.json" in run.manifest["files"]) == shown


@pytest.mark.parametrize("name", sorted(path.stem for path in (core_folder() / "experiment").glob("*.yaml")))
def test_a_linear_model_of_terms_is_beside_every_reader_of_texts(name: str) -> None:
    chosen = shopkit.config.compose(name)
    extractors = str(chosen.features.columns)
    assert "wordpiece" not in extractors or ("tfidf" in extractors and "linear" in chosen.evaluation.baselines)
