"""The types of text columns: declared, or the one that all values of a column fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ibis.backends.duckdb import Backend

from shopkit.errors import DataError
from shopkit.sources.engine import fetch, literal, quote, read_parquet

_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?[iI]nf(inity)?"
_CODE = r"[+-]?(0[0-9]+|[0-9]{19,})"
"""Digits that are no number: they would lose leading zeros, or places beyond those of an int64."""
_ZONE = r"( UTC|Z|[+-][0-9]{2}(:?[0-9]{2})?)"
_ISO = rf"[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}([ T]([01]?[0-9]|2[0-3]):[0-9]{{1,2}}(:[0-9]{{1,2}}(\.[0-9]+)?)?{_ZONE}?)?"
"""What `shopkit.runtime.canonical.moment` reads as well: a table that could be learnt from can be predicted."""
_ZONED = rf":[0-9]{{1,2}}(\.[0-9]+)?{_ZONE}$"

INFERRED = ("boolean", "integer", "number", "time")
SAMPLE_ROWS = 1000
MOSTLY = 0.9
"""From this share of distinct values of one type on, the others are taken for mistakes, not for text."""
ENOUGH = 10
"""Fewer distinct values than this are codes, in which letters and digits may mix."""


@dataclass(frozen=True)
class TextFiles:
    """One table as Parquet files of text, and what the files were called."""

    connection: Backend
    parquet: Sequence[Path]
    shown: Sequence[Path]
    timestamp_format: str = ""
    decimal: str = "."
    forms: dict[str, str] = field(default_factory=dict, init=False)
    """Column → how it writes its times, empty for ISO 8601."""

    def expressions(self, declared: Mapping[str, str], infer: bool) -> dict[str, str]:
        """Column → SQL that gives it its type, for the columns that are not to stay as they are.

        Raises:
            DataError: a value that is not of the declared type, or of the type of nearly all others; names file, row and value.
        """
        described = fetch(self.connection.con, f"DESCRIBE SELECT * FROM {self.rows}")
        types = {name: dtype for name, dtype, *_ in described}
        kinds = {name: kind for name, kind in declared.items() if name in types}
        for column, kind in kinds.items():
            self._check(column, kind, "as declared in source.types")
        if infer:
            kinds |= self._inferred([name for name in types if name not in kinds])
        return {column: self._cast(column, kind) for column, kind in kinds.items()}

    # -- inference ----------------------------------------------------------------------------------------------

    def _inferred(self, columns: Sequence[str]) -> dict[str, str]:
        kinds = {}
        for column in columns:
            # A kind that none of the first values has is not that of all, nor of nearly all.
            sample = f"(SELECT {quote(column)} FROM {self.rows} WHERE {quote(column)} IS NOT NULL LIMIT {SAMPLE_ROWS})"
            likely = [kind for kind, count in self._fitting(column, INFERRED, sample).items() if count]
            n_present, n_codes = self._row(f"count({quote(column)}), count(*) FILTER ({self._is_code(column)})", self.rows)
            if not likely or n_codes:
                continue
            fitting = self._fitting(column, likely, self.rows)
            whole = [kind for kind, count in fitting.items() if count == n_present]
            if whole:
                kinds[column] = whole[0]
                continue
            for kind in ("number", "time"):
                if kind in likely and self._is_mostly(column, kind):
                    self._check(column, kind, f"as nearly all of its values are ({kind})")
        return kinds

    def _fitting(self, column: str, kinds: Sequence[str], rows: str) -> dict[str, int]:
        counts = self._row(", ".join(f"count(*) FILTER ({self._fits(column, kind)})" for kind in kinds), rows)
        return dict(zip(kinds, counts, strict=True))

    def _is_mostly(self, column: str, kind: str) -> bool:
        distinct = f"count(DISTINCT {quote(column)})"
        fits, total = self._row(f"{distinct} FILTER ({self._fits(column, kind)}), {distinct}", self.rows)
        return bool(fits >= ENOUGH and fits >= MOSTLY * total)

    def _row(self, select: str, rows: str) -> tuple[int, ...]:
        return fetch(self.connection.con, f"SELECT {select} FROM {rows}")[0]

    @property
    def rows(self) -> str:
        return read_parquet(self.parquet)

    # -- one kind in SQL ----------------------------------------------------------------------------------------

    def _form(self, column: str) -> str:
        """As is told, if any of its values is written so: one table may hold columns of both."""
        if self.timestamp_format and column not in self.forms:
            parsed = f"try_strptime({quote(column)}::VARCHAR, {literal(self.timestamp_format)})"
            (n_told,) = self._row(f"count({parsed})", self.rows)
            self.forms[column] = self.timestamp_format if n_told else ""
        return self.forms.get(column, "")

    def _time(self, column: str) -> str:
        text = f"{quote(column)}::VARCHAR"
        if form := self._form(column):
            return f"try_strptime({text}, {literal(form)})"
        # The cast alone would take words such as 'today' and 'infinity'.
        return f"CASE WHEN regexp_full_match({text}, {literal(_ISO)}) THEN TRY_CAST({text} AS TIMESTAMPTZ) END"

    def _is_code(self, column: str) -> str:
        return f"regexp_full_match(trim({quote(column)}), {literal(_CODE)})"

    def _number(self, text: str) -> str:
        return text if self.decimal == "." else f"replace({text}, {literal(self.decimal)}, '.')"

    def _fits(self, column: str, kind: str) -> str:
        # Blanks around a number are none of it; `shopkit predict` reads it so as well.
        text = f"trim({quote(column)}::VARCHAR)"
        number = self._number(text)
        return {
            "string": "true",
            "boolean": f"lower({text}) IN ('true', 'false')",
            "integer": f"regexp_full_match({text}, '[+-]?[0-9]+') AND TRY_CAST({text} AS BIGINT) IS NOT NULL",
            "number": f"regexp_full_match({number}, {literal(_NUMBER)}) AND TRY_CAST({number} AS DOUBLE) IS NOT NULL",
            "time": f"{self._time(column)} IS NOT NULL",
        }[kind]

    def _cast(self, column: str, kind: str) -> str:
        text = f"{quote(column)}::VARCHAR"
        if kind == "time":
            moment = self._time(column)
            zoned = f"count(*) FILTER (regexp_matches({text}, {literal(_ZONED)})), count({quote(column)})"
            n_zoned, present = (0, 1) if self._form(column) else self._row(zoned, self.rows)
            if 0 < n_zoned < present:
                raise DataError(
                    f"{self._where()}: column '{column}' has times with a zone in {n_zoned} of {present} rows; give all one form."
                )
            return moment if n_zoned or self._form(column) else f"({moment})::TIMESTAMP"
        if kind == "number":
            return f"trim({self._number(text)})::DOUBLE"
        return text if kind == "string" else f"trim({text})::{ {'boolean': 'BOOLEAN', 'integer': 'BIGINT'}[kind] }"

    # -- complaints ---------------------------------------------------------------------------------------------

    def _check(self, column: str, kind: str, why: str) -> None:
        for parquet, shown in zip(self.parquet, self.shown, strict=False):
            found = fetch(
                self.connection.con,
                f"SELECT row, {quote(column)}::VARCHAR FROM (SELECT {quote(column)}, file_row_number AS row FROM "
                f"read_parquet({literal(str(parquet))}, file_row_number=true)) "
                f"WHERE {quote(column)} IS NOT NULL AND NOT coalesce({self._fits(column, kind)}, false) ORDER BY row LIMIT 1",
            )
            if found:
                row, value = found[0]
                advice = (
                    "Set source.timestamp_format, or correct the value."
                    if kind == "time"
                    else f"Correct it, add it to source.null_values, or set source.types={{{column}: string}}."
                )
                raise DataError(f"{shown}, row {row}, column '{column}': {value!r} is not a {kind}, {why}. {advice}")

    def _where(self) -> str:
        return str(self.shown[0])
