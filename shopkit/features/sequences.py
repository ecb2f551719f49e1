"""Sequence columns: their steps go through the extractors as if each were a row of its own, in fitting as in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import ndonnx as ndx
import numpy as np
import spox
import spox.opset.ai.onnx.v21 as op

from shopkit.features.base import FitContext

SEQUENCE_TENSORS = ("sequence_dense", "sequence_ids")


@dataclass(frozen=True)
class Limit:
    """How many steps of a sequence are read."""

    max_length: int = 0
    """At most; 0 is all."""
    keep: str = "latest"
    """Which end of a longer sequence: `latest` or `earliest`."""


ALL_STEPS = Limit()


def steps_context(context: FitContext, column: str) -> FitContext:
    """The training part with a row for each step of the column; target and weight are those of the step's row."""
    table = context.table
    beside = {context.row, *(c.get_name() for c in (context.target, context.weight) if c is not None)}
    steps = table.select(*sorted(beside), **{column: table[column].unnest()})
    return replace(
        context,
        table=steps,
        target=None if context.target is None else steps[context.target.get_name()],
        weight=None if context.weight is None else steps[context.weight.get_name()],
    )


class Steps:
    """The steps of all sequence columns in the graph: cut to the limit, laid end to end, and made rows again.

    Args:
        sequences: column → (N, L).
        lengths: int64 (N,).
    """

    def __init__(self, sequences: Mapping[str, ndx.Array], lengths: ndx.Array, limit: Limit) -> None:
        first = next(iter(sequences.values())).unwrap_spox()
        width = op.shape(first, start=1, end=2)  # (1,): L
        zero = op.const(np.array([0], np.int64))
        known = op.clip(lengths.unwrap_spox(), op.const(np.int64(0)), op.squeeze(width))
        columns = {name: column.unwrap_spox() for name, column in sequences.items()}
        if limit.max_length:
            longest = op.const(np.array([limit.max_length], np.int64))
            shorter = op.min([width, longest])
            if limit.keep == "earliest":
                columns = {name: op.slice(c, zero, shorter, op.const(np.array([1]))) for name, c in columns.items()}
            else:
                skipped = op.max([op.sub(known, longest), zero])  # (N,)
                places = op.add(op.unsqueeze(skipped, op.const(np.array([1]))), _count(shorter))  # (N, T)
                columns = {name: op.gather_elements(c, places, axis=1) for name, c in columns.items()}
            known, width = op.min([known, longest]), shorter
        flat, axis = op.const(np.array([-1], np.int64)), op.const(np.array([1]))
        self.columns = {name: ndx.asarray(op.reshape(column, flat)) for name, column in columns.items()}
        """Column → (N · T,), as extractors take them."""
        self.lengths = ndx.asarray(known)
        """int64 (N,), within the steps that are read."""
        ends = op.unsqueeze(known, axis)
        self._inside = op.unsqueeze(op.less(_count(width), ends), op.const(np.array([2])))  # (N, T, 1)
        self._shape = op.concat([op.shape(lengths.unwrap_spox()), width], axis=0)

    def rows(self, encoded: ndx.Array) -> ndx.Array:
        """(N · T, W) → (N, T, W), 0 beyond each row's length."""
        nothing = op.const(np.float32(0) if encoded.dtype == ndx.float32 else np.int64(0))
        x = encoded.unwrap_spox()
        shape = op.concat([self._shape, op.shape(x, start=1, end=2)], axis=0)
        return ndx.asarray(op.where(self._inside, op.reshape(x, shape), nothing))


def _count(n: spox.Var) -> spox.Var:
    """(1,) → 0, 1, … n − 1."""
    return op.range(op.const(np.int64(0)), op.squeeze(n), op.const(np.int64(1)))
