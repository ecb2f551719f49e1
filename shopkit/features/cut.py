"""How much of long texts and sequences is not read, because a limit cuts them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shopkit.features.graph import Group, trace
from shopkit.features.sequences import Limit
from shopkit.features.subgraph import towards
from shopkit.features.tensors import STEPS, TOKENS
from shopkit.features.transform import READ_ROWS, RowGraph
from shopkit.raw import evenly

NO_LIMIT = 1 << 30
MOST_COUNTED = 20_000
"""Texts that are counted to their end: of those that fill the limit, so many, evenly spaced, stand for all."""
UNITS = {STEPS: "steps", TOKENS: "tokens"}


@dataclass(frozen=True)
class Cut:
    """What a limit does to the training rows."""

    columns: tuple[str, ...]
    """Texts that share one stream, or the sequences, which are cut together."""
    unit: str
    """`tokens` or `steps`."""
    max_length: int
    keep: str
    """Which end is read."""
    rows: float
    """Share of the rows that are longer, 0 to 1."""
    lost: float
    """Share of all units that are not read, 0 to 1."""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "columns": list(self.columns)}


def cut_texts(groups: Sequence[Group], lengths: np.ndarray, examples: Path, rows: np.ndarray) -> Cut | None:
    """Of the texts that are read token by token; None without such, or where their extractor has no `max_length`.

    Only texts that fill the limit are counted again, to their end: no other can be longer.

    Args:
        groups: the fitted extractors.
        lengths: (n,) tokens of each of these rows as they are read.
        examples: Parquet of canonical columns, N rows.
        rows: (N,) bool, n of them.
    """
    group = next((group for group in groups if group.blocks()[0].tensor == "tokens"), None)
    most = getattr(group.extractor.settings, "max_length", 0) if group is not None else 0
    if group is None or not most or not len(lengths):
        return None
    columns = tuple(assignment.column.name for assignment in group.assignments)
    # Texts that share a limit are cut to equal lengths, so that up to one token for each but one stays free.
    full = lengths > most - len(columns)
    chosen = np.zeros(len(rows), bool)
    chosen[np.flatnonzero(rows)[full]] = True
    sample = evenly(chosen, MOST_COUNTED)
    graph = RowGraph(_counter(group))
    counts = [np.asarray(graph.run(batch)["token_lengths"]) for batch in _batches(examples, columns, sample)]
    whole = np.concatenate(counts) if counts else np.empty(0, np.int64)
    lost = whole - lengths[sample[rows]]
    weight = full.sum() / max(len(whole), 1)  # of a row of the sample
    n_lost = lost.sum() * weight
    share, of_all = (lost > 0).sum() * weight / len(lengths), n_lost / max(lengths.sum() + n_lost, 1)
    return Cut(columns, UNITS[TOKENS], most, getattr(group.extractor.settings, "keep", "start"), float(share), float(of_all))


def cut_sequences(columns: Sequence[str], limit: Limit, examples: Path, rows: np.ndarray) -> Cut | None:
    """Of the sequence columns, which are equally long in a row; None without any, or without a limit.

    Args:
        examples: Parquet of canonical columns, N rows.
        rows: (N,) bool.
    """
    if not columns or not limit.max_length or not rows.any():
        return None
    n_longer = n_lost = n_steps = 0
    for batch in _batches(examples, columns[:1], rows):
        lengths = pc.fill_null(pc.list_value_length(batch.column(0)), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        n_longer += int((lengths > limit.max_length).sum())
        n_lost += int(np.maximum(lengths - limit.max_length, 0).sum())
        n_steps += int(lengths.sum())
    shares = n_longer / int(rows.sum()), n_lost / max(n_steps, 1)
    return Cut(tuple(columns), UNITS[STEPS], limit.max_length, limit.keep, *shares)


def _counter(group: Group) -> onnx.ModelProto:
    """A graph from the raw texts to `token_lengths` (N,), without the limit."""
    extractor = type(group.extractor)(replace(group.extractor.settings, max_length=NO_LIMIT))
    whole = trace([assignment.column for assignment in group.assignments], [replace(group, extractor=extractor)])
    counter = towards(whole, {"token_lengths"})
    assert counter is not None
    return counter


def _batches(examples: Path, columns: Sequence[str], rows: np.ndarray) -> Iterator[pa.RecordBatch]:
    """The chosen rows, those columns of them."""
    at = 0
    with pq.ParquetFile(examples, pre_buffer=False) as file:
        for batch in file.iter_batches(READ_ROWS, columns=list(columns)):
            inside = rows[at : at + len(batch)]
            at += len(batch)
            if inside.any():
                yield batch.filter(pa.array(inside))
