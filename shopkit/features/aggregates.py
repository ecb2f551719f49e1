"""Questions that extractors ask the engine: aggregates over the training part, missing values left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np

from shopkit.features.base import FitContext
from shopkit.schema import MISSING_TIME


def present(column: ir.Column) -> ir.Column:
    """The column with NULL for every kind of missing value, numbers as float64."""
    if column.type().is_floating():
        # NaN is a value to SQL: an average over it would be NaN.
        return column.isnan().ifelse(ibis.null("float64"), column.cast("float64"))
    if column.type().is_string():
        return column.nullif("")
    return column.nullif(MISSING_TIME)


def answers(context: FitContext, **questions: ir.Scalar) -> dict[str, Any]:
    """Several aggregates of the training part in one query."""
    row = context.table.aggregate(**questions).to_pyarrow().to_pylist()[0]
    return dict(row)


def n_missing(context: FitContext, column: str) -> int:
    return int(answers(context, n=context.table.count() - present(context.table[column]).count())["n"])


def mean_and_scale(values: ir.Column, context: FitContext) -> tuple[float, float]:
    """Mean and population standard deviation; 0 and 1 where there is nothing to scale by."""
    found = answers(context, mean=values.mean(), std=values.std(how="pop"))
    mean, std = found["mean"] or 0.0, found["std"] or 0.0
    # Rounding leaves a constant column a spread of a few ulps, which must not be blown up to 1.
    return float(mean), float(std) if std > 1e-9 * max(abs(mean), 1e-30) else 1.0


def quantiles(values: ir.Column, levels: Sequence[float], context: FitContext) -> np.ndarray:
    """Linearly interpolated quantiles, (len(levels),) float64; empty if every value is missing."""
    found = answers(context, q=values.quantile(list(levels)))["q"]
    return np.array([] if found is None else found, np.float64)


def counts(column: str, context: FitContext, min_count: int, max_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of a string column by falling count (then by name), with their counts; "" is one of them where it occurs."""
    table = context.table.select(value=context.table[column])
    grouped = table.group_by("value").aggregate(n=table.count())
    found = grouped.filter(grouped.n >= min_count).order_by([ibis.desc("n"), "value"]).limit(max_size).to_pyarrow()
    return np.array(found["value"].to_pylist(), object), np.array(found["n"].to_pylist(), np.int64)
