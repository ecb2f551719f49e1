"""Items of the most similar sessions."""

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
from shopkit_recommend.models.recommender import Recommender, csr_of, csr_state, recency, recency_graph, refuse_weights
from shopkit_recommend.models.settings import SessionKnnSettings

TIE = 1e-6
"""What popularity adds at most, so that it decides where no session says anything."""


class SessionKnn(Recommender):
    """V-SKNN (Ludewig & Jannach 2018, "Evaluation of session-based recommendation algorithms").

    The similarity of a past session is the sum of decay^(steps after it) over the items it shares with this one, over the root of
    its number of items, times what its age leaves of it. The score of an item is the sum of the similarities of the `neighbours`
    best sessions that have it, times its idf. Of equally similar sessions the latest is asked.

    Raises:
        ConfigError: (fit) the rows have weights.
    """

    name = "session_knn"
    bytes_of_interaction = 42
    settings: SessionKnnSettings

    def learn(self, sequences: Histories, train: Arrays, seed: int) -> dict[str, Any]:
        refuse_weights(self.name, train)
        has = sequences.matrix[::-1]  # the latest first, which is how ties are decided
        has = sp.csr_matrix(has[np.diff(has.indptr) > 1], dtype=np.float32)
        has.sort_indices()
        n_of_item = np.asarray(has.sum(axis=0)).ravel()
        counts = sequences.counts
        self.sessions = has
        self.postings = self._postings()
        ages = np.linspace(0, 1, has.shape[0])
        self.norm = (np.exp(-self.settings.aging * ages) / np.sqrt(np.maximum(np.diff(has.indptr), 1))).astype(np.float32)
        idf = np.log(max(1, has.shape[0]) / np.maximum(n_of_item, 1)) if self.settings.idf else np.ones(self.n_items)
        self.idf = idf.astype(np.float32)
        self.popularity = (TIE * counts / max(1, counts.max(initial=0))).astype(np.float32)
        return {"sessions": int(has.shape[0])}

    def _postings(self) -> sp.csr_matrix:
        """Which sessions have an item: (ids, sessions), the latest first."""
        found = sp.csr_matrix(self.sessions.T)
        found.sort_indices()
        if self.settings.recent:
            row = np.repeat(np.arange(found.shape[0]), np.diff(found.indptr))
            kept = np.arange(found.nnz) - found.indptr[row] < self.settings.recent
            found = sp.csr_matrix((found.data[kept], (row[kept], found.indices[kept])), found.shape)
        return csr.with_first_ids(found, FIRST_ITEM)

    def of_ids(self, ids: np.ndarray) -> np.ndarray:
        weights = np.where(_is_latest(ids), recency(ids, self.settings.decay), np.float32(0))
        n_rows, width = ids.shape
        n_ids = self.n_items + FIRST_ITEM
        asked = sp.csr_matrix((weights.ravel(), ids.ravel(), np.arange(n_rows + 1) * width), (n_rows, n_ids))
        similar = sp.csr_matrix(asked @ self.postings)
        similar.data *= self.norm[similar.indices]
        best = [_first(similar, row, self.settings.neighbours) for row in range(n_rows)]
        offsets = np.concatenate([[0], np.cumsum([len(entries) for entries in best])])
        entries = np.concatenate(best) if best else np.empty(0, np.int64)
        chosen = sp.csr_matrix((similar.data[entries], similar.indices[entries], offsets), similar.shape)
        return np.asarray((chosen @ self.sessions).toarray() * self.idf + self.popularity, np.float32)

    def graph(self, ids: spox.Var) -> spox.Var:
        n_sessions = self.sessions.shape[0]
        if not n_sessions:
            return csr.times(ids, recency_graph(ids, 1.0), sp.csr_matrix((self.n_items + FIRST_ITEM, self.n_items)))
        weights = op.where(_is_latest_graph(ids), recency_graph(ids, self.settings.decay), op.const(np.float32(0)))
        similar = op.mul(csr.times(ids, weights, self.postings), op.const(self.norm))
        k = op.const(np.array([min(self.settings.neighbours, n_sessions)], np.int64))
        values, places = op.top_k(similar, k, axis=1)
        scores = csr.times(places, values, self.sessions)
        return op.add(op.mul(scores, op.const(self.idf)), op.const(self.popularity))

    def state(self) -> dict[str, np.ndarray]:
        learnt = {"norm": self.norm, "idf": self.idf, "popularity": self.popularity}
        return {**csr_state(self.sessions), **learnt}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self.sessions = csr_of(state)
        self.postings = self._postings()
        self.norm, self.idf, self.popularity = state["norm"], state["idf"], state["popularity"]


def _first(similar: sp.csr_matrix, row: int, n: int) -> np.ndarray:
    """The entries of the n largest values of a row, of equal ones those of the lowest columns."""
    entries = np.arange(similar.indptr[row], similar.indptr[row + 1])
    if len(entries) <= n:
        return entries
    return entries[np.lexsort((similar.indices[entries], -similar.data[entries]))[:n]]


def _is_latest(ids: np.ndarray) -> np.ndarray:
    """Which steps are the last of their item, bool (N, T): an item counts once."""
    again = (ids[:, :, None] == ids[:, None, :]) & np.triu(np.ones((ids.shape[1],) * 2, bool), 1)
    return np.asarray(~again.any(axis=2))


def _is_latest_graph(ids: spox.Var) -> spox.Var:
    """The same as nodes."""
    zero, one = op.const(np.int64(0)), op.const(np.int64(1))
    places = op.range(zero, op.gather(op.shape(ids), one), one)
    later = op.less(op.unsqueeze(places, op.const(np.array([1]))), op.unsqueeze(places, op.const(np.array([0]))))
    same = op.equal(op.unsqueeze(ids, op.const(np.array([2]))), op.unsqueeze(ids, op.const(np.array([1]))))
    again = op.reduce_max(op.cast(op.and_(same, later), to=np.int32), op.const(np.array([2])), keepdims=0)
    return op.equal(again, op.const(np.int32(0)))
