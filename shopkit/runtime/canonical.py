"""One function makes raw values canonical and checks their types; sources and runtime share it, nothing else guesses.

number: float32, missing NaN, booleans 0 and 1. string: `str`, missing "". time: int64 seconds UTC, missing `MISSING_TIME`.
image: uint8 pixels (height, width, channels), missing one black pixel. None, NaN, NaT and `pd.NA` all become the column's missing
value. A sequence column has an array of these in each row.
"""

from __future__ import annotations

import datetime as dt
import math
import numbers
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from shopkit.errors import DataError
from shopkit.runtime.images import canonical_images
from shopkit.runtime.sequences import cells, flatten
from shopkit.schema import MISSING_TIME, Column

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_WHOLE_TEXT = re.compile(r"\s*(?:\+(?=\d))?(-?\d+)(?:\.0*)?\s*")
"""As sources read whole numbers: blanks around one and a plus before it are none of it."""
_LONE_DIGIT = re.compile(r"(?<![\d.])\d(?!\d)")


def canonicalise(values: Any, column: Column, first_row: int = 0) -> np.ndarray:
    """Canonical array of one column.

    Args:
        values: array, pandas or polars Series, Arrow array or sequence of N raw values.
        column: what the column is.
        first_row: number of the first value's row, for messages.

    Returns:
        (N,) float32 (float64 if `column.double`), object array of `str`, or int64; for a sequence column an object array
        of such arrays, empty where the row's list is missing; for an image column one of uint8 (height, width, channels).

    Raises:
        DataError: a value of another type, an infinite number or an unreadable time; names column, row and value.
    """
    if type(values).__module__.startswith("polars"):
        values = values.to_list()  # as an array, whole numbers with a missing one would be floats
    if column.sequence:
        return cells(*canonical_steps(values, column, first_row))
    if column.kind == "image":
        return canonical_images(values, column, first_row)
    if _is_arrow(values):
        if column.kind != "number" and (known := _by_distinct_values(values, column)) is not None:
            return known
        array = _from_arrow(values, column)
    else:
        array = _as_array(values)
    if array.ndim != 1:
        raise DataError(f"Column '{column.name}': expected one value per row, got an array of shape {array.shape}.")
    return _CANONICAL[column.kind](array, column, first_row)


