"""The k-core of interactions (Seidman: Network structure and minimum degree, 1983)."""

from __future__ import annotations

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir
import pyarrow as pa


def outside_core(pairs: ir.Table, least: Mapping[str, int]) -> ir.BooleanColumn | None:
    """Which rows are outside the core: those whose customer or item has too few rows, once all such rows are gone. None where
    nothing is asked.

    It is looked for in rounds, each one query in the engine; the answer names the few that fell out, so it stays as short after
    many rounds as after one.

    Args:
        pairs: one row an interaction, without missing values in the columns of `least`.
        least: column → rows that each of its values must have.
    """
    asked = {column: number for column, number in least.items() if number > 1}
    if not asked:
        return None
    gone: dict[str, pa.Table] = {}
    outside, stable = ibis.literal(False), 0
    # Each column sees what the other left out; the core is found when no column leaves out more.
    while stable < len(asked):
        for column, number in asked.items():
            counts = pairs.filter(~outside).group_by(column).aggregate(n_rows=ibis._.count())
            few = counts.filter(counts.n_rows < number).select(column).to_pyarrow()
            stable = 0 if len(few) else stable + 1
            if len(few):
                gone[column] = pa.concat_tables([gone[column], few]) if column in gone else few
                outside = _among(pairs, gone)
            if stable == len(asked):
                break
    return outside


def _among(pairs: ir.Table, gone: Mapping[str, pa.Table]) -> ir.BooleanColumn:
    among = [pairs[column].isin(ibis.memtable(values)[column]) for column, values in gone.items()]
    return ibis.or_(*among)
