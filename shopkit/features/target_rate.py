"""Categories as the target's mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import ibis
import ibis.expr.types as ir
import ndonnx as ndx
import numpy as np

from shopkit.errors import ConfigError
from shopkit.features import traced
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FitContext, State
from shopkit.schema import Kind

MULTIPLIER, MODULUS = 2_654_435_761, 2**32
"""Knuth's multiplicative hash, which spreads consecutive rows evenly over folds."""
TINY, ALIKE = 1e-12, 1e-9


class TargetRate(Extractor):
    """Mean target of the category, smoothed towards the overall mean, (sum + m · mean) / (count + m), and scaled to mean 0 and
    spread 1 over the training rows: a rate of clicks and one of yearly sales are inputs of one size.

    A missing value is a category like any other; unknown gets the overall mean, which is 0. Binary and regression give one
    position, multiclass one for each class but the first. Training rows get rates fitted without the row's own fold, as otherwise
    a rare category would tell the model its own target.

    Source: Micci-Barreca (2001), A Preprocessing Scheme for High-Cardinality Categorical Attributes.
    """

    accepts: ClassVar[tuple[Kind, ...]] = ("string",)

    def fit(self, column: str, context: FitContext) -> State:
        sums = self._sums(column, context, by_fold=False)
        order = np.lexsort((sums.category.astype(str), -sums.count))[: self.settings.max_size]
        scaled = self._scaled(sums.count[:, None], sums.total[:, None])[:, 0]
        return {"categories": sums.category[order], "rates": scaled[order]}

    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        width = state["rates"].shape[1]
        names = (f"{column} target rate",) if width == 1 else tuple(f"{column} rate of class {k + 1}" for k in range(width))
        return (FeatureBlock(column, "target_rate", "dense", 0, width, names),)

    def transform(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> Encoded:
        return Encoded(dense=traced.side_by_side([rates(c, state) for c, state in zip(columns, states, strict=True)]))

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        known = dict(zip(state["categories"], state["rates"], strict=True))
        unknown = np.zeros(state["rates"].shape[1])
        return np.array([known.get(value, unknown) for value in values], np.float32).reshape(len(values), len(unknown))

    def fit_transform_rows(self, column: str, context: FitContext, state: State) -> np.ndarray:
        """Each training row's rates, fitted on the folds it is not in: (N, width) float32."""
        sums = self._sums(column, context, by_fold=True)
        n_folds, width = self.settings.n_folds, state["rates"].shape[1]
        categories, at = np.unique(sums.category.astype(str), return_inverse=True)
        count, total = np.zeros((len(categories), n_folds)), np.zeros((len(categories), n_folds, width))
        count[at, sums.fold], total[at, sums.fold] = sums.count, sums.total
        scaled = self._scaled(count.sum(axis=1, keepdims=True) - count, total.sum(axis=1, keepdims=True) - total)
        # What the graph does not know, the model must not learn from.
        scaled[~np.isin(categories, state["categories"].astype(str))] = 0
        rows = context.table.select(row=context.table[context.row], category=context.table[column], fold=self._fold(context))
        found = rows.order_by("row").to_pyarrow()
        encoded = np.searchsorted(categories, np.array(found["category"].to_pylist()))
        own: np.ndarray = scaled[encoded, found["fold"].to_numpy()].astype(np.float32)
        return own

    def _scaled(self, count: np.ndarray, total: np.ndarray) -> np.ndarray:
        """Smoothed rates of weighted counts (categories, folds) and totals (…, width), scaled fold by fold."""
        of_fold = np.maximum(count.sum(axis=0), TINY)
        share, mean = count / of_fold, total.sum(axis=0) / of_fold[:, None]  # (categories, folds), (folds, width)
        m = float(self.settings.smoothing)
        # A category without rows, and smoothing 0: nothing is known of it but the mean.
        known = (count + m > 0)[:, :, None]
        rates = np.where(known, (total + m * mean) / np.maximum(count + m, TINY)[:, :, None], mean)
        spread = np.sqrt((share[:, :, None] * (rates - mean) ** 2).sum(axis=0))
        # All categories alike, but for rounding.
        return np.asarray((rates - mean) / np.where(spread > ALIKE * np.abs(mean), spread, 1))

    def _sums(self, column: str, context: FitContext, by_fold: bool) -> Sums:
        """Weighted counts and target totals of each category (and fold)."""
        if context.target is None:
            raise ConfigError(f"features: target_rate on column '{column}' needs a target, and this task has none.")
        weight = ibis.literal(1.0) if context.weight is None else context.weight.cast("float64")
        target = context.target
        classes = [(target == k).cast("float64") for k in range(1, context.n_classes)] or [target.cast("float64")]
        table = context.table.select(
            category=context.table[column],
            fold=self._fold(context) if by_fold else ibis.literal(0),
            weight=weight,
            **{f"y{k}": y * weight for k, y in enumerate(classes)},
        )
        totals = {f"y{k}": table[f"y{k}"].sum() for k in range(len(classes))}
        found = table.group_by(["category", "fold"]).aggregate(weight=table.weight.sum(), **totals)
        rows = found.order_by(["category", "fold"]).to_pyarrow()
        return Sums(
            np.array(rows["category"].to_pylist(), object),
            rows["fold"].to_numpy(),
            rows["weight"].to_numpy(),
            np.column_stack([rows[name].to_numpy() for name in totals]),
        )

    def _fold(self, context: FitContext) -> ir.Column:
        row = context.table[context.row].cast("int64")
        hashed = (row * MULTIPLIER + context.seed % MODULUS * MULTIPLIER // 7) % MODULUS
        return (hashed * self.settings.n_folds / MODULUS).floor().cast("int64")


@dataclass(frozen=True)
class Sums:
    """Weighted counts and target totals by category and fold."""

    category: np.ndarray
    """(G,) object"""
    fold: np.ndarray
    """(G,) integers"""
    count: np.ndarray
    """(G,) float64"""
    total: np.ndarray
    """(G, width) float64"""


def rates(column: ndx.Array, state: State) -> ndx.Array:
    """(N,) strings → (N, width) float32."""
    categories, table = state["categories"], state["rates"].astype(np.float32)
    if table.shape[1] == 1:
        return ndx.reshape(traced.look_up(column, categories, table[:, 0], 0.0), (-1, 1))
    at = traced.look_up(column, categories, np.arange(len(categories)) + 1, 0)
    return ndx.take(ndx.asarray(np.concatenate([np.zeros_like(table[:1]), table])), at, axis=0)
