"""Matrix factorisation by gradients.

Rendle et al.: BPR: Bayesian personalized ranking from implicit feedback (2009). A customer's factors are an average of factors of
the items in the history (Kabbur, Ning, Karypis: FISM, 2013), so that a customer who was not there in training is answered as
well.
"""

from __future__ import annotations

import math

import torch
from shopkit.features.base import FeatureSpec
from shopkit.models.base import Batch
from torch import Tensor

from shopkit_recommend.models.averages import DecayedAverage
from shopkit_recommend.models.network import Network
from shopkit_recommend.models.network_settings import MFSettings


class MF(Network):
    """Scores: the customer's factors times each item's."""

    settings: MFSettings

    def __init__(self, settings: MFSettings, features: FeatureSpec, n_outputs: int) -> None:
        super().__init__(settings, features, n_outputs, "mf")
        self.average = DecayedAverage(settings.decay, math.gcd(4, settings.dim))

    def states(self, batch: Batch) -> Tensor:
        x = self.dropout(self.read(batch))
        states: Tensor = self.average(x, torch.arange(x.shape[1], device=x.device).unsqueeze(0))
        return states

    def last_state(self, batch: Batch) -> Tensor:
        state: Tensor = self.average(self.dropout(self.read(batch)), (batch["lengths"] - 1).unsqueeze(1)).squeeze(1)
        return state
