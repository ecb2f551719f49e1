"""N-grams of a text, numbered by their hash.

Weinberger et al.: Feature hashing for large scale multitask learning (2009); MurmurHash3 of Appleby.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import ndonnx as ndx
import numpy as np
import spox
import spox.opset.ai.onnx.v21 as op

from shopkit.features.bags import Bag, counted, joined, scaled
from shopkit.features.base import Encoded, Extractor, FeatureBlock, FitContext, State
from shopkit.features.contrib_ops import murmur_hash3
from shopkit.features.ngrams import terms_of, texts_of
from shopkit.features.settings import HashedNgramsSettings
from shopkit.features.text import tokens
from shopkit.schema import Kind


class HashedNgrams(Extractor):
    """A bag of all terms of a text, known or not: nothing is learnt. Equal to scikit-learn's `HashingVectorizer` of the same
    settings with 2 ** `n_bits` features."""

    accepts: ClassVar[tuple[Kind, ...]] = ("string",)
    gives = "bag"
    settings: HashedNgramsSettings

    @property
    def n_buckets(self) -> int:
        return 1 << self.settings.n_bits

    def fit(self, column: str, context: FitContext) -> State:
        return {}

    def blocks(self, column: str, state: State) -> tuple[FeatureBlock, ...]:
        return (FeatureBlock(column, "hashed_ngrams", "bag", 0, self.n_buckets, ()),)

    def transform(self, columns: Sequence[ndx.Array], states: Sequence[State]) -> Encoded:
        bags = [self._bag(column).scaled(self.settings.norm).padded() for column in columns]
        ids, weights = joined(bags, [self.n_buckets] * len(columns))
        return Encoded(bag_ids=ndx.asarray(ids), bag_weights=ndx.asarray(weights))

    def _bag(self, column: ndx.Array) -> Bag:
        texts, rows = texts_of(tokens(column, self.settings), self.settings)
        hashes = op.cast(murmur_hash3(texts), to=np.int64)
        buckets = op.mod(op.abs(hashes), op.const(np.int64(self.n_buckets)))
        signs = None
        if self.settings.alternate_sign:
            negative = op.less(hashes, op.const(np.int64(0)))
            signs = op.where(negative, op.const(np.int64(-1)), op.const(np.int64(1)))
        n_rows: spox.Var = op.shape(column.unwrap_spox())
        return counted(buckets, rows, n_rows, self.n_buckets, signs)

    def reference(self, values: np.ndarray, state: State) -> np.ndarray:
        """(N,) strings → (N, 2 ** n_bits) weights."""
        weights = np.zeros((len(values), self.n_buckets))
        for row, text in zip(weights, values, strict=True):
            for term in terms_of(text, self.settings):
                value = murmur3(term.encode())
                row[abs(value) % self.n_buckets] += -1 if self.settings.alternate_sign and value < 0 else 1
        return scaled(weights, self.settings.norm).astype(np.float32)


def murmur3(data: bytes) -> int:
    """MurmurHash3, x86, 32 bits, seed 0, as a signed number."""
    mask = 0xFFFFFFFF

    def rotated(x: int, bits: int) -> int:
        return (x << bits | x >> (32 - bits)) & mask

    def mixed(block: bytes) -> int:
        return rotated(int.from_bytes(block, "little") * 0xCC9E2D51 & mask, 15) * 0x1B873593 & mask

    whole = len(data) // 4 * 4
    value = 0
    for at in range(0, whole, 4):
        value = (rotated(value ^ mixed(data[at : at + 4]), 13) * 5 + 0xE6546B64) & mask
    value ^= mixed(data[whole:]) ^ len(data)
    value = (value ^ value >> 16) * 0x85EBCA6B & mask
    value = (value ^ value >> 13) * 0xC2B2AE35 & mask
    value ^= value >> 16
    return value - (1 << 32) if value >> 31 else value
