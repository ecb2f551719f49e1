"""A contract held against examples: all row rules in one pass of DuckDB, so the rows need not fit in memory.

The examples are local Parquet by then, whichever engine ran the view, so one dialect is enough, and a rule is a line of SQL.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from shopkit.contract.settings import LIMIT, NOW, ColumnRules, ContractSettings
from shopkit.errors import ConfigError, DataError, nearest
from shopkit.runs import replacing
from shopkit.schema import NULL_TEXTS, Role
from shopkit.sources.engine import fetch, literal, quote

BROKEN = "broken_rule"
"""The column that quarantined rows get: the rules they break."""
_TIMES = ("DATE", "TIMESTAMP")
_NUMBERS = ("INT", "FLOAT", "DOUBLE", "DECIMAL", "BOOLEAN")


@dataclass(frozen=True)
class _Rule:
    name: str
    broken: str
    """SQL that is true for rows which break it, and never null."""


def enforce(
    engine: duckdb.DuckDBPyConnection,
    contract: ContractSettings,
    roles: Mapping[str, Role],
    quarantine: Path,
    now: dt.datetime | None = None,
) -> dict[str, int]:
    """Narrow the view `examples` to the rows that keep the contract, and write the others to a file.

    Args:
        engine: holds the view `examples`, in which `file_row_number` names a row.
        roles: column → role.
        quarantine: Parquet of the rows put aside as the view made them, with the rules they break. Not written if there are none.
        now: what `latest: now` means, UTC; the clock's if None.

    Returns:
        Rule → number of rows put aside for it, by the first rule each breaks.

    Raises:
        ConfigError: a rule for a column that there is not, or that cannot be applied to its type.
        DataError: a column lacks more values than it may, or more rows than `limit` break a rule.
    """
    dtypes = {name: dtype for name, dtype, *_ in fetch(engine, "DESCRIBE examples") if name != "file_row_number"}
    columns = _columns(contract, dtypes, roles)
    rules = [rule for name, column in columns.items() for rule in _column_rules(name, column, dtypes[name])]
    rules += _time_rules(contract, dtypes, roles, now or dt.datetime.now(dt.UTC).replace(tzinfo=None))
    rules += _uniqueness(engine, contract, columns, roles)
    bounded = {name: column.missing for name, column in columns.items() if column.missing is not None}
    facts = ["count(*)", *(f"count(*) FILTER ({_missing(quote(name), dtypes[name])})" for name in bounded)]
    facts += [f"count(*) FILTER ({rule.broken})" for rule in rules]
    try:
        ((n_rows, *counts),) = fetch(engine, f"SELECT {', '.join(facts)} FROM examples")
    except duckdb.Error as error:
        raise ConfigError(f"contract: a rule cannot be applied: {str(error).splitlines()[0]}") from error
    lacking = [
        f"'{name}' is missing in {count / n_rows:.1%} of {n_rows:,} examples; contract.columns.{name}.missing allows {most:.1%}"
        for (name, most), count in zip(bounded.items(), counts, strict=False)
        if n_rows and most is not None and count > most * n_rows
    ]
    if lacking:
        raise DataError(f"The data contract is broken: {'; '.join(lacking)}.")
    broken = dict(zip(rules, counts[len(bounded) :], strict=True))
    if not any(broken.values()):
        return {}
    n_quarantined, first = _set_aside(engine, [rule for rule, count in broken.items() if count], dtypes, quarantine)
    limit = LIMIT if contract.limit is None else contract.limit
    if n_quarantined > limit * n_rows:
        listed = ", ".join(f"{rule.name} ({count:,})" for rule, count in broken.items() if count)
        raise DataError(
            f"The data contract is broken by {n_quarantined:,} of {n_rows:,} examples ({n_quarantined / n_rows:.1%}, "
            f"contract.limit is {limit:.1%}): {listed}. The rows are in {quarantine}. Mend them in the source, correct the rule, "
            "or raise the limit."
        )
    return first


def _columns(contract: ContractSettings, dtypes: Mapping[str, str], roles: Mapping[str, Role]) -> dict[str, ColumnRules]:
    columns = dict(contract.columns)
    target = next((name for name, role in roles.items() if role == "target"), None)
    if contract.target is not None and target is not None:
        named = ContractSettings(columns={target: contract.target})
        columns = ContractSettings(columns=columns).extended(named).columns
    for name in [*columns, *(name for names in contract.order for name in names)]:
        if name not in dtypes:
            raise ConfigError(
                f"contract names the column '{name}', which the examples do not have.{nearest(name, dtypes)} "
                f"Columns: {', '.join(dtypes)}."
            )
    return columns


def _column_rules(name: str, rules: ColumnRules, dtype: str) -> Iterable[_Rule]:
    if dtype.endswith("[]"):
        for rule in _value_rules(name, rules, dtype.removesuffix("[]"), "step"):
            yield _Rule(rule.name, f"coalesce(len(list_filter({quote(name)}, lambda step: {rule.broken})), 0) > 0")
    else:
        yield from _value_rules(name, rules, dtype, quote(name))


def _value_rules(name: str, rules: ColumnRules, dtype: str, value: str) -> Iterable[_Rule]:
    """The rules about one value, which is an SQL expression of a type."""
    missing = _missing(value, dtype)

    def rule(title: str, kept: str) -> _Rule:
        return _Rule(f"{name} {title}", f"NOT ({missing} OR coalesce({kept}, false))")

    is_text = not dtype.startswith((*_TIMES, *_NUMBERS)) and "INT" not in dtype
    number = f"TRY_CAST({value} AS DOUBLE)"
    time = f"TRY_CAST({value} AS TIMESTAMP)"
    if rules.type in ("number", "whole"):
        if dtype.startswith(_TIMES):
            raise ConfigError(f"contract.columns.{name}.type is {rules.type}, but the column is {dtype}.")
        whole = f"isfinite({number}) AND {number} = trunc({number})"
        yield rule(
            f"is not a {'whole number' if rules.type == 'whole' else 'number'}",
            whole if rules.type == "whole" else f"{number} IS NOT NULL",
        )
    elif rules.type == "time":
        if not is_text and not dtype.startswith(_TIMES):
            raise ConfigError(f"contract.columns.{name}.type is time, but the column is {dtype}. Declare it in source.types.")
        yield rule("is not a time", f"{time} IS NOT NULL")
    elif rules.type == "string" and not is_text:
        raise ConfigError(f"contract.columns.{name}.type is string, but the column is {dtype}.")
    for word, bound, operator in (("below", rules.min, ">="), ("above", rules.max, "<=")):
        if bound is None or bound in (float("-inf"), float("inf")):
            continue
        is_date = isinstance(bound, str)
        if is_date != (dtype.startswith(_TIMES) or rules.type == "time"):
            raise ConfigError(
                f"contract.columns.{name}: {bound!r} is a {'date' if is_date else 'number'}, but the column is {dtype}."
            )
        shown = bound if is_date else f"{bound:g}"
        yield rule(
            f"{word} {shown}",
            f"{time} {operator} TIMESTAMP {literal(str(bound))}" if is_date else f"{number} {operator} {bound!r}",
        )
    if rules.allowed is not None:
        if all(isinstance(item, (int, float)) for item in rules.allowed):
            kept = f"{number} IN ({', '.join(repr(float(item)) for item in rules.allowed)})"
        else:
            kept = f"{value}::VARCHAR IN ({', '.join(literal(_text(item)) for item in rules.allowed)})"
        yield rule(f"not one of {_few(rules.allowed)}", kept)
    if rules.pattern is not None:
        yield rule(f"not like {rules.pattern}", f"regexp_full_match({value}::VARCHAR, {literal(rules.pattern)})")


def _missing(value: str, dtype: str) -> str:
    if dtype.endswith("[]"):
        return f"coalesce(len({value}), 0) = 0"
    if dtype in ("FLOAT", "DOUBLE"):
        return f"({value} IS NULL OR isnan({value}))"
    if dtype == "VARCHAR":
        return f"({value} IS NULL OR {value} IN ({', '.join(map(literal, NULL_TEXTS))}))"
    return f"({value} IS NULL)"


def _time_rules(
    contract: ContractSettings, dtypes: Mapping[str, str], roles: Mapping[str, Role], now: dt.datetime
) -> Iterable[_Rule]:
    latest = NOW if contract.latest is None else contract.latest
    time = next((name for name, role in roles.items() if role == "time"), None)
    if contract.latest and time is None:
        raise ConfigError("contract.latest is given, and the examples have no time. Name it with view.time, or leave it out.")
    if latest and time is not None:
        moment = now if latest == NOW else dt.datetime.fromisoformat(latest)
        # A clock's day: times without a zone may be those of any.
        moment += dt.timedelta(days=1 if latest == NOW else 0)
        yield _Rule(
            f"{time} in the future" if latest == NOW else f"{time} after {latest}",
            f"coalesce({_moment(time, dtypes[time])} > TIMESTAMP {literal(str(moment))}, false)",
        )
    for names in contract.order:
        for earlier, later in itertools.pairwise(names):
            for name in (earlier, later):
                if not dtypes[name].startswith(_TIMES) and name != time:
                    raise ConfigError(f"contract.order names '{name}', which is {dtypes[name]}, not a time.")
            first, second = (_moment(name, dtypes[name]) for name in (earlier, later))
            yield _Rule(f"{earlier} after {later}", f"coalesce({first} > {second}, false)")


def _moment(name: str, dtype: str) -> str:
    """A time as TIMESTAMP: the examples' own may also be text, or seconds since 1970, as it may for the model."""
    column = quote(name)
    if dtype.startswith(_TIMES):
        return f"{column}::TIMESTAMP"
    seconds = f"TRY_CAST({column} AS DOUBLE)"
    within = f"least(greatest({seconds}, -9e12), 9e12)"  # what TIMESTAMP can say
    since = f"CASE WHEN NOT isnan({seconds}) THEN make_timestamp(({within} * 1000000)::BIGINT) END"
    return since if dtype.startswith(_NUMBERS) or "INT" in dtype else f"TRY_CAST({column} AS TIMESTAMP)"


