"""What to do with a table, and why: task, roles of the columns, types, columns to leave out, split."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from shopkit.errors import DataError
from shopkit.sources.engine import quote
from shopkit.starter.look import TABLE, Look, Seen

MANY_CLASSES = 100
FEW_WHOLE = 10
"""A target of whole numbers with at most so many values is taken for classes."""
FEW_VALUES = 50
"""A column with at most so many values is looked at whether each of them says the target."""
ENOUGH_ROWS = 50
LONG_TAIL = 1.5
"""A target whose mean is so many times its median is learnt on a log scale."""

_ID = re.compile(r"(^|_)(id|uuid|guid|key|number|no|nr)$|(?<=[a-z])(Id|ID|Key|No|Number)$")
_WHO = re.compile(r"customer|client|user|household|member|visitor|account|session|person|shopper|buyer", re.IGNORECASE)
_CODE = re.compile(
    r"code|type|zip|postal|plz|region|categor|class|segment|store|branch|browser|system|channel|status|gender|country|state|brand",
    re.IGNORECASE,
)


@dataclass
class Proposal:
    """The choices, each with its reason."""

    task: str = ""
    task_why: str = ""
    target_scale: str = ""
    keys: dict[str, str] = field(default_factory=dict)
    time: str = ""
    time_why: str = ""
    group: str = ""
    group_why: str = ""
    splits: list[tuple[str, str]] = field(default_factory=list)
    """Splits to try, the best first, each with its reason."""
    types: dict[str, str] = field(default_factory=dict)
    """Column read as text → why."""
    ignore: dict[str, str] = field(default_factory=dict)
    """Column left out → why."""
    watch: dict[str, str] = field(default_factory=dict)
    """Column that is kept → what to think about."""


def propose(look: Look) -> Proposal:
    """
    Raises:
        DataError: a target with too many classes, or no column to learn from.
    """
    proposal = Proposal()
    _task(look, proposal)
    others = [column for column in look.columns if column.name != look.target.name]
    usable = []
    for column in others:
        if column.raw.kind is None:
            proposal.ignore[column.name] = f"of type {column.raw.dtype}, which no kind of column takes"
        elif _is_key(look, column):
            proposal.keys[column.name] = "every row has a value of its own"
        elif column.useless:
            proposal.ignore[column.name] = "; ".join(filter(None, (column.useless, _misread(column))))
        else:
            usable.append(column)
    # Several columns may name the row; one is enough.
    for name in list(proposal.keys)[1:]:
        proposal.ignore[name] = f"an identifier, as '{next(iter(proposal.keys))}' is"
        del proposal.keys[name]
    _time(look, proposal, [column for column in usable if column.raw.is_time])
    _group(proposal, [column for column in usable if not column.raw.is_time])
    for column in usable:
        if column.name in (proposal.time, proposal.group) or column.name in proposal.ignore:
            continue
        if _says_the_target(look, column):
            proposal.ignore[column.name] = "each of its values says the target; take it in only if it is known beforehand"
        elif _misread(column):
            proposal.watch[column.name] = _misread(column)
        elif column.raw.is_whole and column.n_distinct > 2 and (_ID.search(column.name) or _CODE.search(column.name)):
            proposal.types[column.name] = f"whole numbers that look like codes, {column.n_distinct:,} of them"
    left = [c for c in usable if c.name not in {proposal.time, proposal.group, *proposal.ignore}]
    if not left:
        reasons = "; ".join(f"{name}: {why}" for name, why in {**proposal.keys, **proposal.ignore}.items())
        raise DataError(f"{look.path} has no column to learn '{look.target.name}' from. {reasons}".rstrip(". ") + ".")
    proposal.splits = [*_splits(look, proposal)]
    return proposal


def _misread(column: Seen) -> str:
    """What to do about a column that is text only as it is written."""
    if column.time_format:
        return f"read as text, and its values look like times, {column.time_format}: write all times of the table in one form"
    if column.marked:
        return f"read as text, and its values look like numbers, e.g. {column.marked}: for their size, write them without marks"
    return ""


def _task(look: Look, proposal: Proposal) -> None:
    target, n = look.target, look.target.n_distinct
    raw = target.raw
    if n == 2:
        counts = f"(SELECT count(*) AS n FROM {TABLE} WHERE {raw.present} GROUP BY {quote(target.name)})"
        (rare,) = look.ask("min(n)", counts)
        proposal.task = "binary"
        proposal.task_why = (
            f"two values, {target.low!s} and {target.high!s}; the rarer has {rare / target.n_present:.1%} of the rows"
        )
    elif raw.is_text:
        if n > MANY_CLASSES or n > target.n_present / 2:
            raise DataError(
                f"{look.path}: the target '{target.name}' is text with {n:,} different values in {target.n_present:,} rows: "
                "too many for classes. Name another column, or write it as a number."
            )
        proposal.task, proposal.task_why = "multiclass", f"text with {n} values"
    elif raw.is_whole and n <= FEW_WHOLE:
        proposal.task = "multiclass"
        proposal.task_why = f"whole numbers with {n} values, {target.low} to {target.high}; for an amount take task=regression"
    else:
        proposal.task, proposal.task_why = "regression", f"a number with {n:,} values, {target.low:g} to {target.high:g}"
        mean, median = look.ask(f"avg({quote(target.name)}), median({quote(target.name)})")
        if target.low >= 0 and mean > LONG_TAIL * max(median, 0):
            proposal.target_scale = f"a long tail: the mean is {mean:g}, the median {median:g}"


def _is_key(look: Look, column: Seen) -> bool:
    is_unique = column.n_distinct == look.n_rows
    return (
        is_unique
        and not column.raw.is_time
        and not _misread(column)
        and ("identifier" in column.useless or _ID.search(column.name) is not None)
    )


def _time(look: Look, proposal: Proposal, times: list[Seen]) -> None:
    whole = [column for column in times if column.n_present == look.n_rows and column.n_distinct > 2]
    if not whole:
        return
    # The event itself has a moment of its own in most rows; birthdays and months repeat.
    chosen = max(whole, key=lambda column: column.n_distinct)
    proposal.time = chosen.name
    proposal.time_why = f"{chosen.low:%Y-%m-%d} to {chosen.high:%Y-%m-%d}, never missing"
    for other in times:
        if other is chosen:
            continue
        (later,) = look.ask(f"avg(({quote(other.name)} > {quote(chosen.name)})::INT)")
        if later and later > 0.5:
            proposal.ignore[other.name] = f"it lies after '{chosen.name}' in {later:.0%} of the rows, so it is not known by then"
        else:
            proposal.watch[other.name] = "another time: leave it out if it is known only later"


def _group(proposal: Proposal, columns: list[Seen]) -> None:
    for column in columns:
        is_code = column.raw.is_text or column.raw.is_whole
        repeats = 2 < column.n_distinct <= 0.9 * column.n_present
        if is_code and repeats and _WHO.search(column.name) and _ID.search(column.name):
            proposal.group = column.name
            proposal.group_why = f"names who it is, {column.n_distinct:,} of them: no feature"
            return


def _says_the_target(look: Look, column: Seen) -> bool:
    if not 2 <= column.n_distinct <= FEW_VALUES or look.n_rows < ENOUGH_ROWS or look.target.n_distinct > FEW_VALUES:
        return False
    name, target = quote(column.name), quote(look.target.name)
    both = f"{column.raw.present} AND {look.target.raw.present}"
    pairs, values, present = look.ask(
        f"count(DISTINCT ({name}, {target})) FILTER ({both}), count(DISTINCT {name}) FILTER ({both}), count(*) FILTER ({both})"
    )
    return bool(pairs == values and present >= max(ENOUGH_ROWS, 5 * values))


def _splits(look: Look, proposal: Proposal) -> Iterator[tuple[str, str]]:
    if proposal.time:
        yield "time", f"trained on the past, tested on the latest by '{proposal.time}'"
    if proposal.group:
        yield "group", f"no '{proposal.group}' in two parts"
    if proposal.task == "regression":
        yield "random", "rows at random, as there is nothing to go by"
    else:
        yield "stratified", "rows at random, with the same mix of classes in each part"
