"""A list of items in each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import ibis
import ibis.expr.types as ir
import numpy as np
from shopkit.schema import Kind, Role
from shopkit.sources.base import Tables
from shopkit.views.base import Examples, OnlySplit, View

from shopkit_recommend.views.lists import (
    HISTORY,
    HISTORY_NAME,
    LAST_OUT,
    OWN,
    PLACE,
    TARGET,
    TARGET_NAME,
    TRAINED,
    before,
    column,
    cut,
    free,
    list_column,
    of_names,
    training_ends,
)
from shopkit_recommend.views.settings import ItemSequencesSettings

if TYPE_CHECKING:
    import pandas as pd

NAME = "item_sequences"
N_ITEMS, END = "shopkit_n_items", "shopkit_end"


class ItemSequencesView(View):
    """Of a sequence three decisions: its last item, the one before, and the one before that, which trains on all that is left;
    with `train_on_validation`, on the decision that validates as well. With `whole_past`, a row of training for each stretch of
    `max_steps`. A sequence of one or two items gives its last one, to train on; one without items is left out."""

    settings: ItemSequencesSettings

    def examples(self, tables: Tables) -> Examples:
        settings = self.settings
        table = tables[settings.table]
        free(NAME, "beside", settings.beside)
        free(NAME, "profile", settings.profile, (*OWN, *settings.beside))
        lists = {HISTORY: list_column(tables, NAME, "items", settings.table, settings.items)}
        if settings.item_names:
            names = list_column(tables, NAME, "item_names", settings.table, settings.item_names)
            lists[HISTORY_NAME] = names.cast("array<string>")
        lists |= {name: list_column(tables, NAME, "beside", settings.table, name) for name in settings.beside}
        customer = column(tables, NAME, "customer", settings.table, settings.customer) if settings.customer else ibis.row_number()
        profile = {name: column(tables, NAME, "profile", settings.table, name) for name in settings.profile}
        n_items = lists[HISTORY].length().fill_null(0).cast("int64")
        rows = table.select(customer=customer, **{N_ITEMS: n_items}, **lists, **profile)
        any_items, long = rows.filter(rows[N_ITEMS] >= 1), rows.filter(rows[N_ITEMS] >= 3)
        trained = 2 if settings.train_on_validation else 3
        behind = any_items[N_ITEMS] - ibis.ifelse(any_items[N_ITEMS] >= 3, trained, 1)

        def decisions(chosen: ir.Table, end: ir.IntegerColumn, place: ir.IntegerColumn) -> ir.Table:
            return chosen.select(
                "customer",
                step=place,
                **{PLACE: place},
                **{name: before(chosen[name], end, settings.max_steps) for name in lists},
                **{TARGET: chosen[HISTORY][end]},
                **({TARGET_NAME: chosen[HISTORY_NAME][end]} if settings.item_names else {}),
                **{name: chosen[name] for name in profile},
            )

        held = [(any_items, any_items[N_ITEMS] - 1), (long, long[N_ITEMS] - 2)]
        ends = long.mutate(**{END: training_ends(long[N_ITEMS] - trained, settings.max_steps, settings.whole_past)})
        # What trains on the decision that validates has the place before it all the same: by places the split cuts.
        places = ibis.greatest(ends[END] - (3 - trained), 0)
        table = ibis.union(*(decisions(chosen, end, end) for chosen, end in held), decisions(ends, ends[END], places))
        of_roles, of_kinds = of_names(bool(settings.item_names))
        roles: dict[str, Role] = {"customer": "key", "step": "key", PLACE: "decision", TARGET: "target", **of_roles}
        kinds: dict[str, Kind] = {HISTORY: "string", TARGET: "string", **of_kinds}
        return Examples(
            table=table,
            roles=roles,
            kinds=kinds,
            left_out={
                "sequence without items": rows.filter(rows[N_ITEMS] == 0).count(),
                **cut(behind, settings.max_steps, settings.whole_past),
            },
            split=OnlySplit("leave_last_out", LAST_OUT),
            summary=f"Each row is a place in a sequence of {settings.table}; the target is the item there, the history what came "
            f"before it.{TRAINED if settings.train_on_validation else ''}",
        )

    @classmethod
    def example(cls, settings: ItemSequencesSettings) -> tuple[Self, Mapping[str, pd.DataFrame]]:
        import pandas as pd

        rng = np.random.default_rng(0)
        rows = [rng.integers(1, 20, length).tolist() for length in rng.integers(0, 12, 120)]
        return cls(settings), {settings.table: pd.DataFrame({settings.items: rows})}
