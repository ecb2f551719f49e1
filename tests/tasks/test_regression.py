from __future__ import annotations

import json
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from shopkit.errors import DataError
from shopkit.tasks.base import Task
from shopkit.tasks.regression import Regression
from shopkit.tasks.settings import RegressionSettings

Answer = Callable[[Task, np.ndarray], dict[str, np.ndarray]]
KINDS: list[dict[str, object]] = [
    {},
    {"target_scale": "none"},
    {"target_scale": "log1p"},
    {"loss": "mae"},
    {"loss": "mae", "target_scale": "log1p"},
    {"loss": "huber"},
    {"loss": "poisson"},
    {"loss": "tweedie"},
]


def fitted(target: np.ndarray, weight: np.ndarray | None = None, **chosen: object) -> Regression:
    task = Regression(RegressionSettings(**chosen))  # type: ignore[arg-type]
    task.fit_target(target, weight)
    return task


def baskets(n: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """One input, and amounts with a long tail that depend on it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 1)).astype(np.float32)
    return x, np.exp(2 + x[:, 0] + 0.7 * rng.normal(size=n)).astype(np.float64)


@pytest.mark.parametrize(
    ("values", "chosen", "message"),
    [
        (
            np.array(["12.5", "3"], object),
            {},
            r"task=regression needs numbers, but the target is text \(row 0: '12.5'\).*task=binary",
        ),
        (np.array(["a", "b", "c"], object), {}, "It has 3 different values: use task=multiclass"),
        (np.full(4, 2.5), {}, r"The target is 2.5 in all 4 training rows: there is nothing to predict"),
        (np.array([1.0, np.nan]), {}, r"The target is missing in row 1 \(1 such rows\)"),
        (np.array([1.0, np.inf, np.inf]), {}, r"The target is infinite in row 1 \(2 such rows\)"),
        (np.array([]), {}, "The target has no rows"),
        (np.array([1.0, -2.0]), {"target_scale": "log1p"}, r"task.target_scale=log1p needs targets from 0, but row 1 .* has -2"),
        (np.array([1.0, -2.0]), {"loss": "poisson"}, "task.loss=poisson needs targets from 0"),
    ],
)
def test_targets_it_cannot_use(values: np.ndarray, chosen: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        fitted(values, **chosen)


@pytest.mark.parametrize("chosen", KINDS)
def test_the_graph_says_what_the_formula_says(answer: Answer, chosen: dict[str, object]) -> None:
    x, target = baskets()
    task = fitted(target, **chosen)
    task.fit_decision(x, task.encode(target), None)
    found = answer(task, x)["prediction"]
    assert found.dtype == np.float32
    assert found == pytest.approx(task._predict(x), rel=1e-5, abs=1e-5)
    assert answer(task, x[:1])["prediction"].shape == (1,)


@pytest.mark.parametrize("chosen", KINDS)
def test_training_finds_the_relation_and_the_unit_is_restored(answer: Answer, chosen: dict[str, object]) -> None:
    torch.manual_seed(0)
    x, target = baskets()
    task = fitted(target, **chosen)
    encoded = torch.from_numpy(task.encode(target))
    layer = torch.nn.Linear(1, 1)
    with torch.no_grad():
        layer.bias.copy_(torch.from_numpy(task.initial_bias()))
        layer.weight.zero_()
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    losses = []
    for _ in range(150):
        loss = task.loss(layer(torch.from_numpy(x)), encoded, torch.ones(len(x)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    scores = layer(torch.from_numpy(x)).detach().numpy()
    task.fit_decision(scores, encoded.numpy(), None)
    outputs = answer(task, scores)
    better = "mae" if chosen.get("loss") in ("mae", "huber") else "rmse"
    constant = task.metrics(task.constant_outputs(len(x)), encoded.numpy())
    assert task.metrics(outputs, encoded.numpy())[better] < constant[better]


@pytest.mark.parametrize("chosen", KINDS)
def test_training_starts_at_the_best_constant(chosen: dict[str, object]) -> None:
    _, target = baskets(501)
    task = fitted(target, **chosen)
    encoded = torch.from_numpy(task.encode(target))
    start = float(task.initial_bias()[0])
    losses = [task.loss(torch.full((501, 1), start + move), encoded, None).item() for move in (0.0, -0.3, 0.3)]
    if chosen.get("loss") != "huber":  # starts at the median, between the two
        assert losses[0] <= min(losses[1:]) + 1e-6


def test_members_are_averaged() -> None:
    x, target = baskets(50)
    task = fitted(target)
    encoded = torch.from_numpy(task.encode(target))
    scores = torch.from_numpy(np.stack([x, x + 1], axis=1))
    separately = [task.loss(scores[:, member], encoded, None).item() for member in (0, 1)]
    assert task.loss(scores, encoded, None).item() == pytest.approx(np.mean(separately), rel=1e-5)


def test_tweedie_agrees_with_scikit_learn() -> None:
    from sklearn.metrics import mean_tweedie_deviance

    x, target = baskets(500)
    task = fitted(target, loss="tweedie", tweedie_power=1.3)
    encoded = task.encode(target)
    mean = np.exp(task.state["centre"])

    def both(scores: np.ndarray) -> tuple[float, float]:
        loss = task.loss(torch.from_numpy(scores), torch.from_numpy(encoded), None).item()
        return loss, mean_tweedie_deviance(encoded / mean, np.exp(scores[:, 0]), power=1.3) / 2

    (first, first_deviance), (second, second_deviance) = both(x), both(x / 2)
    assert first - second == pytest.approx(first_deviance - second_deviance, rel=1e-3)


def test_smearing_restores_the_mean(answer: Answer) -> None:
    x, target = baskets()
    for calibration, restored in (("auto", True), ("none", False)):
        task = fitted(target, target_scale="log1p", calibration=calibration)
        scores = ((np.log1p(np.exp(2 + x)) - task.state["centre"]) / task.state["spread"]).astype(np.float32)
        task.fit_decision(scores, task.encode(target), None)
        ratio = answer(task, scores)["prediction"].mean() / target.mean()
        assert bool(abs(ratio - 1) < 1e-4) is restored


def test_where_smearing_means_nothing_it_is_refused_or_told() -> None:
    with pytest.raises(DataError, match=r"task\.calibration=smearing .* must be above 0, .* is -1\. Use task\.calibration=none"):
        fitted(np.array([-3.0, 1.0, -1.0]), calibration="smearing")
    target = np.array([1.0, 2.0, 9.0])
    task = fitted(target, loss="mae", calibration="smearing")
    above, below = np.full((3, 1), 1, np.float32), np.full((3, 1), -9, np.float32)
    for scores, actual in ((below, target), (above, -target), (above, 0 * target)):
        task.fit_decision(scores, actual.astype(np.float32), None)
        assert task.state["factor"] == 1
        assert re.fullmatch(r"predictions are left as they are: no factor .*, -?[\d.]+, that of .*, -?\d", task.told["Smearing"])
        assert task.outputs[0].meaning == "predicted median"
    task.fit_decision(above, target.astype(np.float32), None)
    assert task.state["factor"] != 1
    assert task.told == {}


def test_a_wild_score_gives_a_finite_amount(answer: Answer) -> None:
    _, target = baskets()
    for chosen in ({"target_scale": "log1p"}, {"loss": "poisson"}):
        task = fitted(target, **chosen)
        found = answer(task, np.array([[1e6], [-1e6]], np.float32))["prediction"]
        assert np.isfinite(found).all()
        assert found[0] < 10 * target.max()
        assert found[1] == pytest.approx(0, abs=1e-6)


def test_the_constant_prediction() -> None:
    target, weight = np.array([1.0, 2.0, 9.0]), np.array([1.0, 1.0, 2.0])
    assert fitted(target, weight).constant_outputs(1)["prediction"].tolist() == [5.25]
    assert fitted(target, loss="mae").constant_outputs(2)["prediction"].tolist() == [2.0, 2.0]


@pytest.mark.parametrize("monitor", ["rmse", "mae", "wape", "loss"])
def test_the_monitor_is_measured(monitor: str) -> None:
    x, target = baskets(100)
    task = fitted(target, monitor=monitor)
    found = task.validation_metrics(torch.from_numpy(x), torch.from_numpy(task.encode(target)), None)
    assert task.monitor.name in found
    assert task.monitor.mode == "min"


def test_the_unit_and_the_state_travel(answer: Answer) -> None:
    x, target = baskets(100)
    task = fitted(target, unit="USD", target_scale="log1p")
    task.fit_decision(x, task.encode(target), None)
    assert task.outputs[0].unit == "USD"
    again = Regression(RegressionSettings(target_scale="log1p"))
    again.state = json.loads(json.dumps(task.state))
    assert (answer(again, x)["prediction"] == answer(task, x)["prediction"]).all()


def test_rows_without_weight_do_not_make_a_target_vary() -> None:
    with pytest.raises(DataError, match="The target is 2 in all 2 training rows"):
        Regression(RegressionSettings()).fit_target(np.array([2.0, 5, 2]), np.array([1.0, 0, 1]))


@pytest.mark.parametrize(
    ("chosen", "meaning"),
    [
        ({}, "predicted mean"),
        ({"loss": "tweedie"}, "predicted mean"),
        ({"target_scale": "log1p"}, "predicted mean"),
        ({"target_scale": "log1p", "calibration": "none"}, "predicted mean of log(1 + target), undone: below the mean"),
        ({"loss": "mae", "target_scale": "log1p"}, "predicted median"),
        ({"loss": "mae", "calibration": "smearing"}, "predicted median, scaled to the mean of the validation part"),
        ({"loss": "huber"}, "predicted value between median and mean"),
    ],
)
def test_the_output_says_what_is_predicted(chosen: dict[str, str], meaning: str) -> None:
    task = Regression(RegressionSettings(**chosen))  # type: ignore[arg-type]
    target = np.random.default_rng(0).lognormal(size=500)
    task.fit_target(target)
    task.fit_decision(np.zeros((500, 1), np.float32), target, None)
    assert task.outputs[0].meaning == meaning
