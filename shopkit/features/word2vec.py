"""The mean of a text's word vectors, learnt from the training part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import ndonnx as ndx
import numpy as np
import pyarrow as pa
import spox.opset.ai.onnx.v21 as op

from shopkit.features import traced
from shopkit.features.bags import counted
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FitContext, State
from shopkit.features.ngrams import find
from shopkit.features.settings import Word2vecSettings
from shopkit.features.skip_gram import vectors
from shopkit.features.text import token_batches, token_groups, tokens
from shopkit.schema import Kind


class Word2vec(Extractor):
    """dim numbers of each text: the mean of its known words' vectors, 0 where it has none. Words that recur count each time."""

    accepts: ClassVar[tuple[Kind, ...]] = ("string",)
    settings: Word2vecSettings

    def fit(self, column: str, context: FitContext) -> State:
        """`words` (V,) by falling count, and `vectors` float64 (V, dim)."""
        numbers: dict[str, int] = {}
        counts: np.ndarray = np.zeros(0, np.int64)
        texts: list[np.ndarray] = []
        for found, rows, _, n_texts in token_batches(column, context, self.settings):
            # As numbers, of which there is one a word; as strings all words of all texts would take many times as much.
            encoded = pa.array(found, pa.string()).dictionary_encode()
            of_batch = [numbers.setdefault(word, len(numbers)) for word in encoded.dictionary.to_pylist()]
            ids = np.array(of_batch, np.int32)[encoded.indices.to_numpy()]
            counts = np.pad(counts, (0, len(numbers) - len(counts))) + np.bincount(ids, minlength=len(numbers))
            texts += np.split(ids, np.searchsorted(rows, np.arange(1, n_texts)))
        counted_words = zip(numbers, counts.tolist(), strict=True)
        frequent = sorted((-n, word) for word, n in counted_words if n >= self.settings.min_count)[: self.settings.max_size]
        words = [word for _, word in frequent]
        if not words:  # a table needs a row
            return {"words": np.array([""], object), "vectors": np.zeros((1, self.settings.dim))}
        places: np.ndarray = np.full(len(numbers), -1, np.int32)
        places[[numbers[word] for word in words]] = np.arange(len(words))
        known = [of_text[of_text >= 0] for of_text in (places[text] for text in texts)]
        # In an order of their own: shuffled rows give the same vectors.
        known.sort(key=lambda text: text.tobytes())
        lengths = np.array([len(text) for text in known])
        learnt = vectors(np.concatenate(known), lengths, len(words), self.settings, context.seed)
        return {"words": np.array(words, object), "vectors": learnt.astype(np.float64)}

    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        names = tuple(f"{column} word2vec {at}" for at in range(self.settings.dim))
        return (FeatureBlock(column, "word2vec", "dense", 0, len(names), names),)

    def transform(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> Encoded:
        return Encoded(dense=traced.side_by_side([self._mean(c, state) for c, state in zip(columns, states, strict=True)]))

    def _mean(self, column: ndx.Array, state: State) -> ndx.Array:
        words = [str(word) for word in state["words"]]
        found = tokens(column, self.settings)
        places, rows = find(found, words)
        bag = counted(places, rows, op.shape(column.unwrap_spox()), len(words)).scaled("l1")
        ids, shares = bag.padded()  # (N, K)
        of_words = op.gather(op.const(state["vectors"].astype(np.float32)), ids)  # (N, K, dim)
        mean = op.matmul(op.unsqueeze(shares, op.const(np.array([1]))), of_words)  # (N, 1, dim)
        return ndx.asarray(op.squeeze(mean, op.const(np.array([1]))))

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        places = {word: at for at, word in enumerate(state["words"])}
        means = np.zeros((len(values), self.settings.dim), np.float32)
        for mean, text in zip(means, values, strict=True):
            known = [places[word] for group in token_groups(text, self.settings) for word in group if word in places]
            if known:
                mean[:] = state["vectors"][known].mean(0)
        return means
