"""Tables of items and of customers beside the interactions."""

from __future__ import annotations

import ibis.expr.types as ir
from ibis.common.exceptions import IbisTypeError
from shopkit.errors import DataError


def joined(view: str, setting: str, left: ir.Table, right: ir.Table, key: str, name: str) -> ir.Table:
    """All rows of the left table with what the right one says of them.

    Args:
        view: for messages.
        setting: for messages, with the key as the user named it.
        key: the column in both.
        name: of the right table.

    Raises:
        DataError: keys of two types, or one that the right table has more than once.
    """
    known = right.filter(right[key].notnull())
    repeated = known.group_by(key).aggregate(n_rows=lambda rows: rows.count())
    found = repeated.filter(repeated.n_rows > 1).order_by(key).limit(1).to_pyarrow().to_pylist()
    if found:
        raise DataError(
            f"view {view}: {setting} has the value {found[0][key]!r} in {found[0]['n_rows']} rows of table '{name}', so "
            "every interaction with it would count as often. Keep one row of each in the source."
        )
    try:
        return left.left_join(known, key).drop(f"{key}_right")
    except IbisTypeError:
        raise DataError(
            f"view {view}: {setting} is {right[key].type()} in table '{name}', and {left[key].type()} in the "
            "interactions. Cast one of them in the source."
        ) from None
