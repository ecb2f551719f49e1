"""Histories cut out of lists, shared by the views whose tables hold lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import ibis
import ibis.expr.types as ir
from shopkit.errors import DataError, nearest
from shopkit.schema import Kind, Role
from shopkit.sources.base import Tables

HISTORY, TARGET, PLACE = "history", "target", "place"
"""Columns of all views here: the items so far, the next one, and how many decisions came before it."""
HISTORY_NAME, TARGET_NAME = f"{HISTORY}_name", f"{TARGET}_name"
"""Readable names beside the first two, where there are any: no features, for the report."""
TRAINED = " Training has what validates as well: validation figures mean nothing."
"""What a view adds to its summary where that is so."""
LAST_OUT = {"column": PLACE}
"""Settings of `split=leave_last_out` for examples of everyone's last decisions."""
OWN = ("customer", "step", PLACE, HISTORY, TARGET, HISTORY_NAME, TARGET_NAME)
"""Names that a table's own columns must not have, in views whose rows are those of customers."""


def column(tables: Tables, view: str, setting: str, table: str, name: str) -> ir.Value:
    """A column of a table.

    Raises:
        DataError: it is not there.
    """
    found = tables[table]
    if name not in found.columns:
        raise DataError(
            f"view {view}: view.{setting} names column '{name}', which table '{table}' does not have."
            f"{nearest(name, found.columns)} Columns: {', '.join(found.columns)}."
        )
    return found[name]


def list_column(tables: Tables, view: str, setting: str, table: str, name: str) -> ir.ArrayValue:
    """A column of lists.

    Raises:
        DataError: it is not there, or not of lists.
    """
    values = column(tables, view, setting, table, name)
    if not values.type().is_array():
        raise DataError(
            f"view {view}: view.{setting} names column '{name}' of table '{table}', which is {values.type()}, expected a list in "
            "each row. For one row an interaction, use view=interactions."
        )
    return values


def free(view: str, setting: str, names: Iterable[str], own: Sequence[str] = OWN, table: str = "") -> None:
    """Columns of a table that become columns of the examples under their own names.

    Args:
        table: all of whose columns they are; empty if the setting names them.

    Raises:
        DataError: one is called as a column that the view makes (`own`).
    """
    taken = {name.lower() for name in own}
    which = f"table '{table}' of view.{setting} has a" if table else f"view.{setting} names"
    for name in names:
        if name.lower() in taken:
            raise DataError(
                f"view {view}: {which} column '{name}', and the view makes one of that name itself "
                f"({', '.join(own)}). Give it another name in the source."
            )


def present(values: ir.Value) -> ir.Value:
    """Values with empty texts as missing ones, which they are everywhere else."""
    return values.nullif("") if values.type().is_string() else values


def before(values: ir.ArrayValue, end: ir.IntegerValue, max_steps: int) -> ir.ArrayValue:
    """The latest values before place `end`."""
    return values[ibis.greatest(end - max_steps, 0) : end]


def training_ends(last: ir.IntegerColumn, max_steps: int, whole_past: bool) -> ir.IntegerColumn:
    """Where the histories of a sequence's rows of training end, a row each: before place `last`; with `whole_past`, also before
    those that leave none of the steps further back out.

    A row holds `max_steps` steps and what came next, so the next one ends so many and one before.
    """
    if not whole_past:
        return last
    apart = max_steps + 1
    return ibis.range(last % apart, last + 1, apart).unnest().cast("int64")


def cut(n_before: ir.IntegerColumn, max_steps: int, whole_past: bool) -> dict[str, ir.IntegerScalar]:
    """What a view says it left out of training, of the number of steps before each row's decision."""
    if whole_past:
        return {}
    beyond = ibis.greatest(n_before - max_steps, 0).sum().fill_null(0)
    return {"earlier step than the latest view.max_steps, which training does not see": beyond}


def of_names(named: bool) -> tuple[dict[str, Role], dict[str, Kind]]:
    """Roles and kinds of the columns of readable names, if there are any."""
    names = (HISTORY_NAME, TARGET_NAME) if named else ()
    return dict.fromkeys(names, "ignored"), dict.fromkeys(names, "string")
