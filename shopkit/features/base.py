"""The contract of a feature extractor, and what a model is told about the features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, get_args

import ibis.expr.types as ir
import ndonnx as ndx
import numpy as np

from shopkit.schema import Kind

Tensor = Literal["dense", "ids", "sequence_dense", "sequence_ids"]
"""What a feature graph gives, besides `lengths` int64 (N,) where there are sequences. Beyond a row's length all is 0."""

State = dict[str, np.ndarray]
"""What `fit` learns of one column: plain arrays (float64, int64, or object arrays of str)."""


@dataclass(frozen=True)
class FeatureBlock:
    """What one extractor made of one column: `width` neighbouring positions of one tensor."""

    column: str
    extractor: str
    tensor: Tensor
    """`dense`: float32 (N, n_dense). `ids`: int64 (N, n_ids). Of a sequence column, `sequence_dense`: float32
    (N, L, n_sequence_dense), and `sequence_ids`: int64 (N, L, n_sequence_ids)."""
    start: int
    width: int
    names: tuple[str, ...]
    """A name per position, e.g. `price`, `price is missing`, `color=red`."""
    cardinality: int = 0
    """For ids: number of ids. 0 is missing, 1 is unknown, then the categories."""


@dataclass(frozen=True)
class FeatureSpec:
    """What the features say of themselves; models are built from it."""

    blocks: tuple[FeatureBlock, ...]

    @property
    def dense(self) -> tuple[FeatureBlock, ...]:
        return tuple(block for block in self.blocks if block.tensor == "dense")

    @property
    def ids(self) -> tuple[FeatureBlock, ...]:
        return tuple(block for block in self.blocks if block.tensor == "ids")

    @property
    def n_dense(self) -> int:
        return sum(block.width for block in self.dense)

    @property
    def n_ids(self) -> int:
        return sum(block.width for block in self.ids)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        return tuple(block.cardinality for block in self.ids)

    @property
    def sequence_cardinalities(self) -> tuple[int, ...]:
        return tuple(block.cardinality for block in self.blocks if block.tensor == "sequence_ids")

    @property
    def widths(self) -> dict[str, int]:
        """Tensor → width, for those that are not empty."""
        widths = {tensor: sum(block.width for block in self.blocks if block.tensor == tensor) for tensor in get_args(Tensor)}
        return {tensor: width for tensor, width in widths.items() if width}

    @property
    def has_sequences(self) -> bool:
        return any(block.tensor.startswith("sequence_") for block in self.blocks)

    def __str__(self) -> str:
        text = f"{self.n_dense} numbers and {self.n_ids} ids"
        if not self.has_sequences:
            return text
        numbers, ids = (self.widths.get(tensor, 0) for tensor in ("sequence_dense", "sequence_ids"))
        return f"{text}, and of each step {numbers} numbers and {ids} ids"

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(block) for block in self.blocks]

    @classmethod
    def from_json(cls, data: Sequence[Mapping[str, Any]]) -> FeatureSpec:
        return cls(tuple(FeatureBlock(**{**block, "names": tuple(block["names"])}) for block in data))


@dataclass(frozen=True)
class FitContext:
    """The training part, as `fit` sees it."""

    table: ir.Table
    """Training rows only, materialised, on DuckDB; columns are canonical (float32/float64, string, int64 seconds)."""
    target: ir.Column | None = None
    """Encoded target as a number (0/1, class index or value), for extractors that need it."""
    weight: ir.Column | None = None
    n_classes: int = 0
    """Classes of a multiclass target; 0 where the target's plain mean means something (binary, regression)."""
    seed: int = 0
    row: str = "shopkit_row"
    """The table's column that numbers the training rows 0, 1, … in order."""


@dataclass(frozen=True)
class Encoded:
    """What `transform` returns for C columns: at least one of the two.

    Order of positions: every column's first block, then every column's second block (`x is missing`, …), and so on,
    so that stacked results need no reordering.
    """

    dense: ndx.Array | None = None
    """float32 (N, sum of the dense blocks' widths)."""
    ids: ndx.Array | None = None
    """int64 (N, number of ids blocks)."""


class Extractor(ABC):
    """Built as `Class(settings)`. Stateless: what it learns is returned by `fit` and passed back in.

    It knows nothing of sequences. The core gives it the steps of a sequence column as if each were a row of its own, in fitting
    as in the graph; only one with training-time values of its own (`fit_transform_rows`) cannot be used so.
    """

    accepts: ClassVar[tuple[Kind, ...]]
    """The column kinds it can read."""
    tolerance: ClassVar[float] = 1e-5
    """How far graph and `reference` may be apart, absolute and relative: larger only where the graph approximates by design."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @abstractmethod
    def fit(self, column: str, context: FitContext) -> State:
        """Learn one column from the training part, by ibis aggregates. Missing values are NaN / "" / MISSING_TIME."""

    @abstractmethod
    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        """What this column becomes (`start` is filled in by the caller; give 0)."""

    @abstractmethod
    def transform(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> Encoded:
        """Traced once over the C columns that share these settings, each (N,): float32 (float64 if `double`), int64 or string.

        Numbers and times are stacked by `traced.stack`; strings are looked up column by column, since copying them costs more.
        """

    @abstractmethod
    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        """The same for one column in plain numpy, slow and obvious: (N,) values → (N, width of its blocks).

        Tests compare the graph with it.
        """

    def fit_transform_rows(self, column: str, context: FitContext, state: State) -> np.ndarray | None:
        """Training-time values (N, width) that differ from `transform`, e.g. out-of-fold target rates; None for all others."""
        return None
