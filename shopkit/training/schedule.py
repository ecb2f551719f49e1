"""Learning-rate schedules, as plain functions of the step: nothing to store, nothing to restore."""

from __future__ import annotations

import math

from shopkit.training.settings import TrainerSettings


def lr_factor(settings: TrainerSettings, step: int, n_steps: int) -> float:
    """The learning rate at a step (from 0) of `n_steps`, as a share of the peak."""
    share = (step + 1) / n_steps
    if settings.schedule == "one_cycle":
        # Smith & Topin 2018, with cosine flanks.
        rise = settings.warmup or 0.3
        if share < rise:
            return _cosine(1 / 25, 1.0, share / rise)
        return _cosine(1.0, 0.0, (share - rise) / (1 - rise))
    if share < settings.warmup:
        return share / settings.warmup
    if settings.schedule == "cosine":
        return _cosine(1.0, 0.0, (share - settings.warmup) / (1 - settings.warmup))
    return 1.0


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
