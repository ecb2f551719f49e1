"""N-grams of tokens: counted in fitting, looked up in the graph through a trie of whole numbers.

A token is looked up once, as a string. From then on an n-gram is a pair, the number of its first n − 1 tokens and that of its
last, and one `LabelEncoder` of whole numbers for each n tells whether the pair is known: no string is put together in the graph,
and the file holds each token once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import spox
import spox.opset.ai.onnx.ml.v4 as ml
import spox.opset.ai.onnx.v21 as op

from shopkit.features.flat import firsts, head, lasts, tail
from shopkit.features.settings import NgramSettings
from shopkit.features.text import Tokens, token_groups

_SHIFT = 32
"""Bits for the last token of an n-gram's key, in fitting."""


def split(term: str, analyzer: str) -> tuple[str, ...]:
    """The tokens of a term."""
    return tuple(term.split(" ")) if analyzer == "word" else tuple(term) or ("",)


def terms_of(text: str, settings: NgramSettings) -> Iterator[str]:
    """The terms of a text one by one, in plain Python; as scikit-learn."""
    shortest, longest = settings.ngram_range
    joint = " " if settings.analyzer == "word" else ""
    for tokens in token_groups(text, settings):
        if settings.analyzer == "char_wb" and len(tokens) < shortest:
            yield joint.join(tokens)  # a word that is shorter than every n-gram is one itself
        for n in range(shortest, longest + 1):
            for at in range(len(tokens) - n + 1):
                yield joint.join(tokens[at : at + n])


def look_up(tokens: Tokens, terms: Sequence[str], settings: NgramSettings) -> tuple[spox.Var, spox.Var]:
    """All known terms of all texts: their place in `terms` and their text, int64 (total,) each."""
    trie = Trie.of([split(term, settings.analyzer) for term in terms])
    symbols = trie.symbol(tokens.texts)
    # 0, as of an unknown token, where another text or word begins: no n-gram reaches across.
    follows = op.where(firsts(tokens.groups), op.const(np.int64(0)), symbols)
    shortest, longest = settings.ngram_range
    # Of `char_wb`, a word that is shorter than every n-gram is a term itself; with its blanks it has 3 characters at least.
    least = 3 if settings.analyzer == "char_wb" else shortest
    nodes, found, rows = symbols, [], []
    for n in range(1, longest + 1):
        if n > 1:
            nodes = trie.step(n, head(nodes), tail(follows, n - 1))
        if n < min(least, shortest):
            continue
        given = trie.first(nodes) if n == 1 else nodes
        if n < shortest:
            given = op.where(_whole(tokens.groups, n), given, op.const(np.int64(0)))
        found.append(given)
        rows.append(head(tokens.rows, n - 1))
    every, of_row = _end_to_end(found), _end_to_end(rows)
    known = op.greater(every, op.const(np.int64(0)))
    if trie.has_inner:
        known = op.and_(known, op.less_or_equal(every, op.const(np.int64(len(terms)))))
    return op.sub(op.compress(every, known, axis=0), op.const(np.int64(1))), op.compress(of_row, known, axis=0)


def find(tokens: Tokens, words: Sequence[str]) -> tuple[spox.Var, spox.Var]:
    """The same of single tokens."""
    places = ml.label_encoder(tokens.texts, keys_strings=list(words), values_int64s=list(range(len(words))), default_int64=-1)
    known = op.greater_or_equal(places, op.const(np.int64(0)))
    return op.compress(places, known, axis=0), op.compress(tokens.rows, known, axis=0)


def texts_of(tokens: Tokens, settings: NgramSettings) -> tuple[spox.Var, spox.Var]:
    """All terms of all texts, known or not: as strings (total,), and their text, int64 (total,)."""
    shortest, longest = settings.ngram_range
    least = 3 if settings.analyzer == "char_wb" else shortest
    grams, found, rows = tokens.texts, [], []
    for n in range(1, longest + 1):
        if n > 1:
            grams = head(grams)
            if settings.analyzer == "word":
                grams = op.string_concat(grams, op.const(np.array(" ")))
            grams = op.string_concat(grams, tail(tokens.texts, n - 1))
        if n < min(least, shortest):
            continue
        kept = op.equal(head(tokens.groups, n - 1), tail(tokens.groups, n - 1))
        if n < shortest:
            kept = op.and_(kept, _whole(tokens.groups, n))
        found.append(op.compress(grams, kept, axis=0))
        rows.append(op.compress(head(tokens.rows, n - 1), kept, axis=0))
    return _end_to_end(found), _end_to_end(rows)


def _whole(groups: spox.Var, n: int) -> spox.Var:
    """Which runs of n tokens begin where a group begins and end where one ends."""
    return op.and_(head(firsts(groups), n - 1), tail(lasts(groups), n - 1))


def _end_to_end(parts: list[spox.Var]) -> spox.Var:
    return op.concat(parts, axis=0) if len(parts) > 1 else parts[0]


