"""The data say which part a row belongs to."""

from __future__ import annotations

import re

import numpy as np

from shopkit.errors import DataError, nearest
from shopkit.split.base import TEST, TRAIN, VALIDATION, Rows, Split, draw, whole
from shopkit.split.settings import GivenSplitSettings

_NONE = -2
"""No part: the value names none."""


class GivenSplit(Split):
    """Parts as a column names them."""

    settings: GivenSplitSettings

    @property
    def not_features(self) -> tuple[str, ...]:
        return (self.settings.column,)

    def parts(self, rows: Rows) -> np.ndarray:
        settings = self.settings
        if settings.column not in rows.schema:
            raise DataError(
                f"split given: the examples have no column '{settings.column}'.{nearest(settings.column, rows.schema.names)} "
                "Set split.column to the one that names the part."
            )
        codes = rows.codes(settings.column)
        texts = rows.distinct(settings.column).astype(str)
        by_value = whole(len(texts), _NONE)
        for part, wanted in ((TRAIN, settings.train), (VALIDATION, settings.validation), (TEST, settings.test)):
            by_value[self._matching(texts, wanted)] = part
        parts = np.asarray(by_value[codes])
        unknown = np.flatnonzero(parts == _NONE)
        if len(unknown):
            row = int(unknown[0])
            raise DataError(
                f"split given: column '{settings.column}', row {row} holds {str(texts[codes[row]])!r}, which is none of "
                f"'{settings.train}', '{settings.validation}', '{settings.test}'. Name the values with split.train, "
                "split.validation and split.test."
            )
        if not (parts == VALIDATION).any():
            train = np.flatnonzero(parts == TRAIN)
            chosen = draw(np.zeros(len(train), np.int64), settings.validation_fraction, np.random.default_rng(settings.seed))
            parts[train[chosen]] = VALIDATION
        return parts

    def _matching(self, texts: np.ndarray, wanted: str) -> np.ndarray:
        if self.settings.match == "value":
            return np.asarray(texts == wanted)
        pattern = re.compile(wanted)
        return np.array([pattern.search(text) is not None for text in texts], bool)
