"""Items bought by the same customers."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import spox
import spox.opset.ai.onnx.v21 as op
from shopkit.models.base import Arrays

from shopkit_recommend.models import csr
from shopkit_recommend.models.histories import Histories
from shopkit_recommend.models.inputs import FIRST_ITEM
from shopkit_recommend.models.recommender import Recommender, csr_of, csr_state, product, recency, recency_graph
from shopkit_recommend.models.settings import ItemKnnSettings

TIE = 1e-6
"""What popularity adds at most, so that it decides where similarity says nothing."""


class ItemKnn(Recommender):
    """Score of item j: the sum over the history's items i of decay^(steps after i) · n_ij / (√n_i √n_j + shrink), n being
    customers; of an item to itself it is `repeat`."""

    name = "item_knn"
    bytes_of_interaction = 36
    settings: ItemKnnSettings

    def learn(self, sequences: Histories, train: Arrays, seed: int) -> dict[str, Any]:
        has = sequences.matrix
        together = sp.csr_matrix(has.T @ sequences.weighed(has))
        root = np.sqrt(together.diagonal())
        together.setdiag(0)
        together.eliminate_zeros()
        row = np.repeat(np.arange(self.n_items), np.diff(together.indptr))
        together.data /= root[row] * root[together.indices] + self.settings.shrink
        together.sort_indices()
        similar = csr.largest(together, self.settings.neighbours)
        if self.settings.repeat:
            similar = sp.csr_matrix(similar + sp.diags_array(np.full(self.n_items, self.settings.repeat)))
        self.similar = csr.with_first_ids(similar, FIRST_ITEM).astype(np.float32)
        counts = sequences.counts
        self.popularity = (TIE * counts / max(1, counts.max(initial=0))).astype(np.float32)
        return {"similarities": int(self.similar.nnz)}

    def of_ids(self, ids: np.ndarray) -> np.ndarray:
        return np.asarray(product(ids, recency(ids, self.settings.decay), self.similar) + self.popularity)

    def graph(self, ids: spox.Var) -> spox.Var:
        weights = recency_graph(ids, self.settings.decay)
        return op.add(csr.times(ids, weights, self.similar), op.const(self.popularity))

    def state(self) -> dict[str, np.ndarray]:
        return {**csr_state(self.similar), "popularity": self.popularity}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self.similar, self.popularity = csr_of(state), state["popularity"]
