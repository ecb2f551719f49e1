"""What the columns of examples are: kinds from the engine's types, and which columns carry nothing to learn from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb

from shopkit.errors import DataError, nearest
from shopkit.runtime.images import FIELDS
from shopkit.schema import Column, Kind, Role, Schema
from shopkit.sources.engine import fetch, literal, quote

IDENTIFIER_SHARE = 0.95
"""From this share of distinct values on, a code names the row and says nothing of its kind."""
IDENTIFIER_ROWS = 100
"""In fewer rows than this, distinct values are no sign of an identifier."""

_WORDS = r" |[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
"""What text has and identifiers have not: spaces, or characters of a script that is written without."""
_IMAGE = re.compile(r"STRUCT\(" + r", ".join(rf'"?{field}"? \w+' for field in FIELDS) + r"\)")
_WHOLE = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?")
_IDENTIFIER_NAME = re.compile(r"(^|_)(id|uuid|guid|key|number|no)$|(?<=[a-z])(Id|ID|Key|No|Number)$", re.ASCII)


@dataclass(frozen=True)
class RawColumn:
    """A column as the engine has it."""

    name: str
    dtype: str

    @property
    def is_sequence(self) -> bool:
        return self.dtype.endswith("[]")

    @property
    def step(self) -> RawColumn:
        """A step of the sequence as a column of its own."""
        return RawColumn(self.name, self.dtype.removesuffix("[]"))

    @property
    def is_whole(self) -> bool:
        return _WHOLE.fullmatch(self.dtype) is not None

    @property
    def is_float(self) -> bool:
        return self.dtype in ("FLOAT", "DOUBLE")

    @property
    def is_text(self) -> bool:
        return self.dtype in ("VARCHAR", "UUID") or (self.dtype.startswith("ENUM") and not self.is_sequence)

    @property
    def is_time(self) -> bool:
        return self.dtype == "DATE" or (self.dtype.startswith("TIMESTAMP") and not self.is_sequence)

    @property
    def is_image(self) -> bool:
        return _IMAGE.fullmatch(self.dtype) is not None

    @property
    def is_zoned(self) -> bool:
        return self.dtype == "TIMESTAMP WITH TIME ZONE"

    @property
    def kind(self) -> Kind | None:
        """Of a sequence, that of its steps."""
        if self.is_sequence:
            return None if self.step.is_sequence else self.step.kind
        if self.is_text:
            return "string"
        if self.is_time:
            return "time"
        if self.is_image:
            return "image"
        is_decimal = self.dtype.startswith("DECIMAL") and not self.is_sequence
        is_number = self.is_whole or self.is_float or self.dtype == "BOOLEAN" or is_decimal
        return "number" if is_number else None

    @property
    def present(self) -> str:
        """SQL: the value is not missing."""
        name = quote(self.name)
        if self.is_float:
            return f"({name} IS NOT NULL AND NOT isnan({name}))"
        return f"({name} IS NOT NULL AND {name}::VARCHAR <> '')" if self.is_text else f"({name} IS NOT NULL)"


def raw_columns(engine: duckdb.DuckDBPyConnection, table: str) -> tuple[RawColumn, ...]:
    return tuple(RawColumn(name, dtype) for name, dtype, *_ in fetch(engine, f"DESCRIBE {table}"))


def infer_schema(
    engine: duckdb.DuckDBPyConnection,
    table: str,
    columns: Sequence[RawColumn],
    kinds: Mapping[str, Kind],
    roles: Mapping[str, Role],
    units: Mapping[str, str],
    time_zone: str,
) -> Schema:
    """The schema of a DuckDB table of examples.

    Args:
        kinds: given kinds; the others are inferred.
        roles: given roles; features that are constant, empty or identifiers become `ignored`, with a note.

    Raises:
        DataError: a kind or role for a column that does not exist, or a column whose type has no kind.
    """
    names = [column.name for column in columns]
    for what, given in (("type", kinds), ("role", roles)):
        for name in given:
            if name not in names:
                raise DataError(f"A {what} is given for column '{name}', which the examples do not have.{nearest(name, names)}")
    notes = _useless(engine, table, [column for column in columns if column.name not in roles and column.kind], kinds)
    schema = Schema(tuple(_column(column, kinds, roles, notes, units, time_zone) for column in columns))
    for image in [column for column in schema if column.kind == "image" and column.role != "ignored"]:
        schema = schema.with_column(replace(image, channels=_channels(engine, table, image.name)))
    return schema


def _column(
    raw: RawColumn,
    kinds: Mapping[str, Kind],
    roles: Mapping[str, Role],
    notes: Mapping[str, str],
    units: Mapping[str, str],
    time_zone: str,
) -> Column:
    name = raw.name
    role = roles.get(name) or ("ignored" if name in notes else "feature")
    kind = kinds.get(name) or _kind_of_role(raw, role)
    note = notes.get(name, "")
    if (raw.kind is None or raw.is_sequence or raw.is_image) and role not in ("feature", "ignored"):
        raise DataError(f"Column '{name}' is of type {raw.dtype}, which cannot be the {role}. Cast it in the source.")
    if raw.kind is None:
        return Column(name, "string", "ignored", note=f"of type {raw.dtype}, which no kind of column takes")
    if (kind == "image") != raw.is_image or (raw.is_image and raw.is_sequence):
        raise DataError(
            f"Column '{name}' is of type {raw.dtype}, which cannot be of kind {kind}. An image is a struct of "
            f"{', '.join(FIELDS)}; the source image_folder of shopkit-vision makes them of files."
        )
    if role == "target" and kind == "time":
        raise DataError(f"The target '{name}' is a time ({raw.dtype}); give a number or a category.")
    value = raw.step if raw.is_sequence else raw
    if kind == "number" and value.is_text:
        raise DataError(
            f"Column '{name}' is of type {raw.dtype}, and features.types.{name} says number. Make it one in the source, "
            f"with source.types={{{name}: number}} if that is files, and the values that mean missing in source.null_values."
        )
    if kind == "string" and raw.kind not in (None, "string") and not (value.is_whole or value.is_float):
        raise DataError(
            f"Column '{name}' is of type {raw.dtype}, and features.types.{name} says string. Make it text in the source, with "
            f"source.types={{{name}: string}} if that is files of text."
        )
    return Column(
        name=name,
        kind=kind,
        role=role,
        integer=kind == "string" and (value.is_whole or value.is_float),
        sequence=raw.is_sequence,
        double=kind == "number" and role == "target",
        unit=time_zone if kind == "time" else units.get(name, ""),
        note=note,
    )


def _kind_of_role(raw: RawColumn, role: Role) -> Kind:
    if role in ("key", "group") and (raw.is_whole or raw.is_float):
        return "string"  # shops number their customers and orders
    if role == "time":
        return "time"
    return raw.kind or "string"


def _channels(engine: duckdb.DuckDBPyConnection, table: str, name: str) -> int:
    """The channels that all images of a column have."""
    found = fetch(engine, f"SELECT DISTINCT {quote(name)}.channels AS n FROM {table} WHERE n IS NOT NULL ORDER BY n")
    if len(found) > 1:
        listed = " and of ".join(str(n) for (n,) in found)
        raise DataError(f"Column '{name}' has images of {listed} channels. Convert them to one number of channels in the source.")
    return int(found[0][0])


def _useless(
    engine: duckdb.DuckDBPyConnection, table: str, columns: Sequence[RawColumn], kinds: Mapping[str, Kind]
) -> dict[str, str]:
    """Column → why it has nothing to learn from, for those that have not."""
    if not columns:
        return {}
    facts: list[str] = ["count(*)"]
    for column in columns:
        name, where = quote(column.name), f"FILTER ({column.present})"
        may_be_code = kinds.get(column.name, "string") == "string"
        has_codes = may_be_code and (column.is_text or (column.is_whole and _IDENTIFIER_NAME.search(column.name)))
        if column.is_image:
            facts += [f"count(*) {where}", "false", "0", "0"]
            continue
        facts += [
            f"count(*) {where}",
            f"coalesce(min({name}) {where} = max({name}) {where}, true)",
            f"approx_count_distinct({name}) {where}" if has_codes else "0",
            f"coalesce(avg(regexp_matches(trim({name}::VARCHAR), {literal(_WORDS)})::INT) {where}, 0)" if column.is_text else "0",
        ]
    (row,) = fetch(engine, f"SELECT {', '.join(facts)} FROM {table}")
    n_rows = row[0]
    notes = {}
    for i, column in enumerate(columns):
        present, is_constant, distinct, spaced = row[1 + 4 * i : 5 + 4 * i]
        if present == 0:
            notes[column.name] = "all values are missing"
        elif is_constant and present == n_rows:
            notes[column.name] = "constant: every row has the same value"
        elif present >= IDENTIFIER_ROWS and spaced < 0.5 and _is_identifier(engine, table, column, present, distinct):
            notes[column.name] = "an identifier: nearly every row has a value of its own"
    return notes


def _is_identifier(engine: duckdb.DuckDBPyConnection, table: str, column: RawColumn, present: int, approximate: int) -> bool:
    if approximate < 0.8 * IDENTIFIER_SHARE * present:
        return False
    ((distinct,),) = fetch(engine, f"SELECT count(DISTINCT {quote(column.name)}) FILTER ({column.present}) FROM {table}")
    return bool(distinct > IDENTIFIER_SHARE * present)
