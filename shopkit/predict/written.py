"""Values as a text file or a command line holds them: numbers, times, lists, and what a file is asked for beside its columns."""

from __future__ import annotations

import codecs
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkit.errors import DataError
from shopkit.runtime import Predictor
from shopkit.runtime.artifact import untrue
from shopkit.runtime.canonical import moment
from shopkit.schema import NULL_TEXTS, Column

if TYPE_CHECKING:
    import pyarrow as pa

FROM_FILE = "@"
"""Before the name of a file that holds a list, an entry on each line."""


@dataclass(frozen=True)
class Written:
    """How text files write their values: as those that a file was trained on did, or in the usual way where these were no text.

    The fields are settings of `source=files`, which says what they mean.
    """

    encoding: str = "utf-8"
    delimiter: str = ""
    decimal: str = "."
    null_values: Sequence[str] = NULL_TEXTS
    timestamp_format: str = ""

    @classmethod
    def of(cls, predictor: Predictor) -> Written:
        """
        Raises:
            ArtifactError: what the file says of it cannot be.
        """
        said = predictor.description.facts.get("text", {})
        usual = cls()
        try:
            found = {field.name: said.get(field.name, getattr(usual, field.name)) for field in fields(cls)}
            codecs.lookup(found["encoding"])
            texts = [*found["null_values"], *(value for name, value in found.items() if name != "null_values")]
        except (AttributeError, TypeError, LookupError) as error:
            raise untrue(predictor.path, f"of the text it was trained on cannot be read ({error})") from error
        if not all(isinstance(text, str) for text in texts) or len(found["delimiter"]) > 1 or found["decimal"] not in (".", ","):
            raise untrue(predictor.path, f"of the text it was trained on cannot be read ({said!r})")
        return cls(**found)


def wanted_columns(path: Path, predictor: Predictor, given: Sequence[str]) -> list[str]:
    """The columns to read of a table at `path`, in its order; all inputs are among them, each once."""
    predictor.require(given)
    wanted = [name for name in given if name in predictor.schema]
    if twice := next((name for name in wanted if wanted.count(name) > 1), None):
        raise DataError(f"{path} has several columns '{twice}', and one is to be read. Leave out the others.")
    return wanted


def parsed_text(batch: pa.RecordBatch, predictor: Predictor, first_row: int) -> pa.RecordBatch:
    """A batch of texts as a CSV file has them: those that mean so are missing, numbers are numbers, lists are lists.

    Raises:
        DataError: a text that is not a number, a time or a JSON array, with its row.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = pa.array(Written.of(predictor).null_values)
    columns = [pc.if_else(pc.is_in(column, value_set=missing), pa.scalar(None, pa.string()), column) for column in batch.columns]
    return parsed(pa.RecordBatch.from_arrays(columns, batch.schema.names), predictor, first_row)


def parsed(batch: pa.RecordBatch, predictor: Predictor, first_row: int) -> pa.RecordBatch:
    """The same of a batch in which missing texts are so already."""
    import pyarrow as pa

    written = Written.of(predictor)
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for column in predictor.inputs:
        if column.sequence:
            columns[column.name] = _lists(columns[column.name], column, first_row)
        elif column.kind == "number":
            columns[column.name] = _numbers(columns[column.name], column, first_row, written.decimal)
        elif column.kind == "time" and written.timestamp_format:
            columns[column.name] = _times(columns[column.name], column, first_row, written.timestamp_format)
    return pa.RecordBatch.from_pydict(columns)


def as_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch with its lists as JSON arrays, which a text file can hold; a number that is not finite is null."""
    import pyarrow as pa

    columns = {
        name: _json(values) if pa.types.is_list(values.type) or pa.types.is_large_list(values.type) else values
        for name, values in zip(batch.schema.names, batch.columns, strict=True)
    }
    return pa.RecordBatch.from_pydict(columns)


