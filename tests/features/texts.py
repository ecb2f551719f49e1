"""Texts in several scripts, and bags as scikit-learn's matrices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import strategies as st

from tests.features.fitting import texts

WORDS = {
    "zh": "这个 东西 很好 吃 下次 还来 买 质量 太差 了 不 推荐 物流 快",
    "en": "The fabric feels soft, I love it! Returned: too small… size_8 10% off a",
    "mixed": "Größe ÉTÉ naïve Привет, мир سعر جيد ελληνικά 가격 good हिन्दी 😀😀 x² Ⅷ",
}
_RNG = np.random.default_rng(0)


def made(n: int) -> np.ndarray:
    """So many texts, some of them empty, of blanks, or of one character."""
    found = []
    for at in range(n):
        language = list(WORDS)[at % 3]
        words = _RNG.choice(WORDS[language].split(" "), _RNG.integers(0, 12))
        found.append(("" if language == "zh" else " ").join(words))
    return texts([*found, "", " ", "  \t\n", "a", " a", "中", "A  b\n\nc　　d", "İstanbul ΣΑΣ"])


TRAIN = made(150)
ANY_TEXT = st.one_of(
    st.lists(st.sampled_from([*" ".join(WORDS.values()).split(" "), " ", "\n", "　"]), max_size=15).map(" ".join),
    # Python's tables and the graph's are of different years: what is too new for one of them is no part of the promise.
    st.text(st.characters(codec="utf-8", exclude_characters="\0İΣ", exclude_categories=["Cn", "Co", "Cs"]), max_size=40),
)


def as_matrix(outputs: Mapping[str, np.ndarray], width: int) -> np.ndarray:
    """`bag_ids` and `bag_weights` as (N, width), the ids of each row distinct."""
    ids, weights = outputs["bag_ids"], outputs["bag_weights"]
    matrix = np.zeros((len(ids), width), np.float32)
    for row, of_row, weight in zip(matrix, ids, weights, strict=True):
        there = of_row[weight != 0]
        assert len(set(there.tolist())) == len(there)
        row[there] = weight[weight != 0]
    return matrix
