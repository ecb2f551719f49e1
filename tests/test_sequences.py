"""Sequences the whole way: from lists in a table, or a shop's baskets, to one file that is fed in every way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
import pytest

import shopkit
from shopkit import Predictor
from shopkit.errors import DataError
from shopkit.predict.files import predict_file
from shopkit.runs import Run
from tests.data import shop
from tests.shop import QUICK

LSTM = ["model=lstm", "model.hidden_dim=8", *QUICK]
VIEW = ["view=customer_history", "view.windows_days=[7,28]", "view.active_days=28", "view.n_departments=2", "view.max_steps=5"]


def sessions(n_rows: int = 400) -> pd.DataFrame:
    """One row a visit with what was looked at; bought if that ends with tea, or is dear."""
    rng = np.random.default_rng(0)
    items, prices, bought = [], [], []
    for _ in range(n_rows):
        length = int(rng.integers(0, 7))
        seen = rng.choice(np.array(["tea", "milk", "bread", None], object), length).tolist()
        cost = rng.gamma(2.0, 5.0, length).round(2).tolist()
        items.append(seen)
        prices.append(cost)
        bought.append("yes" if (seen and seen[-1] == "tea") or sum(cost) > 50 else "no")
    channel = rng.choice(["mail", "search"], n_rows)
    return pd.DataFrame({"visit": np.arange(n_rows), "items": items, "prices": prices, "channel": channel, "bought": bought})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    overrides = [
        "view=table", "view.target=bought", "view.keys=[visit]", "split=stratified", *LSTM, "trainer.max_epochs=15",
        "trainer.batch_size=32", "evaluation.baselines=[linear,{name: lstm,as: alone,static: false,hidden_dim: 4}]",
    ]  # fmt: skip
    return shopkit.run(data=sessions(), overrides=overrides, folder=tmp_path_factory.mktemp("runs") / "first")


@pytest.fixture(scope="module")
def predictor(run: Run) -> Predictor:
    return Predictor(run.path)


def test_the_order_of_steps_is_learnt(run: Run) -> None:
    metrics = run.metrics
    assert metrics["metrics"]["test"]["auroc"]["value"] > 0.85
    # A model that reads no sequences has the channel alone, which says nothing.
    assert metrics["baselines"]["linear"]["difference"]["auroc"]["verdict"] == "better"
    assert set(metrics["baselines"]) == {"constant", "linear", "alone"}
    assert [entry["column"] for entry in metrics["importance"]["columns"]] == ["the steps (items, prices)", "channel"]


def test_the_file_was_compared_at_several_lengths(run: Run) -> None:
    facts = run.facts("export")
    assert facts is not None
    assert {"one row", "many rows", "more padding", "shorter sequences", "longer sequences", "no steps"} <= set(facts["checks"])
    assert max(facts["checks"].values()) < 1e-5


def test_the_file_says_how_it_is_fed(run: Run) -> None:
    model = onnx.load(run.model_path)
    shapes = {value.name: [dim.dim_param for dim in value.type.tensor_type.shape.dim] for value in model.graph.input}
    assert shapes == {"items": ["N", "L"], "prices": ["N", "L"], "channel": ["N"], "lengths": ["N"]}
    facts = json.loads(model.metadata_props[0].value)
    assert facts["lengths"] == "lengths"
    assert facts["inputs"] == {"items": "items", "prices": "prices", "channel": "channel"}
    assert "padded on the right" in facts["sequences"]
    assert [column["name"] for column in facts["schema"] if column.get("sequence")] == ["items", "prices"]


def test_every_way_of_asking_gives_one_answer(predictor: Predictor) -> None:
    frame = sessions().head(20)
    table = predictor(frame)
    rows = frame[["visit", "items", "prices", "channel"]].to_dict("records")
    assert [predictor(row)["probability"] for row in rows] == pytest.approx(table.probability.tolist(), abs=1e-6)
    assert [row["probability"] for row in predictor(rows)] == pytest.approx(table.probability.tolist(), abs=1e-6)
    columns = predictor({name: frame[name].tolist() for name in frame if name != "bought"})
    assert columns["probability"].tolist() == pytest.approx(table.probability.tolist(), abs=1e-6)


def test_bare_onnxruntime_gives_the_same_answer(run: Run, predictor: Predictor) -> None:
    session = ort.InferenceSession(run.model_path)
    feed = {
        "items": np.array([["tea", "", "anything"], ["milk", "tea", "tea"]], object),
        "prices": np.array([[3.0, np.nan, 9e9], [1.0, 2.0, 3.0]], np.float32),
        "channel": np.array(["mail", "search"], object),
        "lengths": np.array([2, 3]),
    }
    probability = session.run(["probability"], feed)[0]
    rows = [
        {"items": ["tea", None], "prices": [3.0, None], "channel": "mail"},
        {"items": ["milk", "tea", "tea"], "prices": [1.0, 2.0, 3.0], "channel": "search"},
    ]
    np.testing.assert_allclose([predictor(row)["probability"] for row in rows], probability, atol=1e-6)


@pytest.mark.parametrize("nothing", [[], None, ()])
def test_an_empty_history_is_answered(predictor: Predictor, nothing: object) -> None:
    assert 0 < predictor({"items": nothing, "prices": nothing, "channel": "mail"})["probability"] < 1


def test_a_very_long_history_is_answered_from_its_latest_steps(predictor: Predictor) -> None:
    long = {"items": ["milk"] * 1000 + ["tea"] * 256, "prices": [1.0] * 1256, "channel": "mail"}
    latest = {"items": ["tea"] * 256, "prices": [1.0] * 256, "channel": "mail"}
    assert predictor(long)["probability"] == pytest.approx(predictor(latest)["probability"], abs=1e-6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"items": ["tea"]}, r"Row 0: 'items' has 1 steps and 'prices' has 2"),
        ({"items": "tea"}, r"Column 'items', row 0: 'tea' \(str\) is not a list"),
        ({"items": ["tea", 3]}, r"Column 'items', row 0, step 1: 3 \(int\) is not text"),
        ({"prices": [1.0, "2"]}, r"Column 'prices', row 0, step 1: '2' \(str\) is not a number"),
    ],
)
def test_a_wrong_history_is_named(predictor: Predictor, changed: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        predictor({"items": ["tea", "milk"], "prices": [1.0, 2.0], "channel": "mail", **changed})


def test_a_file_of_lists_is_scored(run: Run, predictor: Predictor, tmp_path: Path) -> None:
    frame = sessions()
    frame.to_parquet(tmp_path / "visits.parquet")
    predict_file(run.path, tmp_path / "visits.parquet", tmp_path / "scores.parquet")
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    np.testing.assert_allclose(scores.probability, predictor(frame).probability, atol=1e-6)
    ragged = frame.assign(items=[[]] * 300 + [["tea"] * 9] * 100)
    with pytest.raises(DataError, match=r"Row \d+: 'items' has \d steps and 'prices' has \d"):
        predictor(ragged)


def test_a_shops_baskets(tmp_path: Path) -> None:
    overrides = [*VIEW, "split=time", *LSTM, "model.cell=gru", "trainer.max_epochs=1", "evaluation.baselines=[mlp]"]
    run = shopkit.run(data=shop(n_days=90), overrides=overrides, folder=tmp_path / "run")
    assert run.metrics["baselines"]["mlp"]["difference"]["auroc"]["value"] is not None
    assert "list of string" in run.report_path.read_text()
