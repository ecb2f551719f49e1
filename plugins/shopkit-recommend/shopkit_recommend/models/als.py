"""Implicit alternating least squares.

Hu, Koren, Volinsky: Collaborative filtering for implicit feedback datasets (2008); Takács, Pilászy, Tikk: Applications of the
conjugate gradient method for implicit feedback collaborative filtering (2011) for how the least squares are solved, and customers
folded in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import spox
import spox.opset.ai.onnx.v21 as op
from shopkit.models.base import Arrays

from shopkit_recommend.models.histories import Histories, n_interactions
from shopkit_recommend.models.inputs import FIRST_ITEM
from shopkit_recommend.models.network_settings import ALSSettings
from shopkit_recommend.models.recommender import Recommender, recency, recency_graph

CHUNK = 2**16
"""Interactions whose factors are held at once."""
FITTING_STEPS = 3
"""Steps of conjugate gradients in each round: the next round goes on where they end."""
MATRIX_BYTES = 56
"""Held for each interaction while factors are solved for."""
SOLVED_ROWS = 2**16
"""Customers or items that are solved for at once."""
ROWS = 256
"""Rows folded in at once."""
NOTHING = 1e-12
"""Keeps nothing by nothing at 0, where a row is solved already."""


class ALS(Recommender):
    """Scores (N, n_items): the factors of the customer, found from the history, times those of each item.

    A step of weight w = alpha · recencyᵏ, k steps before the last, adds w y yᵀ to the customer's matrix and (1 + w) y to the
    right side, y being the item's factors. A customer without history is given the items by how often they occur.
    """

    name = "als"
    bytes_of_interaction = 80
    settings: ALSSettings

    def holds(self, train: Arrays, validation: Arrays) -> int:
        """What is read of the histories, or their matrices with the factors of all rows, before and after a round."""
        n, factors = n_interactions(train), 4 * self.settings.factors * len(train)
        return max(self.bytes_of_interaction * n, MATRIX_BYTES * n + 2 * factors)

    def learn(self, sequences: Histories, train: Arrays, seed: int) -> dict[str, Any]:
        shape = (len(sequences.offsets) - 1, self.n_items)
        ago = sequences.offsets[1:][sequences.row] - 1 - np.arange(len(sequences.items))
        weight = (self.settings.alpha * self.settings.recency**ago).astype(np.float32)
        right = sp.csr_matrix((weight + 1, sequences.items, sequences.offsets), shape)
        confidence = sp.csr_matrix((weight, sequences.items, sequences.offsets), shape)
        rng = np.random.default_rng(seed)
        customers = np.zeros((shape[0], self.settings.factors), np.float32)
        self.items = (rng.standard_normal((self.n_items, self.settings.factors)) * 0.1).astype(np.float32)
        # A row's weight is that of its squared errors: its own factors are found as ever, and the items' by as many like it.
        turned = sequences.weighed(confidence).T.tocsr(), sequences.weighed(right).T.tocsr()
        for _ in range(self.settings.iterations):
            customers = self._solve(confidence, right, self.items, customers)
            self.items = self._solve(*turned, customers, self.items, sequences.weight)
        counts = sequences.counts
        self.popularity = (counts / max(1, counts.max(initial=0))).astype(np.float32)
        return {"iterations": self.settings.iterations}

    def _solve(
        self,
        confidence: sp.csr_matrix,
        right: sp.csr_matrix,
        given: np.ndarray,
        start: np.ndarray,
        weight: np.ndarray | None = None,
    ) -> np.ndarray:
        """The factors of one side after a few steps from `start`, with the other side's `given`, which count by `weight`."""
        found, gram = np.empty_like(start), self._gram(given, weight)
        for at in range(0, len(start), SOLVED_ROWS):
            rows = slice(at, at + SOLVED_ROWS)
            found[rows] = self._solve_rows(confidence[rows], right[rows], given, start[rows], gram)
        return found

    def _solve_rows(
        self, confidence: sp.csr_matrix, right: sp.csr_matrix, given: np.ndarray, start: np.ndarray, gram: np.ndarray
    ) -> np.ndarray:
        row = np.repeat(np.arange(confidence.shape[0]), np.diff(confidence.indptr))

        def product(p: np.ndarray) -> np.ndarray:
            agreement = np.empty(confidence.nnz, np.float32)
            for at in range(0, len(agreement), CHUNK):
                part = slice(at, at + CHUNK)
                agreement[part] = np.einsum("if,if->i", p[row[part]], given[confidence.indices[part]])
            weighed = sp.csr_matrix((agreement * confidence.data, confidence.indices, confidence.indptr), confidence.shape)
            return np.asarray(p @ gram + weighed @ given)

        return _conjugate_gradients(product, right @ given - product(start), start, FITTING_STEPS).astype(np.float32)

    def _gram(self, factors: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        ridge = np.float32(self.settings.regularization) * np.eye(factors.shape[1], dtype=np.float32)
        weighed = factors if weight is None else factors * weight[:, None].astype(np.float32)
        return np.asarray(factors.T @ weighed + ridge)

    def of_ids(self, ids: np.ndarray) -> np.ndarray:
        parts = [self._of_rows(ids[start : start + ROWS]) for start in range(0, len(ids), ROWS)]
        return np.concatenate(parts) if parts else np.zeros((0, self.n_items), np.float32)

    def _of_rows(self, ids: np.ndarray) -> np.ndarray:
        # In float64, as conjugate gradients make much of rounding.
        known = recency(ids, 1.0).astype(np.float64)
        weight = self.settings.alpha * recency(ids, self.settings.recency).astype(np.float64)
        y, gram = self.items[np.maximum(ids - FIRST_ITEM, 0)].astype(np.float64), self._gram(self.items)  # (N, T, factors)

        def product(p: np.ndarray) -> np.ndarray:
            return np.asarray(p @ gram + np.einsum("nt,ntf->nf", weight * np.einsum("ntf,nf->nt", y, p), y))

        right = np.einsum("nt,ntf->nf", weight + known, y)
        customers = _conjugate_gradients(product, right, np.zeros_like(right), self.settings.fold_in_steps)
        new = (1 - known.max(1, keepdims=True, initial=0)).astype(np.float32)
        return np.asarray(customers.astype(np.float32) @ self.items.T + new * self.popularity)

    def graph(self, ids: spox.Var) -> spox.Var:
        last = op.const(np.array([-1], np.int64))
        known = op.cast(recency_graph(ids, 1.0), to=np.float64)
        decayed = op.cast(recency_graph(ids, self.settings.recency), to=np.float64)
        weight = op.mul(op.const(np.float64(self.settings.alpha)), decayed)
        nothing = np.zeros((FIRST_ITEM, self.items.shape[1]), np.float32)
        y = op.cast(op.gather(op.const(np.concatenate([nothing, self.items])), ids), to=np.float64)  # (N, T, factors)
        turned_y, gram = op.transpose(y, perm=[0, 2, 1]), op.const(self._gram(self.items).astype(np.float64))

        def weighed(of_step: spox.Var) -> spox.Var:  # (N, T) → (N, factors)
            return op.squeeze(op.matmul(turned_y, op.unsqueeze(of_step, last)), last)

        def dot(a: spox.Var, b: spox.Var) -> spox.Var:  # (N, factors) twice → (N, 1)
            return op.reduce_sum(op.mul(a, b), last, keepdims=1)

        def ratio(a: spox.Var, b: spox.Var) -> spox.Var:
            return op.div(a, op.add(b, op.const(np.float64(NOTHING))))

        residual = p = weighed(op.add(weight, known))
        norm, customers = dot(p, p), op.mul(p, op.const(np.float64(0)))
        for _ in range(self.settings.fold_in_steps):
            agreement = op.squeeze(op.matmul(y, op.unsqueeze(p, last)), last)
            turned = op.add(op.matmul(p, gram), weighed(op.mul(weight, agreement)))
            step = ratio(norm, dot(p, turned))
            customers = op.add(customers, op.mul(step, p))
            residual = op.sub(residual, op.mul(step, turned))
            before, norm = norm, dot(residual, residual)
            p = op.add(residual, op.mul(ratio(norm, before), p))
        new = op.sub(op.const(np.float32(1)), op.cast(op.reduce_max(known, last, keepdims=1), to=np.float32))
        return op.add(
            op.matmul(op.cast(customers, to=np.float32), op.const(self.items.T.copy())), op.mul(new, op.const(self.popularity))
        )

    def state(self) -> dict[str, np.ndarray]:
        return {"items": self.items, "popularity": self.popularity}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self.items, self.popularity = state["items"], state["popularity"]


def _conjugate_gradients(product: Any, residual: np.ndarray, start: np.ndarray, n_steps: int) -> np.ndarray:
    """Solve for all rows at once, each with its own matrix. (N, factors).

    Args:
        product: rows (N, factors) → each row's matrix times it.
        residual: right side less the matrix times `start`.
    """
    x, p, norm = start.copy(), residual.copy(), np.einsum("nf,nf->n", residual, residual)
    for _ in range(n_steps):
        turned = product(p)
        step = (norm / (np.einsum("nf,nf->n", p, turned) + NOTHING))[:, None]
        x, residual = x + step * p, residual - step * turned
        norm, before = np.einsum("nf,nf->n", residual, residual), norm
        p = residual + (norm / (before + NOTHING))[:, None] * p
    return np.asarray(x)
