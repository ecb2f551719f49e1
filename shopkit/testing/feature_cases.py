"""Extractors fitted on columns, and their graphs ready to run, for the checks of what extractors promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ndonnx as ndx
import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import spox

from shopkit.features.base import Extractor, FeatureBlock, FitContext, State
from shopkit.features.graph import Group, input_shape, lay_out, trace
from shopkit.features.plan import Assignment
from shopkit.features.tensors import ARRAYS
from shopkit.features.training_part import training_part
from shopkit.raw import image_structs
from shopkit.runtime.artifact import open_session
from shopkit.runtime.blocks import Footprint, in_blocks
from shopkit.runtime.sequences import graph_feed
from shopkit.schema import INPUT_PREFIX, Column, Kind
from shopkit.testing.data import CATEGORIES, IMAGE_SHAPE, N_ROWS, raw_column
from shopkit.testing.subject import Subject

NAMES = ("first", "second")
MOST_TOKENS = 256
"""Tokens are compared padded to this many."""
DTYPES = {"number": ndx.float32, "string": ndx.utf8, "time": ndx.int64, "image": ndx.uint8}


@dataclass(frozen=True)
class Case:
    """An extractor fitted on two columns of one kind."""

    subject: Subject
    kind: Kind
    extractor: Extractor
    columns: tuple[Column, ...]
    train: Mapping[str, np.ndarray]
    states: tuple[State, ...]

    def __str__(self) -> str:
        return f"on {self.kind} columns"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def group(self) -> Group:
        assignments = (Assignment(column, self.subject.name, {}, self.extractor, "") for column in self.columns)
        return Group(self.extractor, tuple(assignments), self.states)

    def model(self) -> onnx.ModelProto:
        """The graph as the core makes it."""
        return trace(self.columns, [self.group])

    def raw_model(self) -> onnx.ModelProto:
        """The graph as the extractor wrote it, whatever its operators and types."""
        inputs = {column.name: ndx.argument(shape=input_shape(column), dtype=DTYPES[self.kind]) for column in self.columns}
        encoded = self.extractor.transform(list(inputs.values()), self.states)
        tensors = {name: getattr(encoded, name, None) for name in ARRAYS}
        given = {name: array.unwrap_spox() for name, array in tensors.items() if array is not None}
        self.subject.require(bool(given), "`transform` returned nothing: neither `dense` nor `ids` nor another array.")
        return spox.build({name: argument.unwrap_spox() for name, argument in inputs.items()}, given)

    def reference(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {
            column.name: _wide(np.asarray(self.extractor.reference(values[column.name], state)), self.group)
            for column, state in zip(self.columns, self.states, strict=True)
        }


class Graph:
    """A traced case, ready to run."""

    def __init__(self, case: Case) -> None:
        self.blocks: Sequence[FeatureBlock] = lay_out([case.group]).blocks
        self.answer = answering(case.model(), case, INPUT_PREFIX)

    def run(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Column → its positions, (N, width)."""
        names = {block.column: None for block in self.blocks}
        found = self.answer(columns)
        return {name: np.column_stack([_positions(found, b) for b in self.blocks if b.column == name]) for name in names}


def answering(
    model: onnx.ModelProto, case: Case, prefix: str = ""
) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
    """Canonical columns → the arrays of a graph whose inputs are called as the columns, after the prefix."""
    session = open_session(model.SerializeToString())
    tensors = [value.name for value in session.get_outputs()]
    inputs = {name: prefix + name for name in case.names}

    def some(rows: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(tensors, session.run(tensors, graph_feed(rows, case.columns, inputs)), strict=True))

    return lambda columns: in_blocks({name: columns[name] for name in case.names}, case.columns, Footprint(), some)


def _positions(found: Mapping[str, np.ndarray], block: FeatureBlock) -> np.ndarray:
    """What a block says of every row, (N, positions): of a bag the weight of each term, of tokens their ids, of an image its
    pixels."""
    if block.tensor == "tokens":
        inside = np.arange(found["tokens"].shape[1]) < found["token_lengths"][:, None]
        return _padded(np.where(inside, found["tokens"], 0))
    if block.tensor == "image":
        return found["image"].reshape(len(found["image"]), int(np.prod(found["image"].shape[1:])))
    if block.tensor == "bag":
        n_rows, n_terms = found["bag_ids"].shape
        weights = np.zeros((n_rows, block.start + block.width + int(found["bag_ids"].max(initial=0)) + 1), np.float32)
        np.add.at(weights, (np.repeat(np.arange(n_rows), n_terms), found["bag_ids"].ravel()), found["bag_weights"].ravel())
        return weights[:, block.start : block.start + block.width]
    return found[block.tensor][:, block.start : block.start + block.width]


def _padded(tokens: np.ndarray) -> np.ndarray:
    return np.pad(tokens, ((0, 0), (0, MOST_TOKENS - tokens.shape[1])))


def _wide(expected: np.ndarray, group: Group) -> np.ndarray:
    return _padded(expected) if group.blocks()[0].tensor == "tokens" else expected.reshape(len(expected), -1)


def columns_of(kind: Kind, rng: np.random.Generator, n_rows: int = N_ROWS) -> dict[str, np.ndarray]:
    columns = {name: raw_column(kind, rng, n_rows) for name in NAMES}
    if kind == "number":
        # Another scale, and nothing missing: the two states differ in all that a state can differ in.
        columns["second"] = np.abs(np.nan_to_num(columns["second"]) * np.float32(100))
    return columns


@contextmanager
def context_of(
    subject: Subject, columns: Mapping[str, np.ndarray], is_train: np.ndarray | None = None, order: np.ndarray | None = None
) -> Iterator[FitContext]:
    n_rows = len(next(iter(columns.values())))
    target = np.random.default_rng(7).integers(0, 2, n_rows).astype(np.float64)
    if order is not None:
        columns, target = {name: values[order] for name, values in columns.items()}, target[order]
    table = {name: _arrow(values) for name, values in columns.items()}
    path = subject.folder / "examples.parquet"
    pq.write_table(pa.table(table), path)
    rows = np.ones(n_rows, bool) if is_train is None else is_train
    with training_part(Path(path), rows, target, seed=subject.seed, classes=CATEGORIES) as context:
        yield context


def _arrow(values: np.ndarray) -> pa.Array:
    if values.dtype != object or not isinstance(values[0], np.ndarray):
        return pa.array(values)
    return image_structs(values) if values[0].ndim == 3 else pa.array(values.tolist())


def fitted_on(
    subject: Subject,
    kind: Kind,
    columns: Mapping[str, np.ndarray],
    is_train: np.ndarray | None = None,
    order: np.ndarray | None = None,
    extractor: Extractor | None = None,
) -> Case:
    extractor = extractor or subject.build()
    with context_of(subject, columns, is_train, order) as context:
        states = tuple(extractor.fit(name, context) for name in NAMES)
    channels = IMAGE_SHAPE[2] if kind == "image" else 0
    # Of texts made one stream of tokens, and of images, a model reads one.
    n = 1 if extractor.blocks(NAMES[0], states[0])[0].tensor in ("tokens", "image") else len(NAMES)
    return Case(subject, kind, extractor, tuple(Column(name, kind, channels=channels) for name in NAMES[:n]), columns, states[:n])


def cases(subject: Subject) -> Iterator[Case]:
    for kind in subject.target().accepts:
        yield fitted_on(subject, kind, columns_of(kind, subject.rng))
