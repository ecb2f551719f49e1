from __future__ import annotations

import ndonnx as ndx
import numpy as np

from shopkit.tasks.base import Monitor
from shopkit.tasks.binary import Binary
from shopkit.tasks.settings import BinarySettings
from tests.testing.broken.base import broken


class NoLoss(Binary):
    """The loss is not a number."""

    def loss(self, scores, target, weight):
        return super().loss(scores, target, weight) * float("nan")


class AveragesScores(Binary):
    """An ensemble's loss is that of its mean."""

    def loss(self, scores, target, weight):
        return super().loss(scores.mean(1) if scores.ndim == 3 else scores, target, weight)


class FarOff(Binary):
    """Starts where no row is."""

    def initial_bias(self):
        return np.array([9.0], np.float32)


class IgnoresWeights(Binary):
    """Every row counts once."""

    def loss(self, scores, target, weight):
        return super().loss(scores, target, None)


class WatchesNothing(Binary):
    """Monitors what it does not measure."""

    def __init__(self, settings):
        super().__init__(settings)
        self.monitor = Monitor("recall_at_10", "max")


class OtherOrder(Binary):
    """States its outputs in another order."""

    @property
    def outputs(self):
        return super().outputs[::-1]


class ComparesRows(Binary):
    """Probabilities are set against the batch's largest."""

    def decide(self, scores):
        decided = super().decide(scores)
        return {**decided, "probability": decided["probability"] / ndx.max(decided["probability"])}


class KeepsArrays(Binary):
    """Its state is numpy."""

    def fit_target(self, values, weight=None):
        super().fit_target(values, weight)
        self.state["prior"] = np.float32(self.state["prior"])


class Nameless(Binary):
    """Describes no metric."""

    described: dict = {}  # noqa: RUF012


class Boasts(Binary):
    """Its accuracy is another's."""

    def metrics(self, outputs, target, weight=None):
        found = super().metrics(outputs, target, weight)
        return {**found, "accuracy": found["accuracy"] ** 0.5}


class TakesAnything(Binary):
    """Is content with one class."""

    def fit_target(self, values, weight=None):
        if len(np.unique(values.astype(str))) > 1:
            super().fit_target(values, weight)


BROKEN = {
    check: broken("tasks", target, BinarySettings, message)
    for check, target, message in (
        ("check_tasks_loss_is_finite_and_falls", NoLoss, r"the loss must be finite; it was \[nan"),
        ("check_tasks_loss_averages_members", AveragesScores, r"loss of three members without weights must be the mean"),
        ("check_tasks_initial_bias_is_a_good_start", FarOff, r"the loss at `initial_bias` is .*, above"),
        ("check_tasks_weights_are_respected", IgnoresWeights, r"`loss`: a row of weight 2 must count as two rows"),
        (
            "check_tasks_monitor_is_measured",
            WatchesNothing,
            r"`monitor` names 'recall_at_10', which `validation_metrics` does not",
        ),
        (
            "check_tasks_outputs_are_as_stated",
            OtherOrder,
            r"`decide` gives the outputs \['probability', 'label'\], `outputs` states",
        ),
        ("check_tasks_decision_graph_equals_numpy", ComparesRows, r"must give 'probability' of 1 rows as plain arrays do"),
        ("check_tasks_state_is_plain_json", KeepsArrays, r"`state` must be plain JSON data: Object of type float32"),
        ("check_tasks_metrics_are_described", Nameless, r"the metrics auroc, .* are not in `described`"),
        ("check_tasks_metrics_agree_with_scikit_learn", Boasts, r"accuracy is 0\.\d+, and 0\.\d+ by scikit-learn"),
        (
            "check_tasks_refuse_a_constant_target",
            TakesAnything,
            r"a target with one value in all rows must be refused .* nothing was",
        ),
    )
}