def canonical_steps(values: Any, column: Column, first_row: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Canonical values of a sequence column: all rows' steps end to end (total,), and the rows' lengths int64 (N,).

    Raises:
        DataError: a row that is not a list, or a step that is not of the column's kind; names column, row and step.
    """
    steps, lengths = flatten(values, column, first_row)
    step = replace(column, sequence=False)
    try:
        return canonicalise(steps, step), lengths
    except DataError:
        at = 0
        for row, length in enumerate(lengths, first_row):
            for i in range(length):
                _require_step(steps[at + i], step, row, i)
            at += int(length)
        raise


def _require_step(value: Any, column: Column, row: int, step: int) -> None:
    try:
        canonicalise(_object_array([value.as_py() if hasattr(value, "as_py") else value]), column)
    except DataError as error:
        reason = str(error).removeprefix(f"Column '{column.name}', row 0: ")
        raise DataError(f"Column '{column.name}', row {row}, step {step}: {reason}") from None


def canonical_value(value: Any, column: Column) -> np.ndarray:
    """`canonicalise` of a single value, (1,): the fast way for one row given as a dict."""
    if column.sequence or column.kind == "image":
        return canonicalise([value], column)
    if column.kind == "number":
        if type(value) in _REAL and (-_LARGEST < value < _LARGEST or value != value):
            return np.array((float(value),), np.float64 if column.double else np.float32)
    elif column.kind == "string":
        if type(value) is str and value.isascii() and (not column.integer or value.isdecimal()):
            return np.array((value,), object)
        if column.integer and type(value) is int:
            return np.array((str(value),), object)
    return canonicalise(_object_array([value]), column)


_REAL = frozenset((float, int, bool, np.float32, np.float64, np.int64, np.bool_))
_LARGEST = 3.4e38
"""Just below the largest float32."""


def _as_array(values: Any) -> np.ndarray:
    if isinstance(values, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(values)
        missing: Any = np.array("NaT", values.dtype) if values.dtype.kind in "mM" else None
        return np.where(hidden, missing, values.data)
    if isinstance(values, np.ndarray):
        return values.astype(object) if values.dtype.kind == "T" else values
    if not hasattr(values, "to_numpy"):
        return _object_array(values)
    dtype = str(getattr(values, "dtype", ""))
    if getattr(getattr(values, "dtype", None), "tz", None) is not None:
        return _aware(values.to_numpy(dtype="datetime64[us]"))
    if dtype in _NUMPY_DTYPES or dtype.startswith("datetime64"):
        return np.asarray(values.to_numpy())
    return np.asarray(values.to_numpy(dtype=object))


def _is_arrow(values: Any) -> bool:
    return type(values).__module__.startswith("pyarrow")


def _from_arrow(values: Any, column: Column) -> np.ndarray:
    kind = str(values.type)
    if kind.startswith("timestamp") and "tz=" in kind:
        return _aware(values.to_numpy(zero_copy_only=False).astype("datetime64[us]"))
    is_whole = kind.startswith(("int", "uint"))
    if column.kind == "number" and (kind == "bool" or is_whole) and values.null_count:
        return np.asarray(values.cast("float64", safe=False).to_numpy(zero_copy_only=False))
    if kind.startswith("dictionary") or (is_whole and values.null_count):
        return _object_array(values.to_pylist())  # to_numpy would make floats of whole numbers
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _by_distinct_values(values: Any, column: Column) -> np.ndarray | None:
    """Canonical array of an Arrow array that repeats itself, each distinct value looked at once.

    None where that saves nothing, or where a value is refused: row by row, its row is found.
    """
    kind = str(values.type)
    texts = ("string", "large_string")
    if not (kind.startswith("dictionary") or kind in texts or (column.kind == "string" and kind.startswith(("int", "uint")))):
        return None
    whole = values.combine_chunks() if hasattr(values, "combine_chunks") else values
    coded = whole if kind.startswith("dictionary") else whole.dictionary_encode()
    if not hasattr(coded, "dictionary") or len(coded.dictionary) > MOST_DISTINCT * len(coded):
        return None
    try:
        distinct = canonicalise([*coded.dictionary.to_pylist(), None], column)
    except DataError:
        return None
    places = coded.indices.fill_null(len(distinct) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(distinct[places])


MOST_DISTINCT = 0.5
"""From this share of distinct values on, looking at each once saves nothing."""


_NUMPY_DTYPES = {f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)} | {"bool"}


def _object_array(values: Sequence[Any]) -> np.ndarray:
    return np.fromiter(values, object, len(values))  # a list among them stays one


def _aware(moments: np.ndarray) -> np.ndarray:
    """UTC moments as int64 seconds: the canonical form, in which no zone is applied any more."""
    seconds = moments.astype("datetime64[s]").astype(np.int64)
    return np.where(np.isnat(moments), MISSING_TIME, seconds)


def is_missing(value: Any) -> bool:
    """None, NaN, NaT or `pd.NA`."""
    if value is None:
        return True
    if isinstance(value, (float, np.floating)):
        return math.isnan(value)
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    name = type(value).__name__
    return name in ("NAType", "NaTType") or (name == "Decimal" and bool(value.is_nan()))


def _refuse(column: Column, row: int, value: Any, expected: str) -> DataError:
    kind = type(value).__name__
    return DataError(f"Column '{column.name}', row {row}: {value!r} ({kind}) is not {expected}.")


def _numbers(array: np.ndarray, column: Column, first_row: int) -> np.ndarray:
    dtype = np.float64 if column.double else np.float32
    if array.dtype.kind not in "fiub":
        array = np.fromiter((_number(value, column, first_row + i) for i, value in enumerate(array)), np.float64, len(array))
    with np.errstate(over="ignore"):
        result = array.astype(dtype)
    infinite = np.isinf(result)
    if infinite.any():
        row = int(infinite.argmax())
        raise DataError(
            f"Column '{column.name}', row {first_row + row}: {array[row]!s} is not a finite number. "
            "Clean it in the source, or leave the value missing."
        )
    return result


def _number(value: Any, column: Column, row: int) -> float:
    if _is_real(value):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if is_missing(value):
        return math.nan
    if type(value).__name__ == "Decimal":
        return float(value)
    raise _refuse(column, row, value, "a number")


def _is_real(value: Any) -> bool:
    # To numpy a span of time is a whole number.
    return isinstance(value, (numbers.Real, np.bool_)) and not isinstance(value, np.timedelta64)


def _strings(array: np.ndarray, column: Column, first_row: int) -> np.ndarray:
    if column.integer:
        values = (
            array if array.dtype.kind in "mM" else array.tolist()
        )  # a list of times to the nanosecond is one of whole numbers
        result = _object_array([_whole(value, column, first_row + i) for i, value in enumerate(values)])
    else:
        result = _texts(array, column, first_row)
    if not _is_unicode("".join(result.tolist())):
        row = next(i for i, value in enumerate(result) if not _is_unicode(value))
        raise _refuse(
            column,
            first_row + row,
            result[row],
            "Unicode: half of a pair (a surrogate) stands alone, as in bytes that "
            "were read with errors='surrogateescape'; decode them in their own encoding, or with errors='replace'",
        )
    return result


def _texts(array: np.ndarray, column: Column, first_row: int) -> np.ndarray:
    if array.dtype.kind == "U":
        array = array.astype(object)
    if array.dtype.kind not in "O":
        if array.dtype.kind == "f" and np.isnan(array).all():
            return _object_array([""] * len(array))
        value = array[0] if len(array) else array.dtype
        raise _refuse(column, first_row, value, "text; give it as a string, as in training")
    result, values = array.copy(), array.tolist()
    if set(map(type, values)) <= {str}:
        return result
    for i, value in enumerate(values):
        if type(value) is not str:
            if isinstance(value, str):
                result[i] = str.__str__(value)  # a member of an Enum says its own name to `str`
            elif is_missing(value):
                result[i] = ""
            else:
                raise _refuse(column, first_row + i, value, "text; give it as a string, as in training")
    return result


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _whole(value: Any, column: Column, row: int) -> str:
    if isinstance(value, str):
        match = _WHOLE_TEXT.fullmatch(value)
        return match[1] if match else str.__str__(value)
    if is_missing(value):
        return ""
    if isinstance(value, (bool, np.bool_)) or not (_is_real(value) or type(value).__name__ == "Decimal"):
        raise _refuse(column, row, value, "a whole number or its text")
    if math.isinf(value) or (whole := int(value)) != value:
        raise _refuse(column, row, value, "a whole number or its text")
    return str(whole)


def _times(array: np.ndarray, column: Column, first_row: int) -> np.ndarray:
    zone = _zone(column.unit) if column.unit not in ("", "UTC") else None
    if array.dtype.kind == "i":
        return array.astype(np.int64)
    if array.dtype.kind == "M" and zone is None:
        return _aware(array)
    if array.dtype.kind == "M":
        distinct, rows, places = np.unique(array, return_index=True, return_inverse=True)
        seconds = (_seconds(value, column, zone, first_row + row) for value, row in zip(distinct, rows.tolist(), strict=True))
        return np.fromiter(seconds, np.int64, len(distinct))[places]
    seconds = (_seconds(value, column, zone, first_row + i) for i, value in enumerate(array))
    return np.fromiter(seconds, np.int64, len(array))


def _zone(name: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def _seconds(raw: Any, column: Column, zone: ZoneInfo | None, row: int) -> int:
    value: object = raw
    if is_missing(value) or value == "":
        return MISSING_TIME
    if isinstance(value, np.datetime64):
        if zone is None:
            return int(_aware(np.asarray(value)))
        value = value.astype("datetime64[s]").item()  # a number in years for which Python has no calendar: no zone has one
    elif isinstance(value, str):
        try:
            value = moment(value)
        except ValueError:
            value = None
    elif isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.timedelta64)) and -1 << 63 <= value < 1 << 63:
        return int(value)
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    if not isinstance(value, dt.datetime):
        raise _refuse(column, row, raw, "a time, e.g. '2017-06-30 18:00:00'")
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone or dt.UTC)
    return math.floor(value.timestamp())


def moment(text: str) -> dt.datetime:
    """The time that a text says in ISO 8601, or as tables write that: `2017-6-3 9:05`, `2017-06-03 09:05:00 UTC`.

    Raises:
        ValueError: another text.
    """
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        plain = f"{text.removesuffix(' UTC')}+00:00" if text.endswith(" UTC") else text
        return dt.datetime.fromisoformat(_LONE_DIGIT.sub(r"0\g<0>", plain))


_CANONICAL: dict[str, Callable[[np.ndarray, Column, int], np.ndarray]] = {
    "number": _numbers,
    "string": _strings,
    "time": _times,
}
