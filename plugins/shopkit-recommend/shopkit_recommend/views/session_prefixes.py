"""Sessions to train on, and given beginnings of sessions to be tested on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import ibis
import ibis.expr.types as ir
import numpy as np
from shopkit.errors import DataError
from shopkit.sources.base import Tables
from shopkit.views.base import Examples, OnlySplit, View

from shopkit_recommend.views.lists import HISTORY, PLACE, TARGET, TRAINED, before, column, cut, list_column
from shopkit_recommend.views.settings import SessionPrefixesSettings

if TYPE_CHECKING:
    import pandas as pd

NAME = "session_prefixes"
MILLION = 1_000_000


class SessionPrefixesView(View):
    """A training session is one row: all but its last item, and that. Of a validation session every beginning is a row, as in the
    test. The column `part` says which is which, for `split=given`."""

    settings: SessionPrefixesSettings

    def examples(self, tables: Tables) -> Examples:
        settings = self.settings
        items = list_column(tables, NAME, "items", settings.train, settings.items)
        number = column(tables, NAME, "session", settings.train, settings.session)
        prefix = list_column(tables, NAME, "prefix", settings.test, settings.prefix)
        target = column(tables, NAME, "target", settings.test, settings.target)
        if not (number.type().is_numeric() or number.type().is_temporal()):
            raise DataError(
                f"view {NAME}: view.session column '{settings.session}' is {number.type()}, and sessions stand in order "
                "of their numbers or times: of texts, '10' would come before '2'. Cast it in the source, or say what it is with "
                "source.types where the source has that setting."
            )
        every = tables[settings.train].select(number=number, items=items)
        order = ibis.window(order_by=every.number)
        placed = every.mutate(
            session=ibis.row_number().over(order).cast("int64"), n=every["items"].length().fill_null(0).cast("int64")
        )
        # In whole numbers, so that every engine draws the line at the same session.
        millionths = round((1 - settings.validation_fraction) * MILLION)
        placed = placed.mutate(validates=placed.session * MILLION >= every.count() * millionths)
        sessions = placed.filter(placed.n > 0)
        trained = sessions if settings.train_on_validation else sessions.filter(~sessions.validates)
        train = self._rows(trained, "train", trained.n - 1)
        validating = sessions.filter(sessions.validates & (sessions.n > 1))
        spread = validating.mutate(end=ibis.range(1, validating.n).unnest().cast("int64"))
        validation = self._rows(spread, "validation", spread.end)
        tests = tables[settings.test].select(prefix=prefix, target=target)
        tests = tests.mutate(row=ibis.row_number().over(ibis.window(order_by=[tests.prefix, tests.target])).cast("int64"))
        test = tests.select(
            session=-1 - tests.row,
            part=ibis.literal("test"),
            place=tests.prefix.length().cast("int64"),
            **{HISTORY: before(tests.prefix, tests.prefix.length().cast("int64"), settings.max_steps), TARGET: tests.target},
        )
        # Whole number ids of both tables may differ in width.
        kind = "int64" if items.type().value_type.is_integer() and target.type().is_integer() else "string"
        union = ibis.union(*(_as(rows, kind) for rows in (train, validation, test)))
        order = ibis.window(order_by=[union.part != "train", union.session, union.place])
        return Examples(
            table=union.mutate(row=ibis.row_number().over(order).cast("int64")),
            roles={"row": "key", "session": "group", "part": "ignored", PLACE: "decision", TARGET: "target"},
            kinds={HISTORY: "string", TARGET: "string"},
            left_out={"session without items": placed.filter(placed.n == 0).count(), **cut(trained.n - 1, settings.max_steps)},
            split=OnlySplit("given", {"column": "part"}),
            summary=f"Each row is a place in a session of {settings.train}, or a beginning of {settings.test}; the target is the "
            f"item there, the history what came before it.{TRAINED if self.settings.train_on_validation else ''}",
        )

    def _rows(self, sessions: ir.Table, part: str, end: ir.IntegerValue) -> ir.Table:
        return sessions.select(
            "session",
            part=ibis.literal(part),
            **{PLACE: end, HISTORY: before(sessions["items"], end, self.settings.max_steps), TARGET: sessions["items"][end]},
        )

    @classmethod
    def example(cls, settings: SessionPrefixesSettings) -> tuple[Self, Mapping[str, pd.DataFrame]]:
        import pandas as pd

        rng = np.random.default_rng(0)
        sessions = [rng.integers(1, 15, length).tolist() for length in rng.integers(1, 8, 100)]
        tests = [rng.integers(1, 15, length).tolist() for length in rng.integers(1, 5, 40)]
        return cls(settings), {
            settings.train: pd.DataFrame({settings.session: range(100), settings.items: sessions}),
            settings.test: pd.DataFrame({settings.prefix: tests, settings.target: rng.integers(1, 15, 40)}),
        }


def _as(rows: ir.Table, kind: str) -> ir.Table:
    return rows.mutate(**{HISTORY: rows[HISTORY].cast(f"array<{kind}>"), TARGET: rows[TARGET].cast(kind)})
