"""N-grams of a text, weighed by tf-idf.

Spärck Jones: A statistical interpretation of term specificity and its application in retrieval (1972); the weights, with their
smoothing and scaling, as scikit-learn's `TfidfVectorizer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import ndonnx as ndx
import numpy as np
import spox.opset.ai.onnx.v21 as op

from shopkit.features.bags import Bag, counted, joined, scaled
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FitContext, State
from shopkit.features.ngrams import Counter, look_up, terms_of
from shopkit.features.settings import TfidfSettings
from shopkit.features.text import token_batches, tokens
from shopkit.schema import Kind


class Tfidf(Extractor):
    """A bag of the terms of the training part, in the order of their text. A text without a known term is empty.

    Equal to scikit-learn's `TfidfVectorizer` of the same settings, but for "İ" and a final "Σ", which Python lower-cases by
    rules of their own.
    """

    accepts: ClassVar[tuple[Kind, ...]] = ("string",)
    gives = "bag"
    settings: TfidfSettings

    def fit(self, column: str, context: FitContext) -> State:
        """`terms` (V,) and `idf` (V,)."""
        counter = Counter(self.settings)
        for batch in token_batches(column, context, self.settings):
            counter.add(*batch)
        names, n_texts, n_times = (np.concatenate(parts) for parts in zip(*counter.terms(), strict=True))
        kept = (n_texts >= self.settings.min_df) & (n_texts <= self.settings.max_df * counter.n_texts)
        names, n_texts, n_times = names[kept], n_texts[kept], n_times[kept]
        order = np.argsort(names)
        if self.settings.max_features:
            order = np.sort(order[np.argsort(-n_times[order], kind="stable")[: self.settings.max_features]])
            order = order[np.argsort(names[order])]
        names, n_texts = names[order], n_texts[order]
        if not len(names):  # a column without a term still needs a position
            return {"terms": np.array([""], object), "idf": np.ones(1)}
        if not self.settings.use_idf:
            return {"terms": names, "idf": np.ones(len(names))}
        more = int(self.settings.smooth_idf)
        return {"terms": names, "idf": np.log((counter.n_texts + more) / (n_texts + more)) + 1}

    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        names = tuple(f"{column}: {term}" for term in state["terms"])
        return (FeatureBlock(column, "tfidf", "bag", 0, len(names), names),)

    def transform(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> Encoded:
        bags = [self._bag(column, state).scaled(self.settings.norm) for column, state in zip(columns, states, strict=True)]
        ids, weights = joined([bag.padded() for bag in bags], [len(state["terms"]) for state in states])
        return Encoded(bag_ids=ndx.asarray(ids), bag_weights=ndx.asarray(weights))

    def _bag(self, column: ndx.Array, state: State) -> Bag:
        terms, rows = look_up(tokens(column, self.settings), [str(term) for term in state["terms"]], self.settings)
        bag = counted(terms, rows, op.shape(column.unwrap_spox()), len(state["terms"]))
        weights = bag.weights
        if self.settings.sublinear_tf:
            weights = op.add(op.log(weights), op.const(np.float32(1)))
        if self.settings.use_idf:
            weights = op.mul(weights, op.gather(op.const(state["idf"].astype(np.float32)), bag.ids))
        return Bag(bag.ids, bag.rows, weights, bag.n_rows)

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        """(N,) strings → (N, V) weights."""
        places = {term: at for at, term in enumerate(state["terms"])}
        weights = np.zeros((len(values), len(places)))
        for row, text in zip(weights, values, strict=True):
            for term in terms_of(text, self.settings):
                if term in places:
                    row[places[term]] += 1
        if self.settings.sublinear_tf:
            weights = np.where(weights > 0, 1 + np.log(np.maximum(weights, 1)), 0)
        return scaled(weights * state["idf"], self.settings.norm).astype(np.float32)
