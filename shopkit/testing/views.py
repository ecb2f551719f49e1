"""What every view promises. A view joins in by its `example`: settings and small raw tables."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import replace

import ibis
import ibis.expr.operations as ops
import numpy as np
import pandas as pd

from shopkit.sources.base import Tables
from shopkit.sources.dataframe import DataFrameSource
from shopkit.sources.settings import DataFrameSettings
from shopkit.testing.checks import refused
from shopkit.testing.sources import require_schema
from shopkit.testing.subject import NotApplicable, Subject
from shopkit.views.base import Examples, View
from shopkit.views.materialise import Materialised, materialise

Frames = Mapping[str, pd.DataFrame]


def _example(subject: Subject) -> tuple[View, Frames]:
    example = subject.target().example(subject.settings())
    if example is None:
        raise NotApplicable("it has no `example`: nothing of it was tried; give it one, to be examined")
    view, frames = example
    return view, frames


def _tables(frames: Frames) -> Tables:
    return DataFrameSource(DataFrameSettings(), dict(frames)).open()


def _materialised(subject: Subject, view: View, frames: Frames) -> tuple[Examples, Materialised, pd.DataFrame]:
    tables = _tables(frames)
    examples, path = view.examples(tables), subject.folder / "examples.parquet"
    made = materialise(examples, {}, path, tables.time_zone)
    return examples, made, pd.read_parquet(path)


def check_views_examples_are_as_stated(subject: Subject) -> None:
    """Roles, kinds, units and cut-off name columns of the examples, exactly one is the target, and kinds are what is found."""
    examples, made, rows = _materialised(subject, *_example(subject))
    columns = examples.table.columns
    for what in ("roles", "kinds", "units"):
        odd = sorted(set(getattr(examples, what)) - set(columns))
        subject.require(not odd, f"`{what}` names columns that the examples do not have: {', '.join(odd)}.")
    targets = [name for name, role in examples.roles.items() if role == "target"]
    subject.require(len(targets) == 1, f"`roles` must name exactly one target; it names {targets}.")
    subject.require(bool(made.schema.of_role("feature")), "no column of the examples is a feature.")
    for name, kind in examples.kinds.items():
        subject.require(
            made.schema[name].kind == kind, f"`kinds` says '{name}' is {kind}, but it became {made.schema[name].kind}."
        )
    if examples.cutoff is not None:
        subject.require(examples.cutoff in columns, f"`cutoff` names '{examples.cutoff}', which the examples do not have.")
        dtype = examples.table[examples.cutoff].type()
        subject.require(dtype.is_temporal(), f"`cutoff` names '{examples.cutoff}', which is {dtype}, not a time.")
    require_schema(subject, "the examples", examples.table)
    subject.require(len(rows) == made.n_rows > 0, "the example tables give no examples.")
    subject.require(bool(examples.summary.strip()), "`summary` is empty; the report says there what one row is.")


def check_views_are_lazy(subject: Subject) -> None:
    """The examples are one expression over the source's tables: not rows in memory."""
    view, frames = _example(subject)
    table = view.examples(_tables(frames)).table
    subject.require(
        isinstance(table, ibis.expr.types.Table), f"`examples.table` must be an ibis table; it is {type(table).__name__}."
    )
    physical = table.op().find(ops.PhysicalTable)
    in_memory = table.op().find(ops.InMemoryTable)
    subject.require(
        len(physical) > len(in_memory), "`examples.table` is not made of the source's tables: its rows are in memory."
    )


def check_views_compile_for_spark(subject: Subject) -> None:
    """The expression compiles for Spark as it does for DuckDB, so that the same view runs on both."""
    view, frames = _example(subject)
    table = view.examples(_tables(frames)).table
    if importlib.util.find_spec("pyspark") is None:
        raise NotApplicable("pyspark is not installed")
    importlib.import_module("ibis.backends.pyspark").Backend.register_options()
    ibis.to_sql(table, dialect="pyspark")


def check_views_are_deterministic(subject: Subject) -> None:
    """The same tables give the same examples, to the byte."""
    view, frames = _example(subject)
    path = subject.folder / "examples.parquet"
    files = []
    for _ in range(2):
        _materialised(subject, view, frames)
        files.append(path.read_bytes())
    subject.require(files[0] == files[1], "the same tables must give the same examples, but the two files differ.")


def check_views_see_nothing_past_the_cutoff(subject: Subject) -> None:
    """Rows at or past a cut-off may change as they will: features as of that cut-off and of earlier ones stay the same.

    Every value of the future rows is changed but their times. (The label may change, and with it whether there is one.)
    """
    view, frames = _example(subject)
    examples, made, before = _materialised(subject, view, frames)
    if examples.cutoff is None:
        raise NotApplicable("its example has no cut-off")
    cutoff = int(np.quantile(before[examples.cutoff].unique(), 0.5, method="lower"))
    planted = {name: _planted(frame, pd.Timestamp(cutoff, unit="s"), subject.rng) for name, frame in frames.items()}
    n_planted = sum(int((frame.ne(frames[name]) & frame.notna()).to_numpy().sum()) for name, frame in planted.items())
    subject.require(n_planted > 0, "no row of its example's tables lies past the middle cut-off, so nothing can be tried.")
    after = _materialised(subject, view, planted)[2]
    place = [column.name for role in ("key", "time") for column in made.schema.of_role(role)]
    known = [rows[rows[examples.cutoff] <= cutoff].set_index(place).sort_index() for rows in (before, after)]
    common = known[0].index.intersection(known[1].index)
    subject.require(len(common) > 0, "no example as of the middle cut-off is left when later rows change.")
    for column in made.schema.of_role("feature"):
        subject.require(
            column.name in after.columns,
            f"the feature '{column.name}' is gone when rows past the cut-off change: it knows of them.",
        )
        law = f"rows at or past the cut-off must not change the feature '{column.name}'"
        earlier, later = (rows.loc[common, column.name] for rows in known)
        if column.sequence:
            earlier, later = (rows.map(lambda steps: str(list(steps))) for rows in (earlier, later))
        subject.require_equal(later.to_numpy(), earlier.to_numpy(), law)


def _planted(frame: pd.DataFrame, cutoff: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """The table with all but the times of its rows from the cut-off on shuffled, and amounts a thousandfold."""
    times = frame.select_dtypes(["datetime", "datetimetz"])
    if times.empty:
        return frame
    future = np.flatnonzero((times.min(axis=1) >= cutoff).to_numpy())
    planted = frame.copy()
    for name in frame.columns.difference(times.columns):
        values = frame[name].to_numpy()[rng.permutation(future)]
        planted.loc[frame.index[future], name] = values * 1000 if values.dtype.kind == "f" else values
    return planted


def check_views_refuse_empty_tables(subject: Subject) -> None:
    """Tables without rows are refused with a clear message, when the view is made or its examples are."""
    view, frames = _example(subject)
    tables = _tables(frames)
    empty = replace(tables, tables={name: table.limit(0) for name, table in tables.items()})

    def examples() -> None:
        materialise(view.examples(empty), {}, subject.folder / "examples.parquet")

    refused(subject, examples, "a view of tables without rows")
