"""A recurrent network over the history.

Hidasi, Karatzoglou, Baltrunas, Tikk: Session-based recommendations with recurrent neural networks (2016), trained as the
transformer is: at every step, against the whole catalogue (Petrov, Macdonald: Effective and efficient training for sequential
recommendation, 2022, for how much that matters).
"""

from __future__ import annotations

from shopkit.features.base import FeatureSpec
from shopkit.models.base import Batch
from shopkit.models.recurrent import OnnxRecurrent, Recurrent
from torch import Tensor, nn

from shopkit_recommend.models.network import Network
from shopkit_recommend.models.network_settings import GRU4RecSettings


class GRU4Rec(Network):
    """Scores of the next item."""

    settings: GRU4RecSettings
    recurrent: Recurrent | OnnxRecurrent

    def __init__(self, settings: GRU4RecSettings, features: FeatureSpec, n_outputs: int) -> None:
        super().__init__(settings, features, n_outputs, "gru4rec")
        self.recurrent = Recurrent("gru", settings.dim, settings.hidden_dim, settings.layers, False, settings.dropout)
        self.out = nn.Linear(settings.hidden_dim, settings.dim)

    def states(self, batch: Batch) -> Tensor:
        x = self.recurrent(self.dropout(self.read(batch)), batch["lengths"])
        states: Tensor = self.out(self.dropout(x))
        return states

    def for_export(self) -> nn.Module:
        exported = super().for_export()
        assert isinstance(exported, GRU4Rec)
        assert isinstance(self.recurrent, Recurrent)
        exported.recurrent = self.recurrent.for_export()
        return exported
