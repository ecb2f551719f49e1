"""Baskets as decisions, the whole way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shopkit
from shop import QUICK, recommend, sequences
from shopkit.features.tensors import FeatureArrays
from shopkit.runtime import Predictor

from shopkit_recommend.models.popular import Popular

BASKETS = {
    "table": "data",
    "customer": "who",
    "item": "what",
    "time": "at",
    "basket": "bill",
    "items": "",
    "items_key": "",
    "item_name": "",
    "validation_from": "2024-03-01",
    "test_from": "2024-03-20",
}


def baskets(n_customers: int = 20, n_baskets: int = 12) -> pd.DataFrame:
    """Everyone buys two of eight items every ten days."""
    rng = np.random.default_rng(0)
    rows = [
        (f"c{who}", f"c{who}b{basket}", pd.Timestamp("2024-01-01") + pd.Timedelta(days=basket * 10 + who % 3), f"i{item}")
        for who in range(n_customers)
        for basket in range(n_baskets)
        for item in rng.choice(8, 2, replace=False)
    ]
    return pd.DataFrame(rows, columns=["who", "bill", "at", "what"])


def test_each_basket_of_a_customer_is_a_decision(tmp_path: Path) -> None:
    """By time a customer has several in the test part, each with a history and a list of its own."""
    of_view = [f"view.{name}={json.dumps(value)}" for name, value in BASKETS.items()]
    changes = [*QUICK, *of_view, "task.baskets=true", "model=item_knn", "model.exclude_seen=false", "evaluation.baselines=[]"]
    run = shopkit.run("next_item", ["source=dataframe", *changes], data={"data": baskets()}, folder=tmp_path / "run")
    found = {name: metric["value"] for name, metric in run.metrics["metrics"]["test"].items()}
    # Each list holds all eight items.
    assert found["recall_10"] == 1.0
    rows = pd.read_parquet(run.path / "examples.parquet").merge(pd.read_parquet(run.predictions_path), on=["customer", "step"])
    assert rows.groupby("customer").place.nunique().min() > 1
    gains, best = [], 1 + 1 / np.log2(3)
    for _, basket in rows.groupby(["customer", "place"]):
        ranks = [list(items).index(target) for items, target in zip(basket["items"], basket.target_x, strict=True)]
        gains.append(sum(1 / np.log2(rank + 2) for rank in ranks) / best)
    assert found["ndcg_10"] == pytest.approx(np.mean(gains))
    assert found["map_10"] <= 1
    assert run.metrics["interval"]["unit"] == "groups"
    assert run.metrics["interval"]["n_units"] == 20
    coverage = run.metrics["metrics"]["test"]["coverage"]
    assert (coverage["value"], coverage["low"], coverage["high"]) == (1.0, None, None)
    assert run.metrics["baselines"]["constant"]["difference"]["coverage"]["verdict"] is None
    assert run.metrics["baselines"]["constant"]["difference"]["ndcg_10"]["verdict"] is not None
    assert "None" not in run.card_path.read_text()
    assert ">None<" not in run.report_path.read_text()
    assert run.metrics["protocol"].endswith("means over baskets")


def test_the_history_of_a_basket_is_scored_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the file and by a baseline, though each item of the basket is a row with a list."""
    asked = {"file": 0, "baseline": 0}
    scores = Popular.scores

    class Asked(Predictor):
        def answer(self, raw: Mapping[str, np.ndarray], *rest: Any) -> dict[str, np.ndarray]:
            asked["file"] += len(raw["history"])
            return super().answer(raw, *rest)

    def of_baseline(self: Popular, features: FeatureArrays) -> np.ndarray:
        asked["baseline"] += len(features["lengths"])
        return scores(self, features)

    monkeypatch.setattr("shopkit.stages.evaluate.Predictor", Asked)
    monkeypatch.setattr(Popular, "scores", of_baseline)
    of_view = [f"view.{name}={json.dumps(value)}" for name, value in BASKETS.items()]
    chosen = ["model=item_knn", "model.exclude_seen=false", "evaluation.baselines=[{name: popular, exclude_seen: false}]"]
    changes = ["source=dataframe", *QUICK, *of_view, *chosen]
    run = shopkit.run("next_item", changes, data={"data": baskets()}, folder=tmp_path / "run")
    rows = pd.read_parquet(run.path / "examples.parquet").assign(part=pd.read_parquet(run.path / "split.parquet").part)
    of_parts = {part: [tuple(history) for history in of_part.history] for part, of_part in rows.groupby("part")}
    distinct = {part: len(set(histories)) for part, histories in of_parts.items()}
    assert distinct["test"] < len(of_parts["test"])
    assert asked == {"file": distinct["validation"] + distinct["test"], "baseline": distinct["test"]}
    assert len(pd.read_parquet(run.predictions_path)) == len(of_parts["test"])


@pytest.mark.parametrize("model", [["model=item_knn"], ["model=sasrec", "model.dim=8", "trainer.max_epochs=1"]])
def test_sampled_metrics_are_of_the_validation_part(tmp_path: Path, model: list[str]) -> None:
    run = recommend(tmp_path, sequences(60), *model, "task.sampled=5")
    found, about = run.metrics["metrics"], run.metrics["about"]
    sampled = found["validation"]["sampled_5_recall_10"]
    assert sampled["value"] >= found["validation"]["recall_10"]["value"]
    assert about["sampled_5_recall_10"]["title"] == "Recall@10 (among 5 drawn at random)"
    assert not any(name.startswith("sampled") for name in found["test"])
