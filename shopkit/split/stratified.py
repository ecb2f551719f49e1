"""Rows at random, with the same mix of classes in each part."""

from __future__ import annotations

import numpy as np

from shopkit.split.base import Rows, Split, classes_of, three_parts
from shopkit.split.settings import StratifiedSplitSettings


class StratifiedSplit(Split):
    """Each class is divided in the same proportion, to one row."""

    settings: StratifiedSplitSettings

    def parts(self, rows: Rows) -> np.ndarray:
        target = rows.the("target", "stratified", "Name it with view.target.")
        return three_parts(classes_of(rows.codes(target.name), "stratified"), self.settings, self.settings.seed)
