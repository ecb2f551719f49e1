"""Each row of one table is an example."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import ibis
import ibis.expr.types as ir

from shopkit.errors import ConfigError, DataError, nearest
from shopkit.schema import Role
from shopkit.sources.base import Tables
from shopkit.views.base import Examples, View
from shopkit.views.settings import TableSettings

if TYPE_CHECKING:
    import pandas as pd

COUNTED = "shopkit_counted"
"""A column of counts while rows are chosen."""


class TableView(View):
    """Rows as they are; the settings say what their columns are for."""

    settings: TableSettings

    def examples(self, tables: Tables) -> Examples:
        settings = self.settings
        table = tables[settings.table]
        roles: dict[str, Role] = {}
        for role, names in (
            ("key", settings.keys),
            ("group", [settings.group]),
            ("time", [settings.time]),
            ("weight", [settings.weight]),
            ("target", [settings.target]),
        ):
            for name in filter(None, names):
                self._check(table, name, role)
                roles.setdefault(name, role)  # type: ignore[arg-type]  # a key may be the group as well
        for setting in ("columns", "exclude", "required", "unique"):
            for name in getattr(settings, setting):
                self._check(table, name, setting)
        if settings.group in settings.keys[1:]:
            raise ConfigError(
                f"view.group '{settings.group}' is one of several keys, {', '.join(settings.keys)}; of these the first is the "
                f"group. Name '{settings.group}' first in view.keys."
            )
        if roles.get(settings.group) == "group" and settings.group in settings.columns:
            taken = {name.lower() for name in table.columns}
            own = next(name for name in _numbered(f"{settings.group}_group") if name.lower() not in taken)
            table = table.mutate(**{own: table[settings.group]})
            del roles[settings.group]
            roles[own] = "group"
        features = [name for name in settings.columns or table.columns if name not in roles and name not in settings.exclude]
        if settings.cutoff:
            self._check(table, settings.cutoff, "cutoff")
            if not table[settings.cutoff].type().is_temporal():
                raise DataError(
                    f"view table: view.cutoff column '{settings.cutoff}' is {table[settings.cutoff].type()}, expected a "
                    "timestamp. Declare it in source.types, or cast it in the source."
                )
        extra = [settings.cutoff] if settings.cutoff and settings.cutoff not in roles and settings.cutoff not in features else []
        if not features:
            raise DataError(f"view table: table '{settings.table}' has no columns left for features.")
        rows, left_out = self._kept(table)
        return Examples(
            table=rows.select(*roles, *features, *extra),
            roles={**roles, **dict.fromkeys(extra, "ignored")},
            units={name: unit for name, unit in tables.units.items() if name in table.columns},
            left_out=left_out,
            cutoff=settings.cutoff or None,
            summary=f"Each row of {settings.table} in {tables.origin}; the target is {settings.target}.",
        )

    @classmethod
    def example(cls, settings: TableSettings) -> tuple[Self, Mapping[str, pd.DataFrame]]:
        from shopkit.views.example import visits

        return cls(replace(settings, time="at")), {settings.table: visits()}

    def _kept(self, table: ir.Table) -> tuple[ir.Table, dict[str, ir.IntegerScalar]]:
        """The rows that `required`, `unique` and `min_class_rows` leave, in that order, and how many each of them leaves out."""
        settings = self.settings
        left_out: dict[str, ir.IntegerScalar] = {}
        for name in settings.required:
            said = _says_something(table[name])
            left_out[f"{name} is missing"] = table.filter(~said).count()
            table = table.filter(said)
        if unique := list(settings.unique):
            # Which of the repeats is kept must not depend on the order in which an engine happens to read them.
            others = [table[name] for name in table.columns if name not in unique]
            place = ibis.row_number().over(ibis.window(group_by=unique, order_by=others))
            numbered = table.mutate(**{COUNTED: place})
            left_out[f"repeats another row in {', '.join(unique)}"] = numbered.filter(numbered[COUNTED] > 0).count()
            table = numbered.filter(numbered[COUNTED] == 0).drop(COUNTED)
        if settings.min_class_rows:
            target = table[settings.target]
            sized = table.mutate(**{COUNTED: target.count().over(ibis.window(group_by=settings.target))})
            small = target.notnull() & (sized[COUNTED] < settings.min_class_rows)
            left_out[f"{settings.target} has fewer than {settings.min_class_rows} rows"] = sized.filter(small).count()
            table = sized.filter(~small).drop(COUNTED)
        if (unique or settings.min_class_rows) and not settings.keys:
            # Rows without a key are numbered as they come, and windows give them in any order.
            table = table.order_by(table.columns)
        return table, left_out

    def _check(self, table: ir.Table, name: str, role: str) -> None:
        if name not in table.columns:
            setting = "keys" if role == "key" else role
            raise DataError(
                f"view table: view.{setting} names column '{name}', which table '{self.settings.table}' does not have."
                f"{nearest(name, table.columns)} Columns: {', '.join(table.columns)}."
            )


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in itertools.count(1))


def _says_something(column: ir.Column) -> ir.BooleanColumn:
    if column.type().is_string():
        return column.notnull() & (column.strip() != "")
    # Not every Parquet file writes NULL for NaN.
    return (column.nullif(math.nan) if column.type().is_floating() else column).notnull()
