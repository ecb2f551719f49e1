"""Sessions to train on, and given beginnings of sessions to be tested on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import numpy as np
from shopkit.errors import DataError
from shopkit.sources.base import Tables
from shopkit.views.base import Examples, OnlySplit, View

from shopkit_recommend.views.lists import (
    HISTORY,
    PLACE,
    TARGET,
    TRAINED,
    before,
    column,
    cut,
    free,
    list_column,
    training_ends,
)
from shopkit_recommend.views.settings import SessionPrefixesSettings

if TYPE_CHECKING:
    import pandas as pd

NAME = "session_prefixes"
MILLION = 1_000_000
OWN = ("row", "session", "part", PLACE, HISTORY, TARGET)
"""Names that lists beside the items must not have."""


class SessionPrefixesView(View):
    """A training session is one row: all but its last item, and that; with `whole_past`, one for each stretch of `max_steps`.
    Of a validation session every beginning is a row, as in the test. The column `part` says which is which, for `split=given`."""

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
        free(NAME, "beside", settings.beside, OWN)
        lists = {HISTORY: (items, prefix)} | {
            name: tuple(list_column(tables, NAME, "beside", table, name) for table in (settings.train, settings.test))
            for name in settings.beside
        }
        # Of the same, both tables may have columns of other types, as whole numbers of another width.
        kinds = {name: _common(*(values.type().value_type for values in both)) for name, both in lists.items()}
        kinds[HISTORY] = _common(kinds[HISTORY], target.type())
        train_lists, test_lists = ({name: both[at].cast(dt.Array(kinds[name])) for name, both in lists.items()} for at in (0, 1))
        every = tables[settings.train].select(shopkit_number=number, **train_lists)
        order = ibis.window(order_by=every.shopkit_number)
        placed = every.mutate(
            session=ibis.row_number().over(order).cast("int64"),
            shopkit_n=every[HISTORY].length().fill_null(0).cast("int64"),
        )
        # In whole numbers, so that every engine draws the line at the same session.
        millionths = round((1 - settings.validation_fraction) * MILLION)
        placed = placed.mutate(shopkit_validates=placed.session * MILLION >= every.count() * millionths)
        sessions = placed.filter(placed.shopkit_n > 0)
        trained = sessions if settings.train_on_validation else sessions.filter(~sessions.shopkit_validates)
        ends = training_ends(trained.shopkit_n - 1, settings.max_steps, settings.whole_past)
        validating = sessions.filter(sessions.shopkit_validates & (sessions.shopkit_n > 1))
        beginnings = ibis.range(1, validating.shopkit_n).unnest().cast("int64")
        tests = tables[settings.test].select(**test_lists, **{TARGET: target.cast(kinds[HISTORY])})
        order = ibis.window(order_by=[tests[HISTORY], tests[TARGET], *(tests[name] for name in settings.beside)])
        tests = tests.mutate(
            session=-1 - ibis.row_number().over(order).cast("int64"), shopkit_end=tests[HISTORY].length().cast("int64")
        )
        union = ibis.union(
            self._rows(_with_targets(trained.mutate(shopkit_end=ends)), "train"),
            self._rows(_with_targets(validating.mutate(shopkit_end=beginnings)), "validation"),
            self._rows(tests, "test"),
        )
        order = ibis.window(order_by=[union.part != "train", union.session, union.place])
        return Examples(
            table=union.mutate(row=ibis.row_number().over(order).cast("int64")),
            roles={"row": "key", "session": "group", "part": "ignored", PLACE: "decision", TARGET: "target"},
            kinds={HISTORY: "string", TARGET: "string"},
            left_out={
                "session without items": placed.filter(placed.shopkit_n == 0).count(),
                **cut(trained.shopkit_n - 1, settings.max_steps, settings.whole_past),
            },
            split=OnlySplit("given", {"column": "part"}),
            summary=f"Each row is a place in a session of {settings.train}, or a beginning of {settings.test}; the target is the "
            f"item there, the history what came before it.{TRAINED if self.settings.train_on_validation else ''}",
        )

    def _rows(self, sessions: ir.Table, part: str) -> ir.Table:
        end, names = sessions.shopkit_end, (HISTORY, *self.settings.beside)
        lists = {name: before(sessions[name], end, self.settings.max_steps) for name in names}
        return sessions.select("session", part=ibis.literal(part), **{PLACE: end, TARGET: sessions[TARGET]}, **lists)

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


def _with_targets(sessions: ir.Table) -> ir.Table:
    return sessions.mutate(**{TARGET: sessions[HISTORY][sessions.shopkit_end]})


def _common(*kinds: dt.DataType) -> dt.DataType:
    """The type that holds the values of all of them."""
    if all(kind.is_integer() for kind in kinds):
        return dt.int64
    if all(kind.is_numeric() for kind in kinds):
        return dt.float64
    return kinds[0] if len(set(kinds)) == 1 else dt.string
