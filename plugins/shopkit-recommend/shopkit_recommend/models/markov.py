"""What most often followed the last item."""

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
from shopkit_recommend.models.recommender import Recommender, csr_of, csr_state, product
from shopkit_recommend.models.settings import MarkovSettings

BACK_OFF = 0.5
"""What popularity adds at most, of the least that one customer counts who went from the last item to the next."""


class Markov(Recommender):
    """A first-order Markov chain: the score is the number of times an item followed the last known one, within some steps and
    perhaps backwards, plus less than that by its popularity, which decides ties and speaks alone where there is no history."""

    name = "markov"
    bytes_of_interaction = 55
    settings: MarkovSettings

    def learn(self, sequences: Histories, train: Arrays, seed: int) -> dict[str, Any]:
        shape, backwards = (self.n_items, self.n_items), self.settings.backwards
        followed = sp.csr_matrix(shape)
        for steps in range(1, self.settings.window + 1):
            before, after, times = sequences.pairs(steps)
            times /= steps
            followed += sp.csr_matrix((times, (before, after)), shape)
        if backwards:
            followed = sp.csr_matrix(followed + backwards * followed.T)
        followed.sort_indices()
        self.followed = csr.with_first_ids(followed, FIRST_ITEM).astype(np.float32)
        counts, weight = sequences.counts, sequences.weight
        one = 1.0 if weight is None else weight[weight > 0].min(initial=1.0)
        least = BACK_OFF * (backwards or 1.0) * one / self.settings.window
        self.popularity = (least * counts / max(1, counts.max(initial=0))).astype(np.float32)
        return {"transitions": int(self.followed.nnz)}

    def of_ids(self, ids: np.ndarray) -> np.ndarray:
        places = np.arange(1, ids.shape[1] + 1)
        known = np.where(ids >= FIRST_ITEM, places, 0)
        last = known == np.maximum(known.max(axis=1, keepdims=True, initial=0), 1)
        return np.asarray(product(ids, last.astype(np.float32), self.followed) + self.popularity)

    def graph(self, ids: spox.Var) -> spox.Var:
        zero, one = op.const(np.int64(0)), op.const(np.int64(1))
        places = op.range(one, op.add(op.gather(op.shape(ids), one), one), one)
        known = op.where(op.greater_or_equal(ids, op.const(np.int64(FIRST_ITEM))), places, zero)
        at = op.reduce_max(known, op.const(np.array([1], np.int64)), keepdims=1)
        # The place of the last known item, or the first, which then is none.
        at = op.max([op.sub(at, one), zero])
        last = op.gather_elements(ids, at, axis=1)
        ones = op.cast(op.greater_or_equal(last, op.const(np.int64(FIRST_ITEM))), to=np.float32)
        return op.add(csr.times(last, ones, self.followed), op.const(self.popularity))

    def state(self) -> dict[str, np.ndarray]:
        return {**csr_state(self.followed), "popularity": self.popularity}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self.followed, self.popularity = csr_of(state), state["popularity"]
