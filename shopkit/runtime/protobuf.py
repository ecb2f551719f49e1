"""Protobuf messages walked field by field, without a library: nothing is copied, and large vocabularies are passed over at once.

Wire types are those of https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any


class DamagedError(Exception):
    """Bytes that are not the message they should be."""


def fields_of(data: memoryview, passed_over: Collection[int] = ()) -> Iterator[tuple[int, Any]]:
    """Field number and value of a message: an int, or the bytes of a text, packed list or inner message.

    Args:
        data: the message.
        passed_over: keys (number and wire type, as they stand in the bytes) of fields that are not given; may change meanwhile.
    """
    at, end = 0, len(data)
    while at < end:
        # Nearly all keys and lengths are one byte.
        key = data[at]
        if key in passed_over and (after := _after_run(data, at, key)) > at:
            at = after
            continue
        if key < 0x80:
            at += 1
        else:
            key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            if at < end and data[at] < 0x80:
                size = data[at]
                at += 1
            else:
                size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise DamagedError(f"byte {at} opens a field of an unknown kind")
        if number == 0 or at + size > end:
            raise DamagedError("a field reaches beyond the end of its message")
        yield number, data[at : at + size]
        at += size


INTS, FLOATS, STRINGS, STRING_DATA = 8 << 3 | 0, 7 << 3 | 5, 9 << 3 | 2, 6 << 3 | 2
"""Keys of the whole numbers, floats and texts of an attribute, and of the texts of a tensor."""
_RUNS = {
    INTS: re.compile(rb"(?:\x40[\x80-\xff]{0,9}[\x00-\x7f])*"),
    FLOATS: re.compile(rb"(?:\x3d.{4})*", re.DOTALL),
}
"""Key → a run of fields that have it: vocabularies have 100,000 of them. (Possessive quantifiers, which would say the same, match
beyond the end in Python 3.11.2.)"""


def _after_run(data: memoryview, at: int, key: int) -> int:
    """Where a run of fields with one key ends; `at` itself where the first of them needs a closer look."""
    if key in _RUNS:
        run = _RUNS[key].match(data, at)
        return run.end() if run else at
    end = len(data)
    while at + 1 < end and data[at] == key and data[at + 1] < 0x80:
        after = at + 2 + data[at + 1]
        if after > end:
            break
        at = after
    return at


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise DamagedError("it ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def integers_of(value: Any) -> list[int]:
    """A repeated integer, packed or not."""
    if isinstance(value, int):
        return [_signed(value)]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(_signed(number))
    return found


def text_of(value: Any) -> str:
    if isinstance(value, int):
        raise DamagedError("a number stands where a text should")
    return bytes(value).decode("utf-8", "replace")


def message_of(value: Any) -> memoryview:
    if isinstance(value, int):
        raise DamagedError("a number stands where a message should")
    return memoryview(value)