def options_of(texts: Sequence[str], options: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a file is asked for, of texts `NAME=VALUE`. A list is a JSON array, or `@FILE` with an entry on each line.

    Args:
        options: what it can be asked for, as its description has them.

    Raises:
        DataError: no such option, a text without `=`, a list that is none, or a file that cannot be read.
    """
    of_name = {option["name"]: option for option in options}
    found = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise DataError(f"--option {text}: write it as NAME=VALUE, e.g. k=20.")
        # An unknown name is refused where all options are.
        option = of_name.get(name, {"dtype": "string"})
        found[name] = _list_of(name, value, option) if option.get("shape") else _value_of(value, option["dtype"])
    return found


def _list_of(name: str, text: str, option: Mapping[str, Any]) -> list[Any]:
    if text.startswith(FROM_FILE):
        path = Path(text.removeprefix(FROM_FILE))
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise DataError(f"--option {name}: {path} cannot be read: {reason}.") from error
        return [_value_of(line.strip(), option["dtype"]) for line in lines if line.strip()]
    values = _array(text, option["dtype"] == "string")
    if values is None:
        raise DataError(f'--option {name}: {text!r} is not a JSON array. Write {name}=\'["A", "B"]\', or {name}=@FILE.')
    return values


def _value_of(text: str, dtype: str) -> Any:
    """The value a text means, or the text itself, which is refused where all options are checked."""
    if dtype == "string":
        return text
    if dtype == "bool":
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return int(text) if dtype == "int64" else float(text)
    except ValueError:
        return text


def _array(text: str, as_written: bool) -> list[Any] | None:
    """A JSON array of plain values; None for any other text.

    Args:
        as_written: whether numbers stay text, as everything in a text file is where text is wanted.
    """
    try:
        found = json.loads(text, parse_int=str, parse_float=str) if as_written else json.loads(text)
    except (ValueError, RecursionError):  # the latter of lists in lists, some thousand deep
        return None
    plain = isinstance(found, list) and not any(isinstance(value, (list, dict)) for value in found)
    return found if plain else None


def _lists(texts: pa.Array, column: Column, first_row: int) -> pa.Array:
    import pyarrow as pa

    types = {"number": pa.float64(), "string": pa.string()}
    rows = []
    for row, text in enumerate(texts.to_pylist(), first_row):
        values = None if text is None else _array(text, column.kind == "string")
        if text is not None and values is None:
            wanted = "[1.5, 2]" if column.kind == "number" else '["A", "B"]'
            raise DataError(f"Column '{column.name}', row {row}: {text!r} is not a JSON array. Write a list as {wanted}.")
        if values is not None and column.kind == "number":
            values = [int(value) if isinstance(value, bool) else value for value in values]
        try:
            pa.array(values or [], types.get(column.kind))
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            kind = {"number": "numbers", "string": "texts", "time": "times"}[column.kind]
            raise DataError(f"Column '{column.name}', row {row}: {text} is not a list of {kind}.") from None
        rows.append(values)
    try:
        return pa.array(rows, pa.list_(types[column.kind]) if column.kind in types else None)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise DataError(
            f"Column '{column.name}', rows {first_row} to {first_row + len(rows) - 1}: some lists hold times as text and some as "
            "seconds. Write all of them in one way."
        ) from None


def _json(lists: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    steps, lengths = lists.flatten(), lists.value_lengths().fill_null(0).to_pylist()
    if pa.types.is_string(steps.type) or pa.types.is_large_string(steps.type):
        written = [json.dumps(step, ensure_ascii=False) for step in steps.to_pylist()]
    else:
        # By Arrow: Python would write a float32 with the digits of a float64.
        texts = steps.cast(pa.string())
        if pa.types.is_floating(steps.type):
            texts = pc.if_else(pc.is_finite(steps), texts, "null")
        written = texts.fill_null("null").to_pylist()
    rows, start = [], 0
    for length in lengths:
        rows.append(f"[{', '.join(written[start : start + length])}]")
        start += length
    return pa.array(rows, pa.string())


def _times(texts: pa.Array, column: Column, first_row: int, form: str) -> pa.Array:
    """Times written as in the training data; those of ISO 8601 stay as they are, as no other reading fits them."""
    import pyarrow as pa

    def as_trained(text: str) -> dt.datetime:
        return dt.datetime.strptime(text, form)

    def read(text: str | None, row: int) -> str | None:
        if text is None:
            return None
        for parse in (as_trained, moment):
            try:
                return parse(text).isoformat(" ")
            except ValueError:
                continue
        raise DataError(
            f"Column '{column.name}', row {row}: {text!r} is not a time as in the training data, {form}, nor one of ISO 8601, "
            "e.g. '2017-06-30 18:00:00'."
        )

    return pa.array([read(text, row) for row, text in enumerate(texts.to_pylist(), first_row)], pa.string())


def _numbers(texts: pa.Array, column: Column, first_row: int, decimal: str) -> pa.Array:
    """Numbers written as text; true and false are 1 and 0, blanks around a number are none of it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    given = texts
    if decimal != ".":
        texts = pc.replace_substring(texts, decimal, ".")
    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        trimmed = pc.utf8_trim_whitespace(texts)
        lower = pc.utf8_lower(trimmed)
        plain = pc.if_else(pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", trimmed))
        plain = pc.if_else(pc.equal(plain, ""), pa.scalar(None, pa.string()), plain)
    try:
        return plain.cast(pa.float64())
    except pa.ArrowInvalid as error:
        row = next(i for i, text in enumerate(plain) if not _is_number(text))
        raise DataError(f"Column '{column.name}', row {first_row + row}: {given[row].as_py()!r} is not a number.") from error


def _is_number(text: pa.Scalar) -> bool:
    """As Arrow reads them: to Python 1_000 is one as well."""
    import pyarrow as pa

    try:
        text.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True
