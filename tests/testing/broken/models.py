from __future__ import annotations

import copy
from dataclasses import replace

import torch

from shopkit.models.linear import Linear
from shopkit.models.lstm import LSTM
from shopkit.models.mlp import MLP
from shopkit.models.settings import LinearSettings, LSTMSettings, MLPSettings
from tests.testing.broken.base import broken


class OddShape(MLP):
    """Scores have one dimension too many."""

    def forward(self, batch):
        scores = super().forward(batch)
        return scores if self.training else scores[:, None]


class ReadsPadding(LSTM):
    """Averages over padding as well."""

    def forward(self, batch):
        scores, mean = super().forward(batch), batch["sequence_dense"].mean((1, 2))
        return scores if self.training else scores + mean[:, None]


class LonelyRow(MLP):
    """A single row is answered otherwise."""

    def forward(self, batch):
        scores = super().forward(batch)
        return scores + 1 if len(scores) == 1 else scores


class LooksAround(MLP):
    """Scores are set against the batch's mean."""

    def forward(self, batch):
        scores = super().forward(batch)
        return scores if self.training else scores - scores.mean(0)


class NeedsNumbers(MLP):
    """Reads `dense` whether it is there or not."""

    def forward(self, batch):
        return super().forward({**batch, "dense": batch["dense"]})


class ExportsAnother(MLP):
    """What is traced has another bias."""

    def for_export(self):
        other = copy.deepcopy(self)
        with torch.no_grad():
            other.head_bias += 1
        return MLP.for_export(other)


class Unseeded(MLP):
    """Draws its weights from the clock."""

    def __init__(self, settings, features, n_outputs):
        torch.seed()
        super().__init__(settings, features, n_outputs)


class StandsStill(MLP):
    """Asks for a learning rate of 0."""

    def parameter_groups(self, lr, weight_decay):
        return super().parameter_groups(0.0, weight_decay)


class MixesMembers(MLP):
    """Training scores have members and rows in one dimension."""

    def forward(self, batch):
        scores = super().forward(batch)
        return scores.flatten(0, 1) if self.training else scores


class SideDoor(MLP):
    """What its ids come to does not all go by the module that stands for them."""

    def forward(self, batch):
        scores = super().forward(batch)
        return scores + batch["ids"].float().sum(1)[:, None] if not self.training else scores


class OnlyFloat32(MLP):
    """Casts what it is given."""

    def forward(self, batch):
        return super().forward(batch).float()


class HidesAParameter(MLP):
    """Has a tensor that its `state_dict` does not."""

    def __init__(self, settings, features, n_outputs):
        super().__init__(settings, features, n_outputs)
        self.shift = torch.rand(1)

    def forward(self, batch):
        return super().forward(batch) + self.shift


class LearnsNothing(Linear):
    """Stays at zero."""

    def fit(self, train, validation, seed):
        return {}


class KeepsHalf(Linear):
    """Its state lacks the bias."""

    def state(self):
        return {"weight": self.weight, "table": self.table}

    def load_state(self, state):
        self.weight, self.table = state["weight"], state["table"]


class CountsRows(Linear):
    """Every row counts alike."""

    def fit(self, train, validation, seed):
        return super().fit(replace(train, weight=None), replace(validation, weight=None), seed)


BROKEN = (
    {
        check: broken("models", target, MLPSettings, message)
        for check, target, message in (
            (
                "check_models_scores_have_the_stated_shape",
                OddShape,
                r"scores must be float32 \(400, 1\) .* they are float32 \(400, 1, 1\)",
            ),
            ("check_models_batch_of_one", LonelyRow, r"a batch of one must give the scores it has among many"),
            ("check_models_rows_do_not_mix", LooksAround, r"must not depend on the other rows of its batch"),
            (
                "check_models_take_any_features",
                NeedsNumbers,
                r"works with numbers only and with ids only.* raised KeyError: 'dense'",
            ),
            ("check_models_export_parity", ExportsAnother, r"the graph must give the model's scores for 1 rows"),
            ("check_models_are_deterministic", Unseeded, r"fitting twice with one seed must give the same scores"),
            ("check_models_gradient_steps_lower_the_loss", StandsStill, r"must lower the loss with task binary; it went from"),
            (
                "check_models_training_scores_fit_the_loss",
                MixesMembers,
                r"training scores must be \(400, 1\) or .* they are \(3200, 1\)",
            ),
            ("check_models_shares_add_up", SideDoor, r"the shares of a score must add up to its difference"),
            ("check_models_move_between_types_and_devices", OnlyFloat32, r"after `\.double\(\)` scores must be float64"),
            ("check_models_state_round_trip", HidesAParameter, r"the same `state_dict` must give the same scores"),
        )
    }
    | {
        "check_models_padding_changes_nothing": broken(
            "models", ReadsPadding, LSTMSettings, r"more steps of padding must change no score", frozenset({"features:sequences"})
        )
    }
    | {
        check: broken("models", target, LinearSettings, message, frozenset({"estimator"}))
        for check, target, message in (
            ("check_estimators_learn", LearnsNothing, r"training loss with task binary is .*, not below"),
            ("check_estimators_count_weights", CountsRows, r"rows must count by their weights.* it learns the same"),
            ("check_estimators_state_round_trip", KeepsHalf, r"a new estimator with the same state must give the same scores"),
        )
    }
)