def _uniqueness(
    engine: duckdb.DuckDBPyConnection, contract: ContractSettings, columns: Mapping[str, ColumnRules], roles: Mapping[str, Role]
) -> Iterable[_Rule]:
    place = [name for role in ("key", "time") for name, given in roles.items() if given == role]
    wanted = [("the key occurs twice", place)] if (contract.keys or "unique") == "unique" and place else []
    wanted += [(f"{name} occurs twice", [name]) for name, rules in columns.items() if rules.unique]
    for number, (title, names) in enumerate(wanted):
        chosen = ", ".join(map(quote, names))
        known = (
            " AND ".join(f"{quote(name)} IS NOT NULL" for name in names) if title != wanted[0][0] or names != place else "true"
        )
        on = " AND ".join(f"examples.{quote(name)} IS NOT DISTINCT FROM r.{quote(name)}" for name in names)
        fetch(
            engine,
            f"CREATE TEMP TABLE repeated_{number} AS SELECT examples.file_row_number AS row FROM examples JOIN "
            f"(SELECT {chosen} FROM examples WHERE {known} GROUP BY {chosen} HAVING count(*) > 1) r ON {on}",
        )
        yield _Rule(title, f"file_row_number IN (SELECT row FROM repeated_{number})")


def _set_aside(
    engine: duckdb.DuckDBPyConnection, rules: Sequence[_Rule], names: Iterable[str], quarantine: Path
) -> tuple[int, dict[str, int]]:
    any_broken = " OR ".join(f"({rule.broken})" for rule in rules)
    listed = ", ".join(f"CASE WHEN {rule.broken} THEN {literal(rule.name)} END" for rule in rules)
    first = " ".join(f"WHEN {rule.broken} THEN {number}" for number, rule in enumerate(rules))
    fetch(
        engine,
        f"CREATE TEMP TABLE quarantined AS SELECT file_row_number AS row, concat_ws('; ', {listed}) AS {BROKEN}, "
        f"CASE {first} END AS rule FROM examples WHERE {any_broken}",
    )
    # A quarantined row that was mended may still say what it broke before.
    kept = ", ".join(f"examples.{quote(name)}" for name in names if name.lower() != BROKEN)
    with replacing(quarantine) as temporary:
        fetch(
            engine,
            f"COPY (SELECT {kept}, quarantined.{BROKEN} FROM examples JOIN quarantined ON file_row_number = quarantined.row "
            f"ORDER BY quarantined.row) TO {literal(str(temporary))} (FORMAT parquet, COMPRESSION zstd)",
        )
    found = fetch(engine, "SELECT rule, count(*) FROM quarantined GROUP BY rule ORDER BY rule")
    fetch(engine, "ALTER VIEW examples RENAME TO examples_before_contract")
    fetch(
        engine,
        "CREATE VIEW examples AS SELECT * FROM examples_before_contract "
        "WHERE file_row_number NOT IN (SELECT row FROM quarantined)",
    )
    return sum(count for _, count in found), {rules[number].name: int(count) for number, count in found}


def _text(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _few(values: Sequence[Any]) -> str:
    shown = ", ".join(map(_text, values[:4]))
    return shown if len(values) <= 4 else f"{shown}, … ({len(values)} values)"
