"""Sparse matrices inside a graph: rows of weights times a matrix of which only the entries that are needed are touched."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import spox
import spox.opset.ai.onnx.v21 as op

SMALL = 1 << 20
"""Entries, zeros included, up to which a matrix is multiplied densely."""
_ONE = np.array([1], np.int64)
_FIRST = np.array([0], np.int64)


def times(places: spox.Var, weights: spox.Var, matrix: sp.csr_matrix) -> spox.Var:
    """The sum of a row's matrix rows, float32 (N, n_columns).

    Args:
        places: int64 (N, T): rows of the matrix.
        weights: float32 (N, T).
        matrix: (n_rows, n_columns).

    A small matrix is multiplied as it is. Of a large one, the entries of all places are laid end to end: entry e belongs to the
    place whose entries end after e, which a running count of ends tells.
    """
    n_columns = matrix.shape[1]
    if matrix.shape[0] * n_columns <= SMALL:
        return op.matmul(_row_weights(places, weights, matrix.shape[0]), op.const(matrix.toarray().astype(np.float32)))
    starts = op.const(np.asarray(matrix.indptr[:-1], np.int64))
    counts = op.const(np.diff(matrix.indptr).astype(np.int64))
    columns = op.const(np.asarray(matrix.indices, np.int32))
    flat = op.reshape(places, op.const(np.array([-1], np.int64)))
    n_entries = op.gather(counts, flat)
    ends = op.cumsum(n_entries, op.const(np.int64(0)))
    total = op.reduce_sum(n_entries, keepdims=1)  # (1,)
    marks = op.expand(op.const(_FIRST), op.add(total, op.const(_ONE)))
    marks = op.scatter_elements(marks, ends, op.expand(op.const(_ONE), op.shape(ends)), reduction="add")
    place = op.slice(op.cumsum(marks, op.const(np.int64(0))), op.const(_FIRST), total)  # (E,)
    entry = op.range(op.const(np.int64(0)), op.squeeze(total), op.const(np.int64(1)))
    shift = op.sub(op.gather(starts, flat), op.sub(ends, n_entries))
    at = op.add(entry, op.gather(shift, place))
    value = op.gather(op.reshape(weights, op.const(np.array([-1], np.int64))), place)
    if not (matrix.data == 1).all():
        value = op.mul(value, op.gather(op.const(matrix.data.astype(np.float32)), at))
    row = op.div(place, op.gather(op.shape(places), op.const(np.int64(1))))
    column = op.cast(op.gather(columns, at), to=np.int64)
    target = op.add(op.mul(row, op.const(np.int64(n_columns))), column)
    size = _size(places, n_columns)
    nothing = op.expand(op.const(np.array([0], np.float32)), op.reduce_prod(size, keepdims=1))
    return op.reshape(op.scatter_elements(nothing, target, value, reduction="add"), size)


def _row_weights(places: spox.Var, weights: spox.Var, n_rows: int) -> spox.Var:
    """What each row of the matrix weighs, float32 (N, n_rows)."""
    nothing = op.expand(op.const(np.array([0], np.float32)), _size(places, n_rows))
    return op.scatter_elements(nothing, places, weights, axis=1, reduction="add")


def _size(places: spox.Var, width: int) -> spox.Var:
    """[N, width]."""
    n = op.slice(op.shape(places), op.const(_FIRST), op.const(_ONE))
    return op.concat([n, op.const(np.array([width], np.int64))], axis=0)


def with_first_ids(matrix: sp.spmatrix, n_first: int) -> sp.csr_matrix:
    """The matrix with empty rows for the ids that are no items."""
    nothing = sp.csr_matrix((n_first, matrix.shape[1]), dtype=matrix.dtype)
    return sp.vstack([nothing, matrix], format="csr")


def largest(matrix: sp.csr_matrix, n: int) -> sp.csr_matrix:
    """The n entries of largest magnitude in each row; all for 0."""
    if not n or matrix.nnz == 0:
        return matrix
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((-np.abs(matrix.data), row))
    rank = np.arange(matrix.nnz) - matrix.indptr[row]
    kept = np.sort(order[rank < n])
    return sp.csr_matrix((matrix.data[kept], (row[kept], matrix.indices[kept])), matrix.shape)
