"""Rows at random."""

from __future__ import annotations

import numpy as np

from shopkit.split.base import Rows, Split, three_parts
from shopkit.split.settings import RandomSplitSettings


class RandomSplit(Split):
    """Each row to a part by chance, in exact proportion."""

    settings: RandomSplitSettings

    def parts(self, rows: Rows) -> np.ndarray:
        return three_parts(np.zeros(rows.n_rows, np.int8), self.settings, self.settings.seed)
