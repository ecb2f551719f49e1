"""One row given as a dict: most of its time would go into making seventeen arrays, so they are cut from two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shopkit.schema import Column

_NUMBERS = frozenset((float, int, bool, np.float32, np.float64, np.int64, np.bool_))
_TEXT = frozenset((str,))
_NAN, _LARGEST = float("nan"), 3.4e38
SCALARS = _NUMBERS | _TEXT | {type(None)}
"""Types of values that are surely not columns of many rows."""


class OneRow:
    """The plain columns of a file, told apart once.

    Args:
        columns: those it takes, each with the name of its input.
    """

    def __init__(self, columns: Sequence[tuple[Column, str]]) -> None:
        numbers = [(c.name, name) for c, name in columns if c.kind == "number" and not c.double]
        texts = [(c.name, name) for c, name in columns if c.kind == "string" and not c.integer]
        self.is_plain = len(numbers) + len(texts) == len(columns) and not any(column.sequence for column, _ in columns)
        self._numbers, self._texts = [name for name, _ in numbers], [name for name, _ in texts]
        self._inputs = [name for _, name in numbers + texts]

    def feed(self, row: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
        """The inputs of the graph, each (1,); None where a value needs a closer look.

        Raises:
            KeyError: a column is missing.
        """
        if not self.is_plain:
            return None
        numbers = [_NAN if (value := row[name]) is None else value for name in self._numbers]
        texts = ["" if (value := row[name]) is None else value for name in self._texts]
        if not (_NUMBERS.issuperset(map(type, numbers)) and _TEXT.issuperset(map(type, texts)) and "".join(texts).isascii()):
            return None
        for value in numbers:
            if not -_LARGEST < value < _LARGEST and value == value:
                return None
        values = np.array(numbers, np.float32)
        words = np.empty(len(texts), object)
        words[:] = texts
        arrays = [values[i : i + 1] for i in range(len(numbers))] + [words[i : i + 1] for i in range(len(texts))]
        return dict(zip(self._inputs, arrays, strict=True))
