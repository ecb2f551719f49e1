"""A network that starts from an earlier run: items keep their vectors, wherever they stand in the new catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from shop import recommend, sequences
from shopkit.errors import ConfigError
from shopkit.training import checkpoint

from shopkit_recommend.models.network_settings import BlendSettings, SASRecSettings

STILL = ["trainer.max_epochs=1", "trainer.max_steps=1", "trainer.lr=1e-12", "trainer.ema_decay=0", "trainer.weight_decay=0"]


@pytest.mark.parametrize(("model", "neighbours"), [("sasrec", 0), ("mf", 2)])
def test_items_keep_their_vectors(tmp_path: Path, model: str, neighbours: int) -> None:
    """What stands beside them is counted anew."""
    overrides = [f"model={model}", f"model.graph_neighbours={neighbours}", "model.dim=8"]
    overrides += ["trainer.threads=1", "trainer.batch_size=32"]
    first = recommend(tmp_path / "first", sequences(60), *overrides, "trainer.max_epochs=1")
    # The rarest items of the first run are the commonest now, and three are new.
    others = [[item + 3 for item in row] for row in sequences(60, seed=1)] + [[112, 111, 112, 111, 112]] * 30
    second = recommend(tmp_path / "second", others, *overrides, *STILL, f"model.init_from={first.path}")
    facts = (second.facts("train") or {})["init_from"]
    assert facts["grown"]["items"] == {"kept": 11, "new": 3, "gone": 3}
    assert facts["new"] == (["graph.neighbours", "graph.shares"] if neighbours else [])
    assert "earlier_run" in second.metrics["baselines"]
    old, new = (checkpoint.load(run.path / "weights.npz") for run in (first, second))
    labels, old_labels = (found["axes"]["items"]["labels"] for found in (new, old))
    shared = [label for label in labels if label in old_labels]
    assert [labels.index(label) for label in shared] != [old_labels.index(label) for label in shared]
    for label in shared:
        torch.testing.assert_close(new["weights"]["items"][labels.index(label)], old["weights"]["items"][old_labels.index(label)])


def test_a_blend_starts_from_nothing() -> None:
    with pytest.raises(ConfigError, match=r"model\.sasrec\.init_from: a blend fits all its parts anew; start from a run with"):
        BlendSettings(sasrec=SASRecSettings(init_from="runs/one"))
