"""Texts as one stream of token ids a row: what tokenising extractors share of their graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import ndonnx as ndx
import numpy as np
import spox
import spox.opset.ai.onnx.v21 as op

from shopkit.features.aggregates import answers
from shopkit.features.base import Encoded, FitContext

BATCH_ROWS = 4096


def text_batches(columns: Sequence[str], context: FitContext) -> Iterator[list[str]]:
    """All texts of the training part, a batch of rows of one column at a time."""
    rows = context.table[context.row]
    last = answers(context, last=rows.max())["last"]
    for start in range(0, int(last) + 1, BATCH_ROWS):
        found = context.table.filter(rows >= start, rows < start + BATCH_ROWS).select(*columns).to_pyarrow()
        for column in columns:
            yield [text or "" for text in found[column].to_pylist()]


def ints(*values: int) -> spox.Var:
    return op.const(np.array(values, np.int64))


def integer(value: int) -> spox.Var:
    return op.const(np.int64(value))


def count(n: spox.Var) -> spox.Var:
    """(1,) → 0, 1, … n − 1."""
    return op.range(integer(0), op.squeeze(n), integer(1))


def row_by_row(columns: Sequence[ndx.Array]) -> spox.Var:
    """C text columns (N,) → (N · C + 1,): the texts of a row side by side, and an empty one at the end.

    The last makes it certain that there is a text: `Tokenizer` gives another rank for none.
    """
    texts = [column.unwrap_spox() for column in columns]
    if len(texts) > 1:
        stacked = op.concat([op.unsqueeze(text, ints(1)) for text in texts], axis=1)
        texts = [op.reshape(stacked, ints(-1))]
    return op.concat([*texts, op.const(np.array([""], dtype=np.str_))], axis=0)


@dataclass(frozen=True)
class Layout:
    """How the texts of a row become one stream: `first` a `separator` b `separator`, or a b."""

    n_columns: int
    max_length: int
    """Of the stream."""
    keep: str
    """Which end of a longer text is read: `start` or `end`."""
    first: int | None = None
    """The id that opens a stream."""
    separator: int | None = None
    """The id after each text."""

    @property
    def budget(self) -> int:
        """Tokens of texts that a stream has room for."""
        return self.max_length - (self.first is not None) - (self.separator is not None) * self.n_columns


def shares(counts: spox.Var, layout: Layout) -> spox.Var:
    """How many tokens of each text are kept, (N, C): the longest is cut until all fit; those that are cut are equally long.

    The level is the largest L with Σ min(count, L) ≤ budget: with the k shortest texts whole, the others share what is left.
    """
    n = layout.n_columns
    if n == 1:
        return op.min([counts, integer(layout.budget)])
    rising, _ = op.top_k(counts, ints(n), axis=1, largest=0)
    before = op.cumsum(rising, integer(1), exclusive=1)
    level = op.div(op.max([op.sub(integer(layout.budget), before), integer(0)]), ints(*range(n, 0, -1)))
    return op.min([counts, op.reduce_max(level, ints(1))])


def lay_out(ids: spox.Var, text_of: spox.Var, n_texts: spox.Var, layout: Layout) -> Encoded:
    """Token ids end to end as padded streams.

    Args:
        ids: (K,) int64.
        text_of: (K,) int64, ascending: the text of each token, as `row_by_row` counts them.
        n_texts: (1,) int64, N · C + 1.
    """
    n, one = layout.n_columns, integer(1)
    gap = integer(1 if layout.separator is not None else 0)
    counts = op.scatter_elements(op.expand(integer(0), n_texts), text_of, op.expand(one, op.shape(ids)), reduction="add")
    rank = op.sub(count(op.shape(ids)), op.gather(op.cumsum(counts, integer(0), exclusive=1), text_of))  # within its text
    counts = op.slice(counts, ints(0), ints(-1))
    of_row = op.reshape(counts, ints(-1, n))  # (N, C)
    kept = shares(of_row, layout)
    ends = op.add(kept, gap)
    if n > 1:
        ends = op.cumsum(ends, one)
    if layout.first is not None:
        ends = op.add(ends, one)  # (N, C): where the part of each text ends, with its separator
    lengths = op.squeeze(op.slice(ends, ints(n - 1), ints(n), ints(1)), ints(1))  # (N,)

    flat = op.reshape(kept, ints(-1))
    if layout.keep == "end":
        rank = op.sub(rank, op.gather(op.sub(counts, flat), text_of))
    inside = op.less(rank, op.gather(flat, text_of))
    if layout.keep == "end":
        inside = op.and_(inside, op.greater_or_equal(rank, integer(0)))
    begins = op.sub(op.sub(op.reshape(ends, ints(-1)), gap), flat)
    row = text_of if n == 1 else op.div(text_of, integer(n))
    column = op.add(rank, op.gather(begins, text_of))
    places = op.concat([op.unsqueeze(place, ints(1)) for place in (row, column)], axis=1)  # (K, 2)

    width = op.reduce_max(op.concat([lengths, ints(1)], axis=0))  # (1,)
    stream = op.expand(integer(0), op.concat([op.shape(lengths), width], axis=0))
    columns = op.unsqueeze(count(width), ints(0))  # (1, P)
    if layout.separator is not None:
        last = op.unsqueeze(op.sub(ends, one), ints(2))  # (N, C, 1)
        here = op.reduce_max(op.cast(op.equal(last, columns), to=np.int64), ints(1), keepdims=0)  # (N, P)
        stream = op.mul(here, integer(layout.separator))
    if layout.first is not None:
        stream = op.where(op.equal(columns, integer(0)), integer(layout.first), stream)
    stream = op.scatter_nd(stream, op.compress(places, inside, axis=0), op.compress(ids, inside, axis=0))
    return Encoded(tokens=ndx.asarray(stream), token_lengths=ndx.asarray(lengths))
