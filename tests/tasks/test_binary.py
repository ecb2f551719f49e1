from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, log_loss

from shopkit.errors import DataError
from shopkit.tasks.base import Task
from shopkit.tasks.binary import Binary
from shopkit.tasks.settings import BinarySettings

Answer = Callable[[Task, np.ndarray], dict[str, np.ndarray]]


def fitted(target: np.ndarray, weight: np.ndarray | None = None, **chosen: object) -> Binary:
    task = Binary(BinarySettings(**chosen))  # type: ignore[arg-type]
    task.fit_target(target, weight)
    return task


def shop(n: int = 4000, seed: int = 0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose log-odds are score - 2 - shift, and the outcome 0/1."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n, 1)).astype(np.float32) * 2
    return scores + np.float32(shift), (rng.random(n) < 1 / (1 + np.exp(2 - scores[:, 0]))).astype(np.float64)


@pytest.mark.parametrize(
    ("values", "positive", "classes"),
    [
        (np.array([0.0, 1.0, 1.0]), "auto", ["0", "1"]),
        (np.array([True, False]), "auto", ["0", "1"]),
        (np.array([0.0, 1.0]), 0, ["1", "0"]),
        (np.array(["yes", "no", "yes"], object), "auto", ["no", "yes"]),
        (np.array(["True", "False"], object), "auto", ["False", "True"]),
        (np.array(["stay", "churn", "stay"], object), "auto", ["stay", "churn"]),
        (np.array(["stay", "churn", "stay"], object), "stay", ["churn", "stay"]),
        (np.array(["yes", "no"], object), False, ["yes", "no"]),
    ],
)
def test_the_positive_class(values: np.ndarray, positive: object, classes: list[str]) -> None:
    task = fitted(values, positive=positive)
    assert task.state["classes"] == classes
    assert task.encode(values).tolist() == [float(str(name) == classes[1]) for name in _names(values)]


def _names(values: np.ndarray) -> list[str]:
    return [name if isinstance(name, str) else str(int(name)) for name in values.tolist()]


def test_a_guessed_positive_class_is_said() -> None:
    task = fitted(np.array(["stay", "churn", "stay"], object))
    assert task.state["note"] == "'churn' is taken as the positive class, as it is the rarer one; task.positive names another."


@pytest.mark.parametrize(
    ("values", "positive", "message"),
    [
        (
            np.ones(12),
            "auto",
            r"The target has one class in the training part, '1', in all 12 rows: nothing tells a yes from a no",
        ),
        (
            np.array([1.0, 2, 3]),
            "auto",
            r"task=binary needs two classes, but the target has 3: '1', '2', '3'\. Use task=multiclass",
        ),
        (
            np.array(["yes", "no"], object),
            "yess",
            r"task.positive is 'yess', but the target's classes are 'no', 'yes'\. Did you mean 'yes'",
        ),
    ],
)
def test_targets_it_cannot_use(values: np.ndarray, positive: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fitted(values, positive=positive)


def test_an_unseen_class_is_an_error() -> None:
    with pytest.raises(DataError, match="lacks: '2', in 1 rows"):
        fitted(np.array([0.0, 1.0])).encode(np.array([0.0, 2.0]))


@pytest.mark.parametrize("chosen", [{}, {"class_weights": "balanced"}, {"calibration": "none"}, {"threshold": "rate"}])
def test_the_graph_says_what_the_formula_says(answer: Answer, chosen: dict[str, str]) -> None:
    scores, target = shop(shift=1.5)
    task = fitted(target, **chosen)
    task.fit_decision(scores, task.encode(target), None)
    outputs = answer(task, scores)
    logits = scores[:, 0] * task.state["scale"] + task.state["bias"]
    assert outputs["probability"].dtype == np.float32
    assert outputs["probability"] == pytest.approx(1 / (1 + np.exp(-logits.astype(np.float64))), abs=1e-6)
    assert outputs["label"].tolist() == np.where(outputs["probability"] >= task.state["threshold"], "1", "0").tolist()
    for n in (0, 1):
        assert answer(task, scores[:n])["label"].shape == (n,)


def test_calibration_undoes_class_weights(answer: Answer) -> None:
    """Scores trained with balanced classes have a prior of one half; the file gives back the shop's own rate."""
    scores, target = shop()
    task = fitted(target, class_weights="balanced")
    shifted = scores + np.float32(np.log(task.state["loss_weights"][1] / task.state["loss_weights"][0]))
    task.fit_decision(shifted, task.encode(target), None)
    probability = answer(task, shifted)["probability"]
    assert probability.mean() == pytest.approx(target.mean(), abs=1e-4)
    assert log_loss(target, probability) < log_loss(target, 1 / (1 + np.exp(-shifted[:, 0]))) - 0.05


def test_the_threshold_is_the_best_of_the_file(answer: Answer) -> None:
    scores, target = shop(1000)
    task = fitted(target)
    task.fit_decision(scores, task.encode(target), None)
    outputs = answer(task, scores)
    best = max(f1_score(target, outputs["probability"] >= t) for t in np.unique(outputs["probability"])[::5])
    assert f1_score(target, outputs["label"] == "1") >= best


def test_a_cost_table_lowers_the_threshold() -> None:
    scores, target = shop()
    thresholds = []
    for cost in (1.0, 9.0):
        task = fitted(target, threshold="cost", cost_false_negative=cost)
        task.fit_decision(scores, task.encode(target), None)
        thresholds.append(task.state["threshold"])
    # Elkan (2001): with honest probabilities the best threshold is c_fp / (c_fp + c_fn).
    assert thresholds == pytest.approx([0.5, 0.1], abs=0.08)


def test_one_class_in_validation_leaves_the_decision_and_says_so() -> None:
    task = fitted(np.array([0.0, 1.0]))
    for _ in range(2):
        task.fit_decision(np.zeros((5, 1), np.float32), np.zeros(5, np.float32), None)
    assert (task.state["scale"], task.state["bias"], task.state["threshold"]) == (1, 0, 0.5)
    assert task.state["note"] == ("The validation part has only '0': nothing to calibrate on, and the threshold stays 0.5.")


def test_a_rate_and_a_fixed_threshold() -> None:
    scores, target = shop()
    task = fitted(target, threshold="rate", target_rate=0.05)
    task.fit_decision(scores, task.encode(target), None)
    assert np.mean(task._probability(scores) >= np.float32(task.state["threshold"])) == pytest.approx(0.05, abs=1e-3)
    task = fitted(target, threshold="fixed", fixed_threshold=0.7)
    task.fit_decision(scores, task.encode(target), None)
    assert task.state["threshold"] == pytest.approx(0.7)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(
    "chosen",
    [{}, {"label_smoothing": 0.1}, {"focal_gamma": 2.0}, {"class_weights": "balanced"}, {"positive_weight": 4.0}],
)
def test_the_loss_is_finite_and_falls(chosen: dict[str, object], members: int) -> None:
    torch.manual_seed(0)
    inputs, raw = shop(500)
    task = fitted(raw, **chosen)
    target = torch.from_numpy(task.encode(raw))
    layer = torch.nn.Linear(1, members)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    losses = []
    for _ in range(60):
        scores = layer(torch.from_numpy(inputs))
        loss = task.loss(scores if members == 1 else scores[..., None], target, torch.ones(500))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.9 * losses[0]


def test_the_loss_is_the_weighted_cross_entropy() -> None:
    scores, raw = shop(200)
    weight = np.random.default_rng(1).random(200).astype(np.float32)
    task = fitted(raw)
    loss = task.loss(torch.from_numpy(scores), torch.from_numpy(task.encode(raw)), torch.from_numpy(weight))
    assert loss.item() == pytest.approx(
        log_loss(raw, 1 / (1 + np.exp(-scores[:, 0].astype(np.float64))), sample_weight=weight), rel=1e-5
    )


@settings(max_examples=20, deadline=None)
@given(st.floats(0.02, 0.9), st.sampled_from(["none", "balanced"]), st.floats(0.5, 5), st.sampled_from([0.0, 0.1]))
def test_training_starts_at_the_best_constant(rate: float, weights: str, positive: float, smoothing: float) -> None:
    raw = (np.arange(1000) < rate * 1000).astype(np.float64)
    task = fitted(raw, class_weights=weights, positive_weight=positive, label_smoothing=smoothing)
    target = torch.from_numpy(task.encode(raw))
    score = torch.from_numpy(task.initial_bias()).expand(1000, 1).clone().requires_grad_(True)
    task.loss(score, target, None).backward()
    assert float(score.grad.sum()) == pytest.approx(0, abs=0.02)  # type: ignore[union-attr]


@pytest.mark.parametrize("monitor", ["auroc", "average_precision", "log_loss"])
def test_the_monitor_is_measured(monitor: str) -> None:
    scores, raw = shop(300)
    task = fitted(raw, monitor=monitor)
    found = task.validation_metrics(torch.from_numpy(scores), torch.from_numpy(task.encode(raw)), torch.ones(300))
    assert monitor in found
    assert task.monitor.name == monitor
    assert task.monitor.mode == ("min" if monitor == "log_loss" else "max")


def test_the_constant_prediction_is_the_weighted_rate() -> None:
    task = fitted(np.array([0.0, 1.0]), np.array([1.0, 3.0]))
    assert task.constant_outputs(2)["probability"].tolist() == [0.75, 0.75]
    assert task.constant_outputs(2)["label"].tolist() == ["1", "1"]


def test_the_state_is_plain_and_enough(answer: Answer) -> None:
    import json

    scores, target = shop(200)
    task = fitted(target)
    task.fit_decision(scores, task.encode(target), None)
    again = Binary(BinarySettings())
    again.state = json.loads(json.dumps(task.state))
    assert (answer(again, scores)["probability"] == answer(task, scores)["probability"]).all()


def test_a_class_without_weight_in_training() -> None:
    with pytest.raises(DataError, match=r"All training rows of the class 'yes' have weight 0: .* Look at view\.weight"):
        Binary(BinarySettings()).fit_target(np.array(["yes", "no"], object), np.array([0.0, 1.0]))


def test_a_batch_without_weight_has_no_loss() -> None:
    task = Binary(BinarySettings())
    task.fit_target(np.array(["yes", "no"], object))
    scores = torch.randn(3, 1, requires_grad=True)
    loss = task.loss(scores, torch.tensor([0.0, 1, 1]), torch.zeros(3))
    loss.backward()
    assert loss.item() == 0
    assert not scores.grad.any()