@dataclass(frozen=True)
class Trie:
    """Known n-grams and all that they begin with, each with a number: its place among the terms plus 1, or a larger one."""

    symbols: dict[str, int]
    """Token → its number from 1; 0 is every other."""
    nodes: dict[tuple[str, ...], int]
    n_terms: int

    @classmethod
    def of(cls, terms: Sequence[tuple[str, ...]]) -> Trie:
        nodes = {term: at for at, term in enumerate(terms, 1)}
        for term in terms:
            for n in range(1, len(term)):
                nodes.setdefault(term[:n], len(nodes) + 1)
        symbols = {token: at for at, token in enumerate(sorted({token for term in terms for token in term}), 1)}
        return cls(symbols, nodes, len(terms))

    @property
    def has_inner(self) -> bool:
        return len(self.nodes) > self.n_terms

    def symbol(self, texts: spox.Var) -> spox.Var:
        return ml.label_encoder(
            texts, keys_strings=list(self.symbols), values_int64s=list(self.symbols.values()), default_int64=0
        )

    def first(self, symbols: spox.Var) -> spox.Var:
        """The nodes of single tokens."""
        known = [0, *(self.nodes.get((token,), 0) for token in self.symbols)]
        return op.gather(op.const(np.array(known, np.int64)), symbols)

    def step(self, n: int, before: spox.Var, symbols: spox.Var) -> spox.Var:
        """The nodes of n-grams, from those of their first n − 1 tokens (of one: its symbol) and the symbol of the last."""
        base = len(self.symbols) + 1
        keys, values = [-1], [0]  # a table needs a key
        for term, node in self.nodes.items():
            if len(term) == n:
                prefix = self.symbols[term[0]] if n == 2 else self.nodes[term[:-1]]
                keys.append(prefix * base + self.symbols[term[-1]])
                values.append(node)
        pairs = op.add(op.mul(before, op.const(np.int64(base))), symbols)
        return ml.label_encoder(pairs, keys_int64s=keys, values_int64s=values, default_int64=0)


@dataclass
class Level:
    """The n-grams of one n that were met, each with a number in the order of meeting."""

    keys: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """Sorted: the number of the first n − 1 tokens, then that of the last."""
    numbers: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """The number of each key."""
    n_texts: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """By number: texts that have it."""
    n_times: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """By number: how often it occurs."""

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Numbers of the keys; new ones are taken in."""
        distinct, back = np.unique(keys, return_inverse=True)
        places = np.searchsorted(self.keys, distinct)
        known = places < len(self.keys)
        known[known] = self.keys[places[known]] == distinct[known]
        fresh = len(self.keys) + np.arange(int((~known).sum()))
        self.numbers = np.insert(self.numbers, places[~known], fresh)
        self.keys = np.insert(self.keys, places[~known], distinct[~known])
        self.n_texts, self.n_times = (np.pad(counts, (0, len(fresh))) for counts in (self.n_texts, self.n_times))
        return np.asarray(self.numbers[np.searchsorted(self.keys, distinct)][back])

    def count(self, numbers: np.ndarray, rows: np.ndarray) -> None:
        """Take note of n-grams and the texts they are of."""
        self.n_times += np.bincount(numbers, minlength=len(self))
        pairs = np.unique(rows * len(self) + numbers)
        self.n_texts += np.bincount(pairs % max(1, len(self)), minlength=len(self))

    def by_number(self) -> np.ndarray:
        keys = np.empty_like(self.keys)
        keys[self.numbers] = self.keys
        return keys


class Counter:
    """Counts of all n-grams, batch by batch: memory grows with the n-grams there are, not with the texts."""

    def __init__(self, settings: NgramSettings) -> None:
        self.settings = settings
        self.symbols: dict[str, int] = {}
        self.levels = [Level() for _ in range(settings.ngram_range[1])]
        self.n_texts = 0

    def add(self, tokens: np.ndarray, rows: np.ndarray, groups: np.ndarray, n_texts: int) -> None:
        """A batch of tokens, as `text.token_batches` gives them."""
        self.n_texts += n_texts
        encoded = pa.array(tokens, pa.string()).dictionary_encode()
        known = [self.symbols.setdefault(token, len(self.symbols)) for token in encoded.dictionary.to_pylist()]
        symbols = np.array(known, np.int64)[encoded.indices.to_numpy()]
        ends = np.flatnonzero(np.diff(groups, append=-1))
        sizes = np.diff(ends, prepend=-1)
        left = np.repeat(ends, sizes) - np.arange(len(groups))  # tokens that follow in the group
        size = np.repeat(sizes, sizes)
        shortest = self.settings.ngram_range[0]
        at, nodes = np.arange(len(symbols)), symbols
        for n, level in enumerate(self.levels, 1):
            kept = left[at] >= n - 1
            at, nodes = at[kept], nodes[kept]
            nodes = level.find((nodes << _SHIFT) | symbols[at + n - 1] if n > 1 else nodes)
            if n >= shortest:
                level.count(nodes, rows[at])
            elif self.settings.analyzer == "char_wb":
                whole = size[at] == n
                level.count(nodes[whole], rows[at[whole]])

    def terms(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For each n: all n-grams as text (object), the texts that have them, and how often they occur."""
        names = np.array(list(self.symbols), object)
        joint = " " if self.settings.analyzer == "word" else ""
        before = names
        for n, level in enumerate(self.levels, 1):
            keys = level.by_number()
            before = names[keys] if n == 1 else before[keys >> _SHIFT] + joint + names[keys & ((1 << _SHIFT) - 1)]
            yield before, level.n_texts, level.n_times
