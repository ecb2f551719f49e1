"""Reading is learnt before judging: losses by hand, nothing told beforehand, and epochs that are none of the target's."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

from shopkit.errors import ConfigError
from shopkit.models import foretelling
from shopkit.models.base import Arrays
from shopkit.models.foretelling import Foretelling
from shopkit.models.lstm import LSTM
from shopkit.models.settings import LSTMSettings, MLPSettings
from shopkit.models.to_onnx import to_onnx
from shopkit.runtime.artifact import open_session
from shopkit.tasks.binary import Binary
from shopkit.tasks.settings import BinarySettings
from shopkit.testing.data import feature_spec, tokens
from shopkit.training.fit import fit
from shopkit.training.scores import model_scores
from shopkit.training.settings import TrainerSettings

SPEC = feature_spec(dense=False, ids=False, reads=["features:tokens"])
HEAD = MLPSettings(hidden=[4], members=1)
SMALL = LSTMSettings(hidden_dim=5, token_dim=3, bidirectional=True, pooling="max", dropout=0.0, head=HEAD, pretrain_epochs=2)


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foretelling, "SHARE", 1.1)


@pytest.fixture
def task() -> Binary:
    task = Binary(BinarySettings())
    task.fit_target(np.array(["a", "b"]), None)
    return task


def built(settings: LSTMSettings = SMALL) -> LSTM:
    torch.manual_seed(0)
    return LSTM(settings, SPEC, 1)


def texts(n_rows: int, seed: int) -> Arrays:
    """Tokens that count up by one; a text is of the class of its first one's parity."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 9, n_rows)
    start = rng.integers(1, 20, n_rows)
    inside = np.arange(9) < lengths[:, None]
    ids = np.where(inside, start[:, None] + np.arange(9), 0)
    return Arrays({"tokens": ids, "token_lengths": lengths}, (start % 2).astype(np.float32))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_loss_is_the_mean_over_all_neighbours(everywhere: None, bidirectional: bool, weighted: bool) -> None:
    torch.manual_seed(0)
    hidden, n_directions = 4, 2 if bidirectional else 1
    module = Foretelling(7, 3, hidden, n_directions)
    module.bias.data.normal_()
    states, table = torch.randn(3, 5, hidden * n_directions), torch.randn(7, 3)
    ids, lengths = torch.tensor([[1, 2, 3, 4, 5], [6, 2, 0, 0, 0], [3, 0, 0, 0, 0]]), torch.tensor([5, 2, 1])
    weight = torch.tensor([0.5, 2.0, 7.0]) if weighted else None
    total = count = 0.0
    for row, length in enumerate(lengths.tolist()):
        for at in range(length):
            for direction, other in enumerate((at + 1, at - 1)[:n_directions]):
                if not 0 <= other < length:
                    continue
                own = module.of_states[direction](states[row, at, direction * hidden : (direction + 1) * hidden])
                logits = table @ own + module.bias
                times = 1.0 if weight is None else float(weight[row])
                total, count = total - times * float(logits.detach().log_softmax(0)[ids[row, other]]), count + times
    assert float(module.loss(states, ids, lengths, table, weight)) == pytest.approx(total / count, rel=1e-5)


def test_texts_of_one_token_tell_nothing() -> None:
    module = Foretelling(7, 3, 4, 2)
    loss = module.loss(torch.randn(2, 1, 8), torch.tensor([[1], [0]]), torch.tensor([1, 0]), torch.randn(7, 3), None)
    assert float(loss) == 0.0


def test_a_state_has_not_seen_what_it_foretells() -> None:
    model = built(replace(SMALL, pairs=64)).eval()
    ids, lengths = torch.arange(1, 7).unsqueeze(0), torch.tensor([6])

    def states(changed: int | None = None) -> torch.Tensor:
        given = ids.clone()
        if changed is not None:
            given[0, changed] = 20
        return model.text.states(model.embedding(given, with_pairs=False), lengths)[0]

    for place in range(6):
        if place < 5:
            torch.testing.assert_close(states(place + 1)[place, :5], states()[place, :5])
            assert not torch.equal(states(place + 1)[place, 5:], states()[place, 5:])
        if place > 0:
            torch.testing.assert_close(states(place - 1)[place, 5:], states()[place, 5:])


