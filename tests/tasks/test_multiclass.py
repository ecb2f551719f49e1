from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from shopkit.errors import DataError
from shopkit.tasks.base import Task
from shopkit.tasks.multiclass import Multiclass
from shopkit.tasks.settings import MulticlassSettings

Answer = Callable[[Task, np.ndarray], dict[str, np.ndarray]]
NAMES = np.array(["home", "garden", "food", "toys"], object)


def fitted(target: np.ndarray, **chosen: object) -> Multiclass:
    task = Multiclass(MulticlassSettings(**chosen))  # type: ignore[arg-type]
    task.fit_target(target)
    return task


def shop(n: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores in the order of the sorted names, off by a bias for each class, and the names."""
    rng = np.random.default_rng(seed)
    honest = rng.normal(size=(n, 4)) * 1.5
    codes = np.argmax(honest + rng.gumbel(size=honest.shape), axis=1)
    return (honest + np.array([0.0, 2.0, -1.0, 0.5])).astype(np.float32), np.sort(NAMES)[codes]


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def test_numbers_are_ordered_as_numbers() -> None:
    assert fitted(np.array([10.0, 9.0, 100.0])).state["classes"] == ["9", "10", "100"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array(["a"] * 5, object), "The target has one class in the training part, 'a', in all 5 rows"),
        (
            np.array([f"u{i}" for i in range(50)], object),
            "50 classes in 50 training rows, .* looks like an identifier or an amount",
        ),
    ],
)
def test_targets_it_cannot_use(values: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fitted(values)


def test_an_unseen_class_is_an_error() -> None:
    with pytest.raises(DataError, match="lacks: 'books', in 1 rows"):
        fitted(NAMES).encode(np.array(["books"], object))


@pytest.mark.parametrize("calibration", ["temperature", "none"])
def test_the_graph_says_what_the_formula_says(answer: Answer, calibration: str) -> None:
    scores, target = shop()
    task = fitted(target, calibration=calibration)
    task.fit_decision(scores, task.encode(target), None)
    outputs = answer(task, scores)
    expected = softmax(scores.astype(np.float64) * task.state["scale"] + np.array(task.state["bias"]))
    assert outputs["probability"] == pytest.approx(expected, abs=1e-6)
    assert outputs["label"].tolist() == np.array(task.state["classes"])[outputs["probability"].argmax(axis=1)].tolist()
    assert answer(task, scores[:1])["probability"].shape == (1, 4)
    assert task.outputs[0].classes == tuple(np.sort(NAMES))


def test_calibration_recovers_the_shares(answer: Answer) -> None:
    scores, target = shop()
    task = fitted(target)
    encoded = task.encode(target)
    task.fit_decision(scores, encoded, None)
    probability = answer(task, scores)["probability"]
    assert probability.mean(axis=0) == pytest.approx(np.bincount(encoded) / len(encoded), abs=1e-4)
    assert log_loss(encoded, probability) < log_loss(encoded, softmax(scores)) - 0.1


@pytest.mark.parametrize("members", [None, 3])
@pytest.mark.parametrize("chosen", [{}, {"label_smoothing": 0.1}, {"class_weights": "balanced"}])
def test_the_loss_is_finite_and_falls(chosen: dict[str, object], members: int | None) -> None:
    torch.manual_seed(0)
    inputs, raw = shop(400)
    task = fitted(raw, **chosen)
    target = torch.from_numpy(task.encode(raw))
    layer = torch.nn.Linear(4, 4 * (members or 1))
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    losses = []
    for _ in range(50):
        scores = layer(torch.from_numpy(inputs))
        loss = task.loss(scores if members is None else scores.view(-1, members, 4), target, torch.ones(400))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.8 * losses[0]


def test_the_loss_agrees_with_torch() -> None:
    scores, raw = shop(300)
    task = fitted(raw, label_smoothing=0.1, class_weights="balanced")
    target = torch.from_numpy(task.encode(raw))
    plain = torch.nn.functional.cross_entropy(torch.from_numpy(scores), target, label_smoothing=0.1, reduction="none")
    weights = torch.tensor(task.state["loss_weights"])[target]
    assert task.loss(torch.from_numpy(scores), target, None).item() == pytest.approx((plain * weights).mean().item(), rel=1e-5)


@pytest.mark.parametrize("chosen", [{}, {"class_weights": "balanced"}, {"label_smoothing": 0.2}])
def test_training_starts_at_the_best_constant(chosen: dict[str, object]) -> None:
    _, raw = shop(1000)
    task = fitted(raw, **chosen)
    score = torch.from_numpy(task.initial_bias()).expand(1000, 4).clone().requires_grad_(True)
    task.loss(score, torch.from_numpy(task.encode(raw)), None).backward()
    assert score.grad is not None
    assert score.grad.sum(dim=0).abs().max().item() < 1e-2


@pytest.mark.parametrize("monitor", ["log_loss", "accuracy", "f1_macro", "auroc_macro"])
def test_the_monitor_is_measured(monitor: str) -> None:
    scores, raw = shop(300)
    task = fitted(raw, monitor=monitor)
    found = task.validation_metrics(torch.from_numpy(scores), torch.from_numpy(task.encode(raw)), None)
    assert task.monitor.name in found
    assert task.monitor.mode == ("min" if monitor == "log_loss" else "max")


def test_the_constant_prediction_is_the_most_frequent_class() -> None:
    task = fitted(np.array(["b", "a", "b", "c"], object))
    outputs = task.constant_outputs(2)
    assert outputs["probability"] == pytest.approx(np.array([[0.25, 0.5, 0.25]] * 2))
    assert outputs["label"].tolist() == ["b", "b"]


def test_the_state_is_plain_and_enough(answer: Answer) -> None:
    scores, target = shop(200)
    task = fitted(target)
    task.fit_decision(scores, task.encode(target), None)
    again = Multiclass(MulticlassSettings())
    again.state = json.loads(json.dumps(task.state))
    assert (answer(again, scores)["probability"] == answer(task, scores)["probability"]).all()
