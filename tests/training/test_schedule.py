"""Learning-rate schedules."""

from __future__ import annotations

import pytest
import torch

from shopkit.training.schedule import lr_factor
from shopkit.training.settings import TrainerSettings


def factors(n: int, **settings) -> list[float]:
    return [lr_factor(TrainerSettings(**settings), step, n) for step in range(n)]


def test_constant_stays():
    assert set(factors(10)) == {1.0}


def test_warmup_rises_linearly():
    assert factors(10, warmup=0.5) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1, 1])


def test_cosine_falls_to_zero():
    values = factors(100, schedule="cosine")
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(1, abs=1e-3)
    assert values[49] == pytest.approx(0.5)
    assert values[-1] == pytest.approx(0)


def test_one_cycle_is_torch_s():
    n = 101
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=n, final_div_factor=1e12)
    expected = []
    for _ in range(n):
        expected.append(scheduler.get_last_lr()[0])
        optimizer.step()
        if len(expected) < n:
            scheduler.step()
    assert factors(n, schedule="one_cycle") == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_pretraining_and_what_follows_have_a_schedule_each(schedule):
    settings = TrainerSettings(schedule=schedule, warmup=0.25)
    both = [lr_factor(settings, step, 30, 12) for step in range(30)]
    assert both == factors(12, schedule=schedule, warmup=0.25) + factors(18, schedule=schedule, warmup=0.25)
