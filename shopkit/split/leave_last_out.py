"""The latest decision of everyone."""

from __future__ import annotations

import numpy as np

from shopkit.errors import ConfigError, DataError, nearest
from shopkit.split.base import TEST, TRAIN, VALIDATION, Rows, Split, whole
from shopkit.split.settings import LeaveLastOutSplitSettings


class LeaveLastOutSplit(Split):
    """Of each group (customer) the last decision is tested, the one before validates, and all earlier ones train.

    Rows of a group at the same place are one decision, and stay together. A group with fewer than three decisions trains only.
    """

    settings: LeaveLastOutSplitSettings

    @property
    def not_features(self) -> tuple[str, ...]:
        return (self.settings.column,) if self.settings.column else ()

    def parts(self, rows: Rows) -> np.ndarray:
        column = self.settings.column
        if column and column not in rows.schema:
            raise ConfigError(
                f"split.column: the examples have no column '{column}'.{nearest(column, rows.schema.names)} "
                f"Columns: {', '.join(rows.schema.names)}."
            )
        customer = rows.schema.the("group") or next(iter(rows.schema.of_role("key")), None)
        if customer is None:
            raise DataError("split leave_last_out: no column says whose a row is. Name it with view.group.")
        groups = rows.codes(customer.name)
        advice = "Name it with view.time, or what orders a group's rows with split.column."
        order = rows.read(column or rows.the("time", "leave_last_out", advice).name)
        if order.dtype == object:
            raise ConfigError(f"split.column: '{column}' is text, and rows are ordered by a number or a time.")
        # Decisions are rows of one group and place, by group, then by place: how many of its group come after each, and how many
        # there are.
        by_place = np.lexsort((order, groups))
        groups, order = groups[by_place], order[by_place]
        begins = np.append(True, (groups[1:] != groups[:-1]) | (order[1:] != order[:-1]))[: len(groups)]
        group_of = groups[begins]
        counts = np.bincount(group_of)
        after = np.cumsum(counts)[group_of] - 1 - np.arange(len(group_of))
        held = counts[group_of] >= 3
        of_decision = whole(len(group_of), TRAIN)
        of_decision[held & (after == 1)] = VALIDATION
        of_decision[held & (after == 0)] = TEST
        parts = whole(rows.n_rows, TRAIN)
        parts[by_place] = of_decision[np.cumsum(begins) - 1]
        return parts
