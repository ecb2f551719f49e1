"""The moving average of weights."""

from __future__ import annotations

import torch
from torch import nn

from shopkit.training.average import WeightAverage


def test_it_follows_the_weights_and_lends_itself_to_the_model():
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
        average = WeightAverage(model, decay=0.9)
        expected = 0.0
        for step in range(60):
            model.weight.fill_(float(step))
            average.update()
            decay = min(0.9, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * step
        with average.applied():
            torch.testing.assert_close(model.weight.item(), expected, rtol=1e-5, atol=1e-5)
        assert model.weight.item() == 59.0


def test_running_statistics_are_averaged_too():
    model = nn.BatchNorm1d(1, momentum=None).train()
    average = WeightAverage(model, decay=0.5)
    model(torch.full((4, 1), 10.0))
    average.update()
    with average.applied():
        assert 0 < model.running_mean.item() < 10


def test_it_is_restored_from_its_state():
    model = nn.Linear(2, 2)
    first, second = WeightAverage(model, 0.9), WeightAverage(nn.Linear(2, 2), 0.9)
    first.update()
    second.load_state_dict(first.state_dict())
    assert second.steps == 1
    assert all(torch.equal(a, b) for a, b in zip(first.average, second.average, strict=True))