def test_loss_of_a_batch_in_parts_is_that_of_the_whole(everywhere: None, task: Binary) -> None:
    model = built().eval()
    part = texts(12, 0)
    weight = torch.linspace(0, 1, 12)
    batch, target = part.tensors(), torch.from_numpy(part.target)
    whole = model.training_loss(batch, target, weight, task) * model.loss_size(batch, target, weight)
    for rows in (slice(0, 5), slice(5, 12)):
        some = {name: values[rows] for name, values in batch.items()}, target[rows], weight[rows]
        whole = whole - model.training_loss(*some, task) * model.loss_size(*some)
    assert abs(float(whole)) < 1e-4


def test_the_first_epochs_learn_to_read_and_none_of_them_is_the_best(task: Binary, tmp_path) -> None:
    def trained(folder, resume: bool = False, **more):
        model = built(replace(SMALL, pretrain_epochs=3))
        settings = TrainerSettings(
            **{
                "max_epochs": 6,
                "patience": 1,
                "batch_size": 32,
                "lr": 0.02,
                "accelerator": "cpu",
                "threads": 1,
                "checkpoint_seconds": 0.0,
            }
            | more
        )
        return model, fit(model, task, texts(300, 0), texts(100, 1), settings, folder=tmp_path / folder, seed=0, resume=resume)

    model, result = trained("whole")
    losses = [row["pretrain_loss"] for row in result.history[:3]]
    assert losses[0] - 0.2 > losses[2] > 1 > result.history[3]["train_loss"]  # of 30 tokens, and then of two classes
    assert set(result.history[0]) == {"epoch", "lr", "pretrain_loss"}, "nothing is told of a target that is not learnt"
    with (tmp_path / "whole" / "history.csv").open(newline="") as stream:
        first, *_, last = csv.DictReader(stream)
    assert first["train_loss"] == last["pretrain_loss"] == ""
    assert float(last["validation_auroc"]) > 0
    assert result.best_epoch >= 3
    assert len(result.history) > 3, "patience does not count while the target is not learnt"
    with pytest.raises(KeyboardInterrupt):
        stopped_after(2, trained)
    again, _ = trained("stopped", resume=True)
    for name, values in model.state_dict().items():
        assert torch.equal(values, again.state_dict()[name]), name


def stopped_after(epochs: int, trained) -> None:
    from shopkit.training.learner import Learner

    def stop(self) -> None:
        checkpointed(self)
        if self.state.epoch == epochs:
            raise KeyboardInterrupt

    checkpointed, Learner._checkpoint = Learner._checkpoint, stop
    try:
        trained("stopped")
    finally:
        Learner._checkpoint = checkpointed


def test_the_file_holds_nothing_of_it() -> None:
    model = built(replace(SMALL, pairs=64)).eval()
    exported = to_onnx(model, SPEC)
    assert not [value.name for value in exported.graph.initializer if "foretelling" in value.name]
    batch = tokens(30, np.array([4, 0, 1]), np.random.default_rng(0))
    answers = open_session(exported.SerializeToString()).run(["scores"], batch)[0]
    np.testing.assert_allclose(answers, model_scores(model, batch), atol=1e-5)


def test_what_cannot_be_foretold_is_refused(task: Binary, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"model\.pretrain_epochs is 2 and model\.layers 2: in a second bidirectional layer"):
        LSTMSettings(bidirectional=True, layers=2, pretrain_epochs=2)
    with pytest.raises(ConfigError, match=r"model\.pretrain_epochs is -1"):
        LSTMSettings(pretrain_epochs=-1)
    with pytest.raises(ConfigError, match=r"the tokens of a text are foretold, and no column is read token by token\. Give"):
        LSTM(SMALL, feature_spec(reads=["features:sequences"]), 1)
    settings = TrainerSettings(max_epochs=2, accelerator="cpu")
    with pytest.raises(ConfigError, match=r"model\.pretrain_epochs is 2 of the 2 of trainer\.max_epochs: none is left"):
        fit(built(), task, texts(20, 0), texts(20, 1), settings, folder=tmp_path, seed=0)
