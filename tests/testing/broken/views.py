from __future__ import annotations

from dataclasses import replace

import ibis

from shopkit.views.purchase_within import PurchaseWithinView
from shopkit.views.settings import PurchaseWithinSettings, TableSettings
from shopkit.views.table import TableView
from tests.testing.broken.base import broken


class OddRole(TableView):
    """Gives a role to a column that is not there."""

    def examples(self, tables):
        examples = super().examples(tables)
        return replace(examples, roles={**examples.roles, "customer": "key"})


class Eager(TableView):
    """Holds its rows in memory."""

    def examples(self, tables):
        examples = super().examples(tables)
        return replace(examples, table=ibis.memtable(examples.table.to_pyarrow()))


class OnlyDuckDB(TableView):
    """Collects in order, which Spark cannot say."""

    def examples(self, tables):
        examples = super().examples(tables)
        table = examples.table
        pages = table.group_by("channel").aggregate(pages=table.pages.collect(order_by=table["at"]), target=table.target.max())
        return replace(examples, table=pages, roles={"target": "target"})


class Draws(TableView):
    """Adds a random column."""

    def examples(self, tables):
        examples = super().examples(tables)
        return replace(examples, table=examples.table.mutate(luck=ibis.random()))


class SeesTheFuture(PurchaseWithinView):
    """A feature sums up the whole history, cut-off or not."""

    def examples(self, tables):
        examples = super().examples(tables)
        lines = tables["transactions"]
        spent = lines.group_by("household_id").aggregate(lifetime=lines.sales_value.sum().round(2))
        joined = examples.table.left_join(spent, "household_id")
        return replace(examples, table=joined.select(*examples.table.columns, "lifetime"))


class Stumbles(TableView):
    """Empty tables are an IndexError."""

    def examples(self, tables):
        tables["data"].limit(1).to_pyarrow().to_pylist()[0]
        return super().examples(tables)


BROKEN = {
    check: broken("views", target, config, message)
    for check, target, config, message in (
        (
            "check_views_examples_are_as_stated",
            OddRole,
            TableSettings,
            r"role is given for column 'customer', which the examples do not",
        ),
        ("check_views_are_lazy", Eager, TableSettings, r"is not made of the source's tables: its rows are in memory"),
        ("check_views_compile_for_spark", OnlyDuckDB, TableSettings, r"compiles for Spark .* Instead it raised"),
        ("check_views_are_deterministic", Draws, TableSettings, r"the two files differ"),
        (
            "check_views_see_nothing_past_the_cutoff",
            SeesTheFuture,
            PurchaseWithinSettings,
            r"rows at or past the cut-off must not change the feature 'lifetime'",
        ),
        ("check_views_refuse_empty_tables", Stumbles, TableSettings, r"must be refused with a ShopkitError .* raised IndexError"),
    )
}
