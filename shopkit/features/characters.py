"""The characters of a text as ids, for models that learn to read on their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.ml.v4 as ml
import spox.opset.ai.onnx.v21 as op

from shopkit.features import traced
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FitContext, State
from shopkit.features.contrib_ops import tokenize
from shopkit.features.settings import CharactersSettings
from shopkit.features.tokens import Layout, integer, lay_out, row_by_row, text_batches
from shopkit.schema import Kind

LOCALE = "C.UTF-8"
"""Lower-cases alike in every runtime, and exists where no language pack is installed."""
END = traced.FIRST_ID
"""The id that ends each of several texts; the characters' own follow."""


class Characters(Extractor):
    """Code point → id: 0 padding, 1 unknown or rare, 2 the end of one of several texts, then by falling count."""

    accepts: ClassVar[tuple[Kind, ...]] = ("string",)
    gives = "tokens"
    settings: CharactersSettings

    def fit(self, column: str, context: FitContext) -> State:
        return self.fit_columns([column], context)[0]

    def fit_columns(self, columns: Sequence[str], context: FitContext) -> tuple[State, ...]:
        """`characters` (V,), the same for all: one stream has one vocabulary."""
        found: Counter[str] = Counter()
        for texts in text_batches(columns, context):
            found.update(self._lowered("".join(texts)))
        ordered = sorted(found, key=lambda character: (-found[character], character))
        kept = [character for character in ordered if found[character] >= self.settings.min_count][: self.settings.max_size]
        return tuple({"characters": np.array(kept, object)} for _ in columns)

    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        names = ("[PAD]", "[UNK]", "[SEP]", *state["characters"])
        return (
            FeatureBlock(column, "characters", "tokens", 0, 1, names, cardinality=len(names), shape=(self.settings.max_length,)),
        )

    def transform(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> Encoded:
        texts = row_by_row(columns)
        if self.settings.lowercase:
            read = op.string_normalizer(texts, case_change_action="LOWER", locale=LOCALE)
        else:
            read = texts
        known = self._ids(states[0])
        ids = ml.label_encoder(
            tokenize(read), keys_strings=["", *known], values_int64s=[0, *known.values()], default_int64=traced.UNKNOWN_ID
        )
        places = op.non_zero(ids)
        separator = END if len(columns) > 1 else None
        layout = Layout(len(columns), self.settings.max_length, self.settings.keep, None, separator)
        return lay_out(op.gather_nd(ids, op.transpose(places)), op.gather(places, integer(0)), op.shape(texts), layout)

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        """(N, longest row) of a column alone."""
        known, longest = self._ids(state), self.settings.max_length
        rows = [[known.get(character, traced.UNKNOWN_ID) for character in self._lowered(value)] for value in values]
        rows = [row[:longest] if self.settings.keep == "start" else row[-longest:] for row in rows]
        padded = np.zeros((len(rows), max(1, *map(len, rows)) if rows else 1), np.int64)
        for row, ids in zip(padded, rows, strict=True):
            row[: len(ids)] = ids
        return padded

    def _ids(self, state: State) -> dict[str, int]:
        return {str(character): END + 1 + at for at, character in enumerate(state["characters"])}

    def _lowered(self, text: str) -> str:
        # Character by character, as the graph does it; Python has a rule of its own for this one.
        return "".join("i" if character == "İ" else character.lower() for character in text) if self.settings.lowercase else text
