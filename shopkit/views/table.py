"""Each row of one table is an example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import ibis.expr.types as ir

from shopkit.errors import ConfigError, DataError, nearest
from shopkit.schema import Role
from shopkit.sources.base import Tables
from shopkit.views.base import Examples, View
from shopkit.views.settings import TableSettings

if TYPE_CHECKING:
    import pandas as pd


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
        for setting in ("columns", "exclude"):
            for name in getattr(settings, setting):
                self._check(table, name, setting)
        if settings.group in settings.keys[1:]:
            raise ConfigError(
                f"view.group '{settings.group}' is one of several keys, {', '.join(settings.keys)}; of these the first is the "
                f"group. Name '{settings.group}' first in view.keys."
            )
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
        return Examples(
            table=table.select(*roles, *features, *extra),
            roles={**roles, **dict.fromkeys(extra, "ignored")},
            units={name: unit for name, unit in tables.units.items() if name in table.columns},
            cutoff=settings.cutoff or None,
            summary=f"Each row of {settings.table} in {tables.origin}; the target is {settings.target}.",
        )

    @classmethod
    def example(cls, settings: TableSettings) -> tuple[Self, Mapping[str, pd.DataFrame]]:
        from shopkit.views.example import visits

        return cls(replace(settings, time="at")), {settings.table: visits()}

    def _check(self, table: ir.Table, name: str, role: str) -> None:
        if name not in table.columns:
            raise DataError(
                f"view table: view.{role} names column '{name}', which table '{self.settings.table}' does not have."
                f"{nearest(name, table.columns)} Columns: {', '.join(table.columns)}."
            )
