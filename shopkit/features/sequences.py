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
    """The steps of all sequence columns in the graph: those within the limit, which are read, and the rest.

    Args:
        sequences: column → (N, L).
        lengths: int64 (N,).
    """

    def __init__(self, sequences: Mapping[str, ndx.Array], lengths: ndx.Array, limit: Limit) -> None:
        every = {name: column.unwrap_spox() for name, column in sequences.items()}
        width = op.shape(next(iter(every.values())), start=1, end=2)  # (1,): L
        zero, one, axis = (op.const(np.array([value], np.int64)) for value in (0, 1, 1))
        known = op.clip(lengths.unwrap_spox(), op.const(np.int64(0)), op.squeeze(width))
        longest = op.const(np.array([limit.max_length], np.int64)) if limit.max_length else width
        n_read = op.min([width, longest])
        n_rest = op.max([op.sub(width, n_read), one])  # at least one, which then no row has
        n_known, of_read = op.unsqueeze(known, axis), _count(n_read)  # (N, 1) and (T,)
        if limit.keep == "earliest" or not limit.max_length:
            columns = every
            if limit.max_length:
                columns = {name: op.slice(column, zero, n_read, axis) for name, column in every.items()}
            start, end = op.sub(width, n_rest), width
            places = op.add(start, _count(n_rest))
            is_rest = op.and_(op.greater_or_equal(places, n_read), op.less(places, n_known))
        else:
            begin = op.max([op.sub(n_known, longest), zero])  # (N, 1)
            columns = {name: op.gather_elements(column, op.add(begin, of_read), axis=1) for name, column in every.items()}
            start, end = zero, n_rest
            is_rest = op.less(_count(n_rest), begin)
        known = op.min([known, longest])
        self.lengths = ndx.asarray(known)
        """int64 (N,), within the steps that are read."""
        self.read = Laid(columns, op.less(of_read, op.unsqueeze(known, axis)))
        rest = {name: op.slice(column, start, end, axis) for name, column in every.items()}
        self.rest = Laid(rest, is_rest)


class Laid:
    """Steps laid end to end, and made rows again.

    Args:
        columns: column → (N, T).
        inside: which of them a row has, bool (N, T).
    """

    def __init__(self, columns: Mapping[str, spox.Var], inside: spox.Var) -> None:
        flat = op.const(np.array([-1], np.int64))
        self.columns = {name: ndx.asarray(op.reshape(column, flat)) for name, column in columns.items()}
        """Column → (N · T,), as extractors take them."""
        self._inside = op.unsqueeze(inside, op.const(np.array([2])))  # (N, T, 1)
        self._shape = op.shape(next(iter(columns.values())))

    def rows(self, encoded: ndx.Array) -> ndx.Array:
        """(N · T, W) → (N, T, W), 0 beyond each row's length."""
        nothing = op.const(np.float32(0) if encoded.dtype == ndx.float32 else np.int64(0))
        x = encoded.unwrap_spox()
        shape = op.concat([self._shape, op.shape(x, start=1, end=2)], axis=0)
        return ndx.asarray(op.where(self._inside, op.reshape(x, shape), nothing))


def _count(n: spox.Var) -> spox.Var:
    """(1,) → 0, 1, … n − 1."""
    return op.range(op.const(np.int64(0)), op.squeeze(n), op.const(np.int64(1)))
