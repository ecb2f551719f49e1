"""Word pieces (Schuster, Nakajima 2012; Wu et al. 2016) as BERT reads them (Devlin et al. 2019), in the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import ClassVar

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.v21 as op

from shopkit.errors import ConfigError
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FitContext, State
from shopkit.features.settings import WordpieceSettings
from shopkit.features.tokens import Layout, lay_out, row_by_row, text_batches
from shopkit.features.tokens_bert import FIRST, SEPARATOR, Normalization, WordPieces, encoder_folder, learn, read
from shopkit.features.wordpiece_graph import word_pieces
from shopkit.schema import Kind


class Wordpiece(Extractor):
    """Equal to Hugging Face's BERT tokenizer, but for a special token that a text spells out ("[SEP]"), which is text here."""

    accepts: ClassVar[tuple[Kind, ...]] = ("string",)
    gives = "tokens"
    settings: WordpieceSettings

    def fit(self, column: str, context: FitContext) -> State:
        return self.fit_columns([column], context)[0]

    def fit_columns(self, columns: Sequence[str], context: FitContext) -> tuple[State, ...]:
        """`vocabulary` (V,) and `normalization` (4,), the same for all: one stream has one vocabulary."""
        settings = self.settings
        try:
            if settings.vocabulary == "scratch":
                pieces = learn(
                    lambda: text_batches(columns, context), settings.vocabulary_size, settings.min_count, settings.lowercase
                )
            else:
                pieces = read(encoder_folder(settings.vocabulary))
        except ImportError as error:
            raise ConfigError("The extractor wordpiece needs the package tokenizers: pip install 'shopkit[text]'.") from error
        return tuple(self.state_of(pieces) for _ in columns)

    @staticmethod
    def state_of(pieces: WordPieces) -> State:
        return {
            "vocabulary": np.array(pieces.vocabulary, object),
            "normalization": np.array(astuple(pieces.normalization), np.int64),
        }

    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        vocabulary = state["vocabulary"]
        return (
            FeatureBlock(
                column,
                "wordpiece",
                "tokens",
                0,
                1,
                tuple(vocabulary),
                cardinality=len(vocabulary),
                shape=(self.settings.max_length,),
            ),
        )

    def transform(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> Encoded:
        pieces = _pieces(states[0])
        texts = row_by_row(columns)
        ids, text_of = word_pieces(texts, pieces)
        first, separator = pieces.id_of(FIRST), pieces.id_of(SEPARATOR)
        layout = Layout(len(columns), self.settings.max_length, self.settings.keep, first, separator)
        return lay_out(ids, text_of, op.shape(texts), layout)

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        """What `tokenizers` makes of a column alone, (N, longest row)."""
        tokenizer = _pieces(state).tokenizer(self.settings.max_length, self.settings.keep)
        rows = [encoding.ids for encoding in tokenizer.encode_batch([str(value) for value in values])]
        return np.array(rows, np.int64).reshape(len(values), -1)

    def assets(self, states: Sequence[State]) -> dict[str, str]:
        """`tokenizer.json`, for runtimes without the graph's operators."""
        return {"tokenizer.json": _pieces(states[0]).tokenizer(self.settings.max_length, self.settings.keep).to_str(pretty=True)}


def _pieces(state: State) -> WordPieces:
    return WordPieces(tuple(map(str, state["vocabulary"])), Normalization(*map(bool, state["normalization"])))
