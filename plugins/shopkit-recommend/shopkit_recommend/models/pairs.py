"""What most often followed the last two items."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import spox
import spox.opset.ai.onnx.ml.v4 as ml
import spox.opset.ai.onnx.v21 as op
from shopkit.models.base import Arrays

from shopkit_recommend.models import csr
from shopkit_recommend.models.histories import Histories
from shopkit_recommend.models.inputs import FIRST_ITEM
from shopkit_recommend.models.recommender import Recommender, csr_of, csr_state, product
from shopkit_recommend.models.settings import PairsSettings

NO_PAIR = -1
"""A key that is none, so that there always is one."""


class Pairs(Recommender):
    """A second-order Markov chain: the score is the number of times an item came right after the last two, in this order. It is 0
    for all where these two never stood so, or are not known."""

    name = "blend"
    settings: PairsSettings

    def learn(self, sequences: Histories, train: Arrays, seed: int) -> dict[str, Any]:
        items, row = sequences.items, sequences.row
        at = np.flatnonzero(row[2:] == row[:-2])
        pairs, place = np.unique(self._key(items[at] + FIRST_ITEM, items[at + 1] + FIRST_ITEM), return_inverse=True)
        followed = sp.csr_matrix((np.ones(len(at), np.float32), (place, items[at + 2])), (len(pairs), self.n_items))
        followed.sum_duplicates()
        self.keys = np.concatenate([[NO_PAIR], pairs])
        self.followed = csr.with_first_ids(followed, 1)
        return {"pairs": len(pairs)}

    def _key(self, before: np.ndarray, last: np.ndarray) -> np.ndarray:
        return np.asarray(before * (self.n_items + FIRST_ITEM) + last)

    def of_ids(self, ids: np.ndarray) -> np.ndarray:
        n_steps = np.max(np.where(ids != 0, np.arange(1, ids.shape[1] + 1), 0), axis=1, keepdims=True, initial=0)
        last, before = (
            np.where(n_steps >= back, np.take_along_axis(ids, np.maximum(n_steps - back, 0), 1), 0) for back in (1, 2)
        )
        key = self._key(before, last)
        place = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        place = np.where(self.keys[place] == key, place, 0)
        return product(place, np.ones(place.shape, np.float32), self.followed)

    def graph(self, ids: spox.Var) -> spox.Var:
        zero, one = op.const(np.int64(0)), op.const(np.int64(1))
        places = op.range(one, op.add(op.gather(op.shape(ids), one), one), one)
        n_steps = op.reduce_max(op.where(op.equal(ids, zero), zero, places), op.const(np.array([1], np.int64)), keepdims=1)

        def item(back: int) -> spox.Var:
            there = op.sub(n_steps, op.const(np.int64(back)))
            found = op.gather_elements(ids, op.max([there, zero]), axis=1)
            return op.where(op.greater_or_equal(there, zero), found, zero)

        key = op.add(op.mul(item(2), op.const(np.int64(self.n_items + FIRST_ITEM))), item(1))
        places_of = list(range(len(self.keys)))
        place = ml.label_encoder(key, keys_int64s=self.keys.tolist(), values_int64s=places_of, default_int64=0)
        weights = op.cast(op.greater(place, zero), to=np.float32)
        return csr.times(place, weights, self.followed)

    def state(self) -> dict[str, np.ndarray]:
        return {**csr_state(self.followed), "keys": self.keys}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self.followed, self.keys = csr_of(state), state["keys"]
