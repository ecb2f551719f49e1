"""Rows go through a graph in blocks that fit into a budget of memory, those of like length together.

A graph pads texts and sequences to the longest of the rows that it is given at once: one text of a megabyte among a thousand
short ones would take a thousand times its own memory. And what an encoder makes of a text is megabytes a row. So whoever makes a
graph says what a row of it takes, and whoever runs it cuts the rows by that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from shopkit.runtime.images import of_one_size
from shopkit.schema import Column, Schema

Raw = Mapping[str, np.ndarray]

BUDGET = 1 << 26
"""Bytes that a block may take, unless it is one row: little enough for one on every core."""
MOST_ROWS = 4096
"""Rows of a block at most: what is computed of them stays in the processor's caches."""
STEP_BYTES = 256
"""For a character of a text, padding included, while it is split and looked up; of a step of a sequence it is less."""


class Footprint(NamedTuple):
    """Bytes that rows take on their way through a graph."""

    columns: tuple[str, ...] = ()
    """Texts that the graph pads to the longest of those it is given at once, and sequences."""
    row: int = 0
    """Of each row, however long."""
    step: int = STEP_BYTES
    """Of each character or step of each of the columns."""
    read: int = 0
    """Of each that the model reads, as a token or a step."""
    longest: int = 0
    """How many a model reads at most; 0 is all."""

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any], schema: Schema) -> Footprint:
        """Of what a file says of itself. An older one says at most how many rows it wants at once."""
        inputs = schema.of_role("feature")
        if "footprint" not in facts:
            most = int(facts.get("block_rows", 0))
            padded = tuple(column.name for column in inputs if column.sequence or column.kind == "string")
            return cls(padded, row=BUDGET // most if most > 0 else 0)
        given = dict(facts["footprint"])
        columns = tuple(given.pop("columns"))
        if strange := {*columns} - {column.name for column in inputs}:
            raise ValueError(f"its footprint names {', '.join(sorted(map(str, strange)))}, which is no input")
        if not all(type(value) is int and 0 <= value <= 1 << 40 for value in given.values()):
            raise ValueError("its footprint is not in bytes")
        return cls(columns, **given)

    def to_json(self) -> dict[str, Any]:
        return {"columns": list(self.columns), "row": self.row, "step": self.step, "read": self.read, "longest": self.longest}

    def bytes_of(self, raw: Raw) -> np.ndarray:
        """Of each row, if it were the longest of its block; int64 (N,)."""
        n_rows = _n_rows(raw)
        lengths: np.ndarray = np.zeros(n_rows, np.int64)
        for name in self.columns:
            lengths = np.maximum(lengths, np.fromiter(map(len, raw[name]), np.int64, n_rows))
        padded = lengths * len(self.columns)
        read = np.minimum(padded, self.longest) if self.longest else padded
        found: np.ndarray = self.row + self.step * padded + self.read * read
        return found


def blocks(raw: Raw, columns: Sequence[Column], footprint: Footprint) -> list[slice] | list[np.ndarray]:
    """Which rows go through a graph together: slices, or row numbers where rows differ in length or their images in size.

    The longest come first: what the others take fits into the memory that was given back, while growing ones would always need
    more.
    """
    n_rows = _n_rows(raw)
    alike = list(of_one_size(raw, columns))
    if not footprint.columns and not alike:
        size = max(1, min(MOST_ROWS, BUDGET // max(1, footprint.row)))
        return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]
    sizes = footprint.bytes_of(raw)
    if not alike and n_rows <= MOST_ROWS and n_rows * int(sizes.max(initial=0)) <= BUDGET:
        return [slice(0, n_rows)]
    groups = alike or [np.arange(n_rows)]
    return [group[rows] for group in groups for rows in like_length(sizes[group], BUDGET, MOST_ROWS)][::-1]


def like_length(lengths: np.ndarray, budget: int, most_rows: int) -> Iterator[np.ndarray]:
    """Row numbers in batches of rows of like length: rows times the longest stay within the budget, unless it is one row."""
    order = np.argsort(lengths, kind="stable")
    rising = np.asarray(lengths)[order]
    start = 0
    while start < len(order):
        ahead = rising[start : start + most_rows]
        n = max(1, int((ahead * np.arange(1, len(ahead) + 1) <= budget).sum()))
        yield order[start : start + n]
        start += n


def in_blocks(
    raw: Raw,
    columns: Sequence[Column],
    footprint: Footprint,
    answer: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """What `answer` gives for all rows, asked for a block at a time.

    Args:
        raw: column → canonical (N,).
        columns: those of the graph; images among them go through it with others of their size.
        answer: raw rows → name → (n, …).
    """
    parts = blocks(raw, columns, footprint)
    if len(parts) <= 1:
        return answer(dict(raw))
    found = [answer({name: values[rows] for name, values in raw.items()}) for rows in parts]
    joined = {name: _end_to_end([part[name] for part in found]) for name in found[0]}
    places = [rows for rows in parts if not isinstance(rows, slice)]
    if not places:
        return joined
    back = np.argsort(np.concatenate(places))
    return {name: values[back] for name, values in joined.items()}


def ran_out_of_memory(error: Exception) -> bool:
    """Whether numpy or ONNX Runtime, whose exception classes are private, found no memory."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in ("Failed to allocate memory", "bad_alloc"))


def _n_rows(raw: Raw) -> int:
    return len(next(iter(raw.values())))


def _end_to_end(parts: Sequence[np.ndarray]) -> np.ndarray:
    """(n, …), (m, …), … → (n + m + …, …), padded on the right with 0 where they differ in width."""
    if len({part.shape[1:] for part in parts}) > 1:
        width = max(part.shape[1] for part in parts)
        parts = [np.pad(p, [(0, width - n if axis == 1 else 0) for axis, n in enumerate(p.shape)]) for p in parts]
    return np.concatenate(parts)
