"""Every experiment of the package, from made-up tables to a file that answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shopkit
from shop import QUICK, sequences
from shopkit import Predictor

SMALL = ["model.dim=8", "trainer.max_epochs=1", "trainer.threads=1"]


def grocer() -> dict[str, pd.DataFrame]:
    """Ten households, each with a basket of three products every fifteen days of 2017; of forty products, some share a type."""
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2017-01-05") + pd.to_timedelta(np.arange(0, 360, 15), "D")
    rows = [
        (household, f"{household}-{number}", day + pd.Timedelta(hours=household), product)
        for household in range(10)
        for number, day in enumerate(days)
        for product in rng.choice(40, 3, replace=False)
    ]
    lines = pd.DataFrame(rows, columns=["household_id", "basket_id", "transaction_timestamp", "product_id"])
    number = np.arange(40)
    kinds = {"product_type": [f"type {n % 20}" for n in number], "product_category": [f"category {n % 10}" for n in number]}
    return {"transactions": lines, "products": pd.DataFrame({"product_id": number, **kinds})}


def sessions() -> dict[str, pd.DataFrame]:
    rows = sequences(80)
    tests = pd.DataFrame({"prefix": [steps[:-1] for steps in rows[60:]], "target": [steps[-1] for steps in rows[60:]]})
    return {"train_sessions": pd.DataFrame({"session": range(60), "items": rows[:60]}), "test_prefixes": tests}


@pytest.mark.parametrize(
    ("name", "tables", "changes", "item"),
    [
        ("next_basket_category", grocer(), [], "category 3"),
        ("next_item", grocer(), [], "type 3"),
        ("next_item_sequences", {"data": pd.DataFrame({"items": sequences(40)})}, SMALL, "103"),
        ("session_next_click", sessions(), [], "103"),
    ],
)
def test_an_experiment(tmp_path: Path, name: str, tables: dict[str, pd.DataFrame], changes: list[str], item: str) -> None:
    run = shopkit.run(name, [*QUICK, *changes], data=tables, folder=tmp_path / "run")
    run.verify()
    metrics, baselines = run.metrics["metrics"]["test"], run.metrics["baselines"]
    assert {"constant", "popular"} <= set(baselines)
    cutoffs = {metric for metric in metrics if metric.startswith(("recall_", "ndcg_", "mrr_", "map_"))}
    assert {f"{metric}_{k}" for metric in ("recall", "ndcg", "mrr") for k in (10, 20)} <= cutoffs
    assert all(0 <= metrics[metric]["value"] <= 1 for metric in cutoffs)
    assert run.metrics["protocol"].startswith(f"split {'time' if name == 'next_item' else ''}".rstrip())
    assert run.report_path.is_file()
    answer = Predictor(run.model_path)({"history": [item]}, k=3, candidates=["*"])
    assert len(answer["items"]) == 3
    assert answer["scores"] == sorted(answer["scores"], reverse=True)
