"""A run that starts from an earlier one: what fits is kept, what is new is added, and both are measured on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import shopkit
from shopkit.errors import ConfigError, RunError
from shopkit.models.settings import BertSettings, LSTMSettings, MLPSettings
from shopkit.runs import Run, read_json
from shopkit.training import checkpoint
from tests.shop import TABLE, visits

IDS = "features.columns.channel=vocabulary"
SHORT = [*TABLE, "evaluation.baselines=[]", "trainer.max_epochs=2", "trainer.threads=1"]
STILL = [
    "trainer.max_epochs=1", "trainer.max_steps=1", "trainer.lr=1e-12", "trainer.ema_decay=0", "trainer.weight_decay=0"
]  # fmt: skip
"""One step of almost no size: what is found afterwards is what training started from."""


def grown() -> pd.DataFrame:
    """Other visits; a new channel, and one that has gone."""
    frame = visits(500, seed=7)
    frame["channel"] = frame["channel"].map({"mail": "mail", "search": "search", "social": "video"})
    return frame


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return shopkit.run(data=visits(400), overrides=[*SHORT, IDS], folder=tmp_path_factory.mktemp("runs") / "first")


def weights(run: Run) -> dict[str, Any]:
    return checkpoint.load(run.path / "weights.npz")


def test_vocabularies_grow_and_weights_are_kept(earlier: Run, tmp_path: Path) -> None:
    run = shopkit.run(
        data=grown(), overrides=[*SHORT, IDS, *STILL, f"model.init_from={earlier.path}"], folder=tmp_path / "second"
    )
    before, now = (read_json(one.path / "vocabularies.json")["channel"] for one in (earlier, run))
    assert now == [*before, "video"]
    assert "social" in now
    old, new = weights(earlier), weights(run)
    labels, old_labels = new["axes"]["input.table"]["labels"], old["axes"]["input.table"]["labels"]
    for label in ("missing", "=mail", "=social"):
        label = f"channel/vocabulary/0/{label}"
        torch.testing.assert_close(
            new["weights"]["input.table"][labels.index(label)], old["weights"]["input.table"][old_labels.index(label)]
        )
    torch.testing.assert_close(new["weights"]["layers.0.weight"], old["weights"]["layers.0.weight"])
    facts = (run.facts("train") or {})["init_from"]
    assert facts["grown"]["input.table"]["new"] == 1
    assert facts["grown"]["input.table"]["gone"] == 0
    assert "layers.0.weight" in facts["kept"]
    assert facts["summary"].endswith("new categories: channel +1")
    assert facts["summary"] in run.report_path.read_text(encoding="utf-8")


def test_a_one_hot_vocabulary_grows_as_well(tmp_path: Path) -> None:
    overrides = ["features.columns.channel=one_hot", *SHORT]
    first = shopkit.run(data=visits(200), overrides=overrides, folder=tmp_path / "first")
    second = shopkit.run(data=grown(), overrides=[*overrides, f"model.init_from={first.path}"], folder=tmp_path / "second")
    before, now = (read_json(one.path / "vocabularies.json")["channel"] for one in (first, second))
    assert now[: len(before)] == before
    assert "video" in now[len(before) :]
    assert not (second.facts("train") or {})["init_from"]["new"]


def test_the_old_file_is_measured_on_the_same_rows(earlier: Run, tmp_path: Path) -> None:
    run = shopkit.run(data=grown(), overrides=[*SHORT, IDS, f"model.init_from={earlier.path}"], folder=tmp_path / "second")
    compared = run.metrics["baselines"]["earlier_run"]
    assert set(compared["metrics"]) == set(run.metrics["metrics"]["test"])
    assert "verdict" in compared["difference"]["auroc"]
    assert "earlier run" in run.report_path.read_text(encoding="utf-8").lower()


def test_an_earlier_file_that_cannot_answer_is_left_out_with_the_reason(earlier: Run, tmp_path: Path) -> None:
    run = shopkit.run(
        data=grown().drop(columns="price"), overrides=[*SHORT, IDS, f"model.init_from={earlier.path}"], folder=tmp_path / "second"
    )
    assert "earlier_run" not in run.metrics["baselines"]
    assert "the earlier run reads price, which these examples do not have" in (run.facts("evaluate") or {})["baselines_left_out"]


def test_a_sequence_model_starts_from_one(tmp_path: Path) -> None:
    frame = visits(200)
    random = np.random.default_rng(0)
    frame["seen"] = [list(random.choice(["a", "b", "c"], random.integers(0, 5))) for _ in range(200)]
    overrides = [*SHORT, "model=lstm", "model.hidden_dim=4"]
    first = shopkit.run(data=frame, overrides=overrides, folder=tmp_path / "first")
    frame["seen"] = [[*steps, "d"] for steps in frame["seen"]]
    second = shopkit.run(data=frame, overrides=[*overrides, f"model.init_from={first.path}"], folder=tmp_path / "second")
    facts = (second.facts("train") or {})["init_from"]
    assert facts["grown"]["categories.table"]["new"] == 1
    assert "steps.recurrent.rnns.0.weight_ih_l0" in facts["kept"]
    assert not facts["new"]


def test_a_model_of_texts_starts_from_one(tmp_path: Path) -> None:
    frame = visits(120)
    frame["note"] = np.where(frame["bought"] == "yes", "paid by card", "left early")
    overrides = [
        *SHORT, "model=bert", "model.encoder=scratch", "model.layers=1", "model.hidden_dim=8", "model.heads=2",
        "features.columns.note={name: wordpiece, vocabulary: scratch, max_length: 8}",
    ]  # fmt: skip
    first = shopkit.run(data=frame, overrides=overrides, folder=tmp_path / "first")
    frame["note"] += " zebra"
    second = shopkit.run(
        data=frame,
        overrides=[*overrides, *STILL, "model.encoder_lr=1e-12", f"model.init_from={first.path}"],
        folder=tmp_path / "second",
    )
    facts = (second.facts("train") or {})["init_from"]
    words = "encoder.embeddings.word_embeddings.weight"
    assert facts["grown"][words]["new"] >= 1
    assert not facts["new"]
    old, new = weights(first), weights(second)
    places = [found["axes"][words]["labels"].index("card") for found in (old, new)]
    assert places[0] != places[1]
    torch.testing.assert_close(new["weights"][words][places[1]], old["weights"][words][places[0]])


def test_what_is_refused(earlier: Run, tmp_path: Path) -> None:
    folders = iter(range(10))

    def start(*overrides: str) -> None:
        shopkit.run(data=visits(200), overrides=[*SHORT, *overrides], folder=tmp_path / f"run{next(folders)}")

    with pytest.raises(ConfigError, match="model linear has no setting 'init_from'"):
        start("model=linear", f"model.init_from={earlier.path}")
    with pytest.raises(RunError, match="There is no run folder nowhere"):
        start("model.init_from=nowhere")
    for settings in (LSTMSettings, BertSettings):
        with pytest.raises(ConfigError, match=r"model\.head\.init_from is part of its model: give model\.init_from"):
            settings(head=MLPSettings(init_from="x"))
    linear = shopkit.run(data=visits(200), overrides=[*SHORT, "model=linear"], folder=tmp_path / "linear")
    with pytest.raises(RunError, match=r"holds no weights\.npz: its model is not trained by gradients"):
        start(f"model.init_from={linear.path}")


def test_a_run_of_another_model_and_one_of_which_nothing_fits(earlier: Run) -> None:
    from shopkit.features.base import FeatureBlock, FeatureSpec
    from shopkit.models.mlp import MLP
    from shopkit.training.warm_start import Earlier, warm_start

    with pytest.raises(RunError, match=r"is a run of model mlp, this is model lstm\. Choose model=mlp"):
        Earlier.open(str(earlier.path), "lstm")
    spec = FeatureSpec((FeatureBlock("x", "identity", "dense", 0, 1, ("x",)),))
    other = MLP(MLPSettings(hidden=[7, 5], members=3), spec, 2)
    with pytest.raises(RunError, match=r"nothing of .* fits this model"):
        warm_start(other, Earlier.open(str(earlier.path), "mlp"), {})
