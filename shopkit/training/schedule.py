"""Learning-rate schedules, as plain functions of the step: nothing to store, nothing to restore."""

from __future__ import annotations

import math

from shopkit.training.settings import TrainerSettings


def lr_factor(settings: TrainerSettings, step: int, n_steps: int, n_pretrain: int = 0) -> float:
    """The learning rate at a step (from 0) of `n_steps`, as a share of the peak.

    The first `n_pretrain` steps, of pretraining, have the schedule to themselves, and so have the others, which would else meet a
    rate that has fallen for what came before.
    """
    first, end = (0, n_pretrain) if step < n_pretrain else (n_pretrain, n_steps)
    share = (step - first + 1) / (end - first)
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
