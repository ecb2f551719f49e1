"""Bin edges where the target's mean changes most."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import numpy as np

from shopkit.errors import ConfigError
from shopkit.features.aggregates import mean_and_scale, quantiles
from shopkit.features.base import FitContext

FINE_BINS = 256
MIN_SHARE = 0.002
"""Least share of the present training rows in a bin."""


def target_edges(values: ir.Column, context: FitContext, n_bins: int) -> np.ndarray:
    """Edges of at most `n_bins` bins, ascending, with the lowest and highest value at the ends: (n_edges,) float64.

    A regression tree of one variable, grown best split first on a fine quantile histogram (squared error, so that for a
    binary target it is the Gini gain). Source: Gorishniy et al. (2022), section 3.2.2.

    Raises:
        ConfigError: the context has no target, or one whose mean means nothing (multiclass).
    """
    if context.target is None or context.n_classes:
        raise ConfigError("piecewise_linear.edges is 'target', which needs a binary or numeric target; use edges: quantile.")
    fine = np.unique(quantiles(values, np.linspace(0, 1, FINE_BINS + 1).tolist(), context).astype(np.float32)).astype(np.float64)
    if len(fine) < 3:
        return fine
    # Around 0 and of size 1: of squares of large numbers rounding leaves no difference, and of tiny ones every gain is none.
    target = context.target.cast("float64")
    mean, scale = mean_and_scale(target, context)
    table = context.table.select(bin=bin_of(values, fine[1:-1]), y=(target - mean) / scale)
    table = table.filter(table.bin.notnull())
    found = table.group_by("bin").aggregate(n=table.count(), total=table.y.sum()).to_pyarrow()
    counts, totals = np.zeros(len(fine) - 1), np.zeros(len(fine) - 1)
    at = found["bin"].to_numpy()
    counts[at], totals[at] = found["n"].to_numpy(), found["total"].to_numpy()
    inner = split_points(counts, totals, n_bins, max(1.0, MIN_SHARE * counts.sum()))
    return np.concatenate([fine[:1], fine[inner], fine[-1:]])


def bin_of(values: ir.Column, inner_edges: np.ndarray) -> ir.Column:
    """Number of inner edges reached, NULL for NULL."""
    return ibis.cases(
        (values.isnull(), ibis.null("int64")),
        *((values < float(edge), ibis.literal(at, "int64")) for at, edge in enumerate(inner_edges)),
        else_=ibis.literal(len(inner_edges), "int64"),
    )


def split_points(counts: np.ndarray, totals: np.ndarray, n_bins: int, min_count: float) -> list[int]:
    """Fine-bin borders of the best-first tree with at most `n_bins` leaves, ascending."""
    n = np.concatenate([[0.0], np.cumsum(counts)])
    s = np.concatenate([[0.0], np.cumsum(totals)])

    def best(low: int, high: int) -> tuple[float, int]:
        borders = np.arange(low + 1, high)
        left, right = n[borders] - n[low], n[high] - n[borders]
        allowed = (left >= min_count) & (right >= min_count)
        if not allowed.any():
            return 0.0, -1
        borders, left, right = borders[allowed], left[allowed], right[allowed]
        gain = (
            (s[borders] - s[low]) ** 2 / left + (s[high] - s[borders]) ** 2 / right - (s[high] - s[low]) ** 2 / (n[high] - n[low])
        )
        at = int(np.argmax(gain))
        return float(gain[at]), int(borders[at])

    leaves = {(0, len(counts)): best(0, len(counts))}
    chosen: list[int] = []
    while len(leaves) < n_bins:
        (low, high), (gain, border) = max(leaves.items(), key=lambda leaf: leaf[1][0])
        if gain <= 1e-12:
            break
        del leaves[(low, high)]
        chosen.append(border)
        leaves[(low, border)] = best(low, border)
        leaves[(border, high)] = best(border, high)
    return sorted(chosen)
