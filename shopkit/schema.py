"""Columns at the edge: what a raw table holds, in the few kinds that an exported file takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from shopkit.errors import DataError, nearest

Kind = Literal["number", "string", "time", "image"]
"""`number`: float32, missing NaN (booleans are 0 and 1). `string`: text, categories and ids, missing "".
`time`: int64 seconds since 1970-01-01 UTC, missing `MISSING_TIME`. `image`: uint8 pixels (height, width, channels) of any height
and width, missing one black pixel."""

Role = Literal["feature", "key", "time", "target", "weight", "group", "decision", "ignored"]
"""`key` columns are carried through to predictions; `time` orders examples; `group` keeps rows together in a split; those of one
group with the same `decision` are the right answers of one question."""

MISSING_TIME = -(2**63)
"""The int64 that stands for a missing time (NaT's own bit pattern)."""

NULL_TEXTS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>")
"""Texts that mean a missing value in a CSV, where nothing else is said of it."""

INPUT_PREFIX = "column."
"""Put before a raw column's name inside graphs, so that a column called `dense` or `label` clashes with nothing."""

PARTS = ("train", "validation", "test")
"""The parts of a split, in time order."""

LENGTHS = "lengths"
"""Name, in files and tensors, of the number of steps in each row's sequences."""

LENGTHS_INPUT = "sequences.lengths"
"""The same as an input inside graphs."""


@dataclass(frozen=True)
class Column:
    """One raw column.

    `integer` marks a string column that the shop stores as whole numbers, so that 3 and 3.0 become "3";
    in any other string column a number is an error. `double` keeps float64 where the precision matters.
    """

    name: str
    kind: Kind
    role: Role = "feature"
    integer: bool = False
    double: bool = False
    sequence: bool = False
    """A list of such values in each row. All sequences of a table are parallel: one step of each belongs together."""
    channels: int = 0
    """Of an image: 1 grey, 3 red, green and blue, 4 with transparency; the same in every row."""
    unit: str = ""
    """Unit or currency of a number (`USD`, `days`), or the time zone a time was read in."""
    note: str = ""
    """Why the column is what it is, when that was inferred: shown in the report."""


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order."""

    columns: tuple[Column, ...]

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise DataError(f"There is no column '{name}'.{nearest(name, self.names)} Columns: {', '.join(self.names)}.")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def of_role(self, role: Role) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.role == role)

    def the(self, role: Role) -> Column | None:
        """The one column of a role that at most one column has (time, target, weight, group, decision)."""
        return next(iter(self.of_role(role)), None)

    def with_column(self, column: Column) -> Schema:
        """The schema with the column of that name replaced."""
        return Schema(tuple(column if old.name == column.name else old for old in self.columns))

    def with_role(self, name: str, role: Role, note: str = "") -> Schema:
        return self.with_column(replace(self[name], role=role, note=note or self[name].note))

    def to_json(self) -> list[dict[str, Any]]:
        """Plain data: each column without its empty fields."""
        return [{key: value for key, value in asdict(column).items() if value not in ("", False)} for column in self.columns]

    @classmethod
    def from_json(cls, data: list[Mapping[str, Any]]) -> Schema:
        return cls(tuple(Column(**dict(column)) for column in data))
