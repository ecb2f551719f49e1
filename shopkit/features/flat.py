"""Pieces of graph for values of all rows laid end to end, (total,), where total may be 0."""

from __future__ import annotations

import numpy as np
import spox
import spox.opset.ai.onnx.v21 as op

ZERO, ONE, LAST = (np.array([value], np.int64) for value in (0, 1, -1))


def part(x: spox.Var, start: int, stop: int | None, axis: int = 0, step: int = 1) -> spox.Var:
    """`x[start:stop:step]` along an axis."""
    end = np.iinfo(np.int64).max if stop is None else stop
    bounds = (op.const(np.array([value], np.int64)) for value in (start, end, axis, step))
    return op.slice(x, *bounds)


def head(x: spox.Var, n: int = 1) -> spox.Var:
    """All but the last n."""
    return part(x, 0, -n) if n else x


def tail(x: spox.Var, n: int = 1) -> spox.Var:
    """All but the first n."""
    return part(x, n, None) if n else x


def as_long_as(x: spox.Var, other: spox.Var) -> spox.Var:
    """The first values of x, as many as `other` has."""
    return op.slice(x, op.const(ZERO), op.shape(other))


def zeros(shape: spox.Var, dtype: type[np.generic] = np.int64) -> spox.Var:
    return op.constant_of_shape(shape, value=np.zeros(1, dtype))


def flatten(x: spox.Var) -> spox.Var:
    return op.reshape(x, op.const(LAST))


def running_sum(x: spox.Var, exclusive: bool = False) -> spox.Var:
    return op.cumsum(x, op.const(np.int64(0)), exclusive=int(exclusive))


def firsts(groups: spox.Var) -> spox.Var:
    """Where another group begins, bool (total,); groups are neighbours."""
    return as_long_as(op.concat([op.const(np.array([True])), _changes(groups)], axis=0), groups)


def lasts(groups: spox.Var) -> spox.Var:
    """Where a group ends, bool (total,)."""
    # The very last is an end; an empty array has none.
    return as_long_as(op.concat([_changes(groups), op.const(np.array([True]))], axis=0), groups)


def _changes(groups: spox.Var) -> spox.Var:
    return op.not_(op.equal(tail(groups), head(groups)))


def sums(values: spox.Var, rows: spox.Var, n_rows: spox.Var) -> spox.Var:
    """Sum of each row's values: (total,), the row of each, and (1,) how many rows → (n_rows,)."""
    dtype = np.float32 if values.unwrap_tensor().dtype == np.float32 else np.int64
    return op.scatter_elements(zeros(n_rows, dtype), rows, values, reduction="add")
