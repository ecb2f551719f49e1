"""The contract of a feature extractor, and what a model is told about the features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, get_args

import ibis.expr.types as ir
import ndonnx as ndx
import numpy as np

from shopkit.features.tensors import READ_BY, REST, STEPS, TERMS, TOKENS, Tensor
from shopkit.schema import Kind

State = dict[str, np.ndarray]
"""What `fit` learns of one column: plain arrays (float64, int64, or object arrays of str)."""


@dataclass(frozen=True)
class FeatureBlock:
    """What one extractor made of one column: `width` neighbouring positions of one tensor."""

    column: str
    extractor: str
    tensor: Tensor
    start: int
    width: int
    """Of a bag: its vocabulary, which begins at `start` of the joint one. Of tokens and an image: 1."""
    names: tuple[str, ...]
    """A name per position, e.g. `price`, `price is missing`, `color=red`; of tokens, the token of each id. Empty if unknown."""
    cardinality: int = 0
    """For ids: number of ids. 0 is missing, 1 is unknown, then the categories. For tokens: number of token ids; 0 is padding."""
    shape: tuple[int, ...] = ()
    """For an image: channels, height, width. For tokens: the most that a row can have."""
    rest: bool = False
    """For ids: of a sequence, `rest_ids` has those of the steps that `features.max_length` leaves out."""


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
    def rest(self) -> tuple[FeatureBlock, ...]:
        """The sequences in `rest_ids`, in order."""
        return tuple(block for block in self.blocks if block.tensor == "sequence_ids" and block.rest)

    @property
    def widths(self) -> dict[str, int]:
        """Tensor → width, for those that are not empty."""
        widths = {tensor: sum(block.width for block in self.blocks if block.tensor == tensor) for tensor in get_args(Tensor)}
        return {tensor: width for tensor, width in widths.items() if width}

    @property
    def shapes(self) -> dict[str, tuple[int | str, ...]]:
        """Array → its dimensions after the first; a name for one that varies. See `shopkit.features.tensors.ARRAYS`."""
        widths = self.widths
        shapes: dict[str, tuple[int | str, ...]] = {t: (widths[t],) for t in ("dense", "ids") if t in widths}
        if self.has_sequences:
            shapes |= {t: (STEPS, widths[t]) for t in ("sequence_dense", "sequence_ids") if t in widths} | {"lengths": ()}
        if self.rest:
            shapes["rest_ids"] = (REST, len(self.rest))
        if self.tokens is not None:
            shapes |= {"tokens": (TOKENS,), "token_lengths": ()}
        if "bag" in widths:
            shapes |= {"bag_ids": (TERMS,), "bag_weights": (TERMS,)}
        if self.image is not None:
            shapes["image"] = self.image.shape
        return shapes

    @property
    def has_sequences(self) -> bool:
        return any(block.tensor.startswith("sequence_") for block in self.blocks)

    @property
    def n_bag(self) -> int:
        """Terms of the joint vocabulary."""
        return self.widths.get("bag", 0)

    @property
    def tokens(self) -> FeatureBlock | None:
        """The one stream of tokens."""
        return next((block for block in self.blocks if block.tensor == "tokens"), None)

    @property
    def image(self) -> FeatureBlock | None:
        return next((block for block in self.blocks if block.tensor == "image"), None)

    def unread(self, tags: Collection[str]) -> FeatureBlock | None:
        """The first block that a model of these tags does not read."""
        return next((block for block in self.blocks if READ_BY.get(block.tensor, "") not in ("", *tags)), None)

    def __str__(self) -> str:
        parts = [_numbers_and_ids(self.n_dense, self.n_ids)] if self.n_dense or self.n_ids else []
        if self.has_sequences:
            parts.append(
                "of each step " + _numbers_and_ids(*(self.widths.get(of, 0) for of in ("sequence_dense", "sequence_ids")))
            )
        if self.n_bag:
            parts.append(f"{self.n_bag:,} terms")
        if self.tokens is not None:
            parts.append(f"tokens of a vocabulary of {self.tokens.cardinality:,}")
        if self.image is not None:
            parts.append(f"an image of {'×'.join(map(str, self.image.shape))}")
        return ", and ".join(parts)

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(block) for block in self.blocks]

    @classmethod
    def from_json(cls, data: Sequence[Mapping[str, Any]]) -> FeatureSpec:
        tuples = ("names", "shape")
        return cls(tuple(FeatureBlock(**{**block, **{key: tuple(block[key]) for key in tuples}}) for block in data))


def counted(count: int, name: str) -> str:
    """`1 column`, `2 columns`."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _numbers_and_ids(numbers: int, ids: int) -> str:
    return " and ".join(counted(count, name) for name, count in {"number": numbers, "id": ids}.items() if count)


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
    vocabularies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Column → categories of an earlier run, which keep their ids; those that are new come after them."""
    classes: tuple[str, ...] = ()
    """The names of a multiclass target's classes, in order, for extractors that share its ids."""


@dataclass(frozen=True)
class Encoded:
    """What `transform` returns for C columns: at least one of these.

    Order of positions: every column's first block, then every column's second block (`x is missing`, …), and so on,
    so that stacked results need no reordering.
    """

    dense: ndx.Array | None = None
    """float32 (N, sum of the dense blocks' widths)."""
    ids: ndx.Array | None = None
    """int64 (N, number of ids blocks)."""
    bag_ids: ndx.Array | None = None
    """int64 (N, K): distinct terms of each row, counted on from column to column: column c's begin at the sum of the widths of
    the blocks before it."""
    bag_weights: ndx.Array | None = None
    """float32 (N, K), 0 where a row has no more terms."""
    tokens: ndx.Array | None = None
    """int64 (N, P), all C columns joined into one stream, padded on the right with 0."""
    token_lengths: ndx.Array | None = None
    """int64 (N,)."""
    image: ndx.Array | None = None
    """uint8 (N, channels, height, width)."""


class Extractor(ABC):
    """Built as `Class(settings)`. Stateless: what it learns is returned by `fit` and passed back in.

    It knows nothing of sequences. The core gives it the steps of a sequence column as if each were a row of its own, in fitting
    as in the graph; only one with training-time values of its own (`fit_transform_rows`) cannot be used so.
    """

    accepts: ClassVar[tuple[Kind, ...]]
    """The column kinds it can read."""
    gives: ClassVar[Tensor | None] = None
    """What it makes, where only some models read that (`tokens`, `bag`, `image`): known before it is fitted."""
    tolerance: ClassVar[float] = 1e-5
    """How far graph and `reference` may be apart, absolute and relative: larger only where the graph approximates by design."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @abstractmethod
    def fit(self, column: str, context: FitContext) -> State:
        """Learn one column from the training part, by ibis aggregates. Missing values are NaN / "" / MISSING_TIME."""

    def fit_columns(self, columns: Sequence[str], context: FitContext) -> tuple[State, ...]:
        """Learn the columns that share these settings: each by itself, unless they share what is learnt."""
        return tuple(self.fit(column, context) for column in columns)

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

    def categories(self, state: State) -> Sequence[str] | None:
        """The categories that ids from 2 on, or positions, stand for: a model that starts from an earlier run finds them again by
        these names. None for what has no vocabulary."""
        return None

    def assets(self, states: Sequence[State]) -> dict[str, str]:
        """Files to stand beside the exported one: name → text, e.g. a tokenizer for runtimes without the graph's operators."""
        return {}
