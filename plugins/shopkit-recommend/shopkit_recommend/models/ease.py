"""Each item as a linear function of all others."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import spox
import spox.opset.ai.onnx.v21 as op
from shopkit.errors import ConfigError
from shopkit.features.base import FeatureSpec
from shopkit.models.base import Arrays
from shopkit.tasks.base import Task

from shopkit_recommend.models import csr
from shopkit_recommend.models.histories import Histories
from shopkit_recommend.models.inputs import FIRST_ITEM
from shopkit_recommend.models.recommender import Recommender, csr_of, csr_state, product, recency, recency_graph
from shopkit_recommend.models.settings import EaseSettings

TIE = 1e-6
"""What popularity adds at most, so that it decides where the weights say nothing."""


class Ease(Recommender):
    """B = I − P / diag(P) with P = (X'WX + λI)⁻¹, W being the weights of the rows, so that B has a zero diagonal (Steck 2019); a
    score is the history times B."""

    name = "ease"
    bytes_of_interaction = 33
    settings: EaseSettings

    def __init__(self, settings: EaseSettings, features: FeatureSpec, task: Task) -> None:
        """
        Raises:
            ConfigError: there are more items than `max_items`.
        """
        super().__init__(settings, features, task)
        if self.n_items > settings.max_items:
            raise ConfigError(
                f"model=ease inverts a matrix of items by items: {self.n_items:,} items take {4e-9 * self.n_items**2:.1f} GB at "
                f"least, and model.max_items is {settings.max_items:,}. Choose model=item_knn, which keeps only what occurs "
                "together, or model=als; leave out rare items (view.min_of_item); or raise model.max_items where memory allows."
            )

    def learn(self, sequences: Histories, train: Arrays, seed: int) -> dict[str, Any]:
        has = sequences.matrix.astype(np.float32)
        gram = (has.T @ sequences.weighed(has)).toarray().T  # symmetric: turned round, it stands as LAPACK wants it
        gram[np.diag_indices(self.n_items)] += self.settings.l2
        # In place, by Cholesky: one matrix of items by items, not three.
        factor, failed = scipy.linalg.lapack.spotrf(gram, lower=0, clean=1, overwrite_a=1)
        if failed:
            raise ConfigError(
                f"model.l2 is {self.settings.l2:g}, too little for these histories: in float32, items that almost always occur "
                "together cannot be told apart. Raise it; 50 suits most shops."
            )
        inverse, _ = scipy.linalg.lapack.spotri(factor, lower=0, overwrite_c=1)
        diagonal = inverse.diagonal().copy()
        self.linear = csr.with_first_ids(self._weights(inverse, diagonal), FIRST_ITEM)
        counts = sequences.counts
        self.popularity = (TIE * counts / max(1, counts.max(initial=0))).astype(np.float32)
        return {"weights": int(self.linear.nnz)}

    def _weights(self, upper: np.ndarray, diagonal: np.ndarray) -> sp.csr_matrix:
        """Row by row from the upper triangle of P: −P_ij / P_jj, the largest of each row."""
        n = self.settings.weights or self.n_items
        kept: list[np.ndarray] = []
        values: list[np.ndarray] = []
        for i in range(self.n_items):
            row = -np.concatenate([upper[:i, i], upper[i, i:]]) / diagonal
            row[i] = 0
            chosen = np.sort(np.argpartition(-np.abs(row), n)[:n]) if n < self.n_items else np.flatnonzero(row)
            kept.append(chosen.astype(np.int32))
            values.append(row[chosen])
        offsets = np.concatenate([[0], np.cumsum([len(chosen) for chosen in kept])])
        return sp.csr_matrix((np.concatenate(values), np.concatenate(kept), offsets), (self.n_items, self.n_items))

    def of_ids(self, ids: np.ndarray) -> np.ndarray:
        return np.asarray(product(ids, recency(ids, self.settings.decay), self.linear) + self.popularity)

    def graph(self, ids: spox.Var) -> spox.Var:
        weights = recency_graph(ids, self.settings.decay)
        return op.add(csr.times(ids, weights, self.linear), op.const(self.popularity))

    def state(self) -> dict[str, np.ndarray]:
        return {**csr_state(self.linear), "popularity": self.popularity}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self.linear, self.popularity = csr_of(state), state["popularity"]
