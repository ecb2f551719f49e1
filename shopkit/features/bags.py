"""Terms of all texts end to end → the bag of each text, in the graph: distinct ids with their counts, weighed and scaled.

One sort of (text, term) finds equal terms side by side; nothing is as wide as the vocabulary, and nothing loops.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import spox
import spox.opset.ai.onnx.v21 as op

from shopkit.features.flat import ONE, ZERO, firsts, head, running_sum, sums, tail, zeros

TINY = 1e-30
"""Below every squared norm, so that a bag whose signs cancel out is 0 and not NaN."""


@dataclass(frozen=True)
class Bag:
    """The distinct terms of every text, end to end."""

    ids: spox.Var
    """int64 (total,)."""
    rows: spox.Var
    """int64 (total,), ascending: the text it is of."""
    weights: spox.Var
    """float32 (total,)."""
    n_rows: spox.Var
    """int64 (1,)."""

    def scaled(self, norm: str) -> Bag:
        """With each text's weights of length 1 (`l2`) or sum 1 (`l1`)."""
        if norm == "none":
            return self
        size = op.mul(self.weights, self.weights) if norm == "l2" else op.abs(self.weights)
        total = op.max([sums(size, self.rows, self.n_rows), op.const(np.float32(TINY))])
        total = op.sqrt(total) if norm == "l2" else total
        return Bag(self.ids, self.rows, op.div(self.weights, op.gather(total, self.rows)), self.n_rows)

    def padded(self) -> tuple[spox.Var, spox.Var]:
        """`bag_ids` int64 (N, K) and `bag_weights` float32 (N, K), K at least 1, padded with 0."""
        lengths = sums(op.expand(op.const(ONE), op.shape(self.rows)), self.rows, self.n_rows)
        place = op.sub(_count(self.rows), op.gather(running_sum(lengths, exclusive=True), self.rows))
        width = op.reduce_max(op.concat([lengths, op.const(ONE)], axis=0), keepdims=True)
        at = op.add(op.mul(self.rows, width), place)
        shape = op.concat([self.n_rows, width], axis=0)
        empty = op.mul(self.n_rows, width)
        ids = op.scatter_elements(zeros(empty), at, self.ids)
        weights = op.scatter_elements(zeros(empty, np.float32), at, self.weights)
        # Of no rows at all, `Reshape` would take a 0 for "as before".
        return tuple(op.reshape(x, shape, allowzero=1) for x in (ids, weights))  # type: ignore[return-value]


def counted(terms: spox.Var, rows: spox.Var, n_rows: spox.Var, n_terms: int, signs: spox.Var | None = None) -> Bag:
    """The bag of counts.

    Args:
        terms: int64 (total,), from 0 to below `n_terms`.
        rows: int64 (total,), the text it is of; in any order.
        n_rows: int64 (1,).
        signs: int64 (total,), what each counts in place of 1.
    """
    size = op.const(np.int64(n_terms))
    keys = op.add(op.mul(rows, size), terms)
    # Past the end stands a term of no text: the last of the others ends where it begins.
    keys = op.concat([keys, op.mul(n_rows, size)], axis=0)
    in_order, order = op.top_k(keys, op.shape(keys), axis=0, largest=0, sorted=1)
    starts = op.compress(_count(keys), firsts(in_order), axis=0)
    if signs is None:
        counts = op.sub(tail(starts), head(starts))
    else:
        before = running_sum(op.gather(op.concat([signs, op.const(ZERO)], axis=0), order), exclusive=True)
        reached = op.gather(before, starts)
        counts = op.sub(tail(reached), head(reached))
    distinct = op.gather(in_order, head(starts))
    of_row = op.div(distinct, size)
    ids = op.sub(distinct, op.mul(of_row, size))
    return Bag(ids, of_row, op.cast(counts, to=np.float32), n_rows)


def joined(bags: list[tuple[spox.Var, spox.Var]], widths: list[int]) -> tuple[spox.Var, spox.Var]:
    """The bags of several columns side by side, each one's ids counted on from the one before; all (N, K)."""
    offsets = np.cumsum([0, *widths])
    ids = []
    for (own, weights), offset in zip(bags, offsets, strict=False):
        moved = op.add(own, op.const(np.int64(offset)))
        ids.append(op.where(op.equal(weights, op.const(np.float32(0))), op.const(np.int64(0)), moved) if offset else own)
    if len(bags) == 1:
        return bags[0]
    return op.concat(ids, axis=1), op.concat([weights for _, weights in bags], axis=1)


def scaled(weights: np.ndarray, norm: str) -> np.ndarray:
    """In numpy, (N, V): rows of length or sum 1, but for those that are all 0."""
    if norm == "none":
        return weights
    size = np.linalg.norm(weights, ord=1 if norm == "l1" else 2, axis=1, keepdims=True)
    return weights / np.where(size > 0, size, 1)


def _count(x: spox.Var) -> spox.Var:
    """0, 1, … as many as x has."""
    return op.range(op.const(np.int64(0)), op.squeeze(op.shape(x)), op.const(np.int64(1)))
