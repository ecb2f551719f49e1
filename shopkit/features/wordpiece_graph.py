"""WordPiece as a graph: what `tokenizers` does with `BertNormalizer`, `BertPreTokenizer` and `WordPiece`, in integers.

Every character is looked up once and becomes a small code; from then on nothing is a string. Words and their beginnings are
compared by their polynomial hash modulo 2⁶⁴ (int64 wraps around), made from running sums, so any substring's hash is one
subtraction (Karp & Rabin 1987). Words that are whole in the vocabulary, nearly all, take one look-up; of the others, the
longest piece that begins with each character is looked up, and the pieces that a greedy split comes to are found by pointer
doubling (Hillis & Steele 1986), for all words at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import spox
import spox.opset.ai.onnx.ml.v4 as ml
import spox.opset.ai.onnx.v21 as op

from shopkit.features.contrib_ops import tokenize
from shopkit.features.tokens import count, integer, ints
from shopkit.features.tokens_bert import (
    LONGEST_WORD,
    PREFIX,
    UNKNOWN,
    CharacterTable,
    WordPieces,
    character_class,
    character_table,
)

REMOVED, SPACE, UNKNOWN_ISOLATED, FIRST_CODE = 0, 1, 2, 3
"""Codes of characters. Isolated ones come first, then UNKNOWN, then all others, so that one comparison tells them apart."""
BASE = -7046029254386353131
"""Of the hash: 2⁶⁴ / golden ratio, odd, as signed 64-bit."""
CONTINUES = 0x5851F42D4C957F2D
"""Added to the hash of a piece that continues a word."""
BEYOND = 0x14057B7EF767814F
"""Stands for the hash of what is no part of a word: no piece has it."""
N_TURNS = LONGEST_WORD.bit_length()
MASK = (1 << 64) - 1


def signed(value: int) -> int:
    value &= MASK
    return value - (1 << 64) if value >> 63 else value


@dataclass(frozen=True)
class Codes:
    """The code of every normal character that the vocabulary knows."""

    of: dict[str, int]
    unknown: int
    """An ordinary character that is in no token."""

    def hash(self, piece: str) -> int:
        return signed(sum(self.of[character] * pow(BASE, at, 1 << 64) for at, character in enumerate(piece)))


def codes(pieces: WordPieces, table: CharacterTable) -> Codes:
    alphabet = sorted({character for token in pieces.vocabulary for character in _text(token)})
    isolated = [character for character in alphabet if character in table.isolated]
    ordinary = [character for character in alphabet if character not in table.isolated]
    of = {character: FIRST_CODE + at for at, character in enumerate(isolated)}
    unknown = FIRST_CODE + len(isolated)
    return Codes(of | {character: unknown + 1 + at for at, character in enumerate(ordinary)}, unknown)


def _text(token: str) -> str:
    return token.removeprefix(PREFIX) or token


def _expansions(table: CharacterTable, coded: Codes) -> dict[str, tuple[int, ...]]:
    """Character → the codes it becomes, for all but unknown letters, CJK and what is removed: these are many, and seldom met."""
    known: dict[str, tuple[int, ...]] = {"": (REMOVED,)}
    for source, normal in table.normal.items():
        if normal == " ":
            known[source] = (SPACE,)
        elif normal and all(character in coded.of for character in normal):
            known[source] = tuple(coded.of[character] for character in normal)
    return known


def character_codes(texts: spox.Var, table: CharacterTable, coded: Codes) -> tuple[spox.Var, spox.Var]:
    """(R,) texts → the codes of all their characters end to end (T,), and each one's text (T,). A space ends every text."""
    known = _expansions(table, coded)
    removed, unknown, isolated = (REMOVED,), (coded.unknown,), (UNKNOWN_ISOLATED,)
    expansions = list(dict.fromkeys([removed, unknown, isolated, *sorted(known.values())]))
    at = {of: row for row, of in enumerate(expansions)}
    other = len(expansions)
    characters = tokenize(op.string_concat(texts, op.const(np.array(" ", np.str_))))  # (R, L)
    rows = ml.label_encoder(
        characters, keys_strings=list(known), values_int64s=[at[of] for of in known.values()], default_int64=other
    )
    places = op.transpose(op.non_zero(op.equal(rows, integer(other))))  # (n, 2)
    asked = op.gather_nd(characters, places)
    cjk = character_class(
        source for source, normal in table.normal.items() if source not in known and set(normal) & table.isolated
    )
    found = op.where(op.regex_full_match(asked, pattern=cjk), integer(at[isolated]), integer(at[unknown]))
    gone = op.regex_full_match(asked, pattern=character_class(source for source, normal in table.normal.items() if not normal))
    rows = op.scatter_nd(rows, places, op.where(gone, integer(at[removed]), found))
    places = op.non_zero(rows)
    rows, text_of = op.gather_nd(rows, op.transpose(places)), op.gather(places, integer(0))
    depth = max(map(len, expansions))
    codes_of = np.array([[*of, *[REMOVED] * (depth - len(of))] for of in expansions])
    if depth == 1:
        return op.gather(op.const(codes_of[:, 0]), rows), text_of
    spread = op.gather(op.const(codes_of), rows)  # (T, depth)
    places = op.non_zero(spread)
    return op.gather_nd(spread, op.transpose(places)), op.gather(text_of, op.gather(places, integer(0)))


def word_pieces(texts: spox.Var, pieces: WordPieces) -> tuple[spox.Var, spox.Var]:
    """(R,) texts → the ids of their tokens end to end (K,), and each one's text (K,)."""
    table = character_table(pieces.normalization)
    coded = codes(pieces, table)
    unknown_id = integer(pieces.id_of(UNKNOWN))
    code, text_of = character_codes(texts, table, coded)
    words = _Words(code, coded)
    look_up = _Vocabulary(pieces, coded)
    whole = look_up(words.hashes())  # (W,)
    whole = op.where(op.greater(words.length, integer(LONGEST_WORD)), unknown_id, whole)
    is_space = op.equal(op.gather(code, words.begin), integer(SPACE))
    split = op.and_(op.less(whole, integer(0)), op.not_(is_space))  # (W,)

    # The characters of words in pieces, (S,): the longest piece that begins with each, and where that leads to.
    at = op.squeeze(op.non_zero(op.gather(split, words.of)), ints(0))
    word = op.gather(words.of, at)
    found = look_up(words.hashes_from(at, word, look_up.sizes), continues=op.gather(words.place, at))  # (S, longest)
    size = op.reduce_max(op.where(op.greater_or_equal(found, integer(0)), look_up.sizes, integer(0)), ints(1))  # (S, 1)
    id_of = op.squeeze(op.gather_elements(found, op.max([op.sub(size, integer(1)), integer(0)]), axis=1), ints(1))
    size = op.squeeze(size, ints(1))
    begins = op.equal(op.gather(words.place, at), integer(0))
    visited = _visited(op.cast(begins, to=np.int64), size)
    stuck = op.mul(visited, op.cast(op.equal(size, integer(0)), to=np.int64))
    failed = op.gather(op.scatter_elements(op.mul(whole, integer(0)), word, stuck, reduction="max"), word)
    of_pieces = op.where(
        op.equal(failed, integer(0)),
        op.where(op.greater(visited, integer(0)), id_of, integer(-1)),
        op.where(begins, unknown_id, integer(-1)),
    )

    ids = op.where(op.equal(words.place, integer(0)), op.gather(whole, words.of), integer(-1))  # (T,)
    ids = op.scatter_elements(ids, at, of_pieces)
    kept = op.greater_or_equal(ids, integer(0))
    return op.compress(ids, kept, axis=0), op.compress(text_of, kept, axis=0)


class _Words:
    """Characters (T,) split at spaces and around isolated ones. A space is a word here, too."""

    def __init__(self, code: spox.Var, coded: Codes) -> None:
        alone = op.less(code, integer(coded.unknown))
        after = op.concat([op.const(np.array([True])), op.slice(alone, ints(0), ints(-1))], axis=0)
        starts = op.or_(alone, after)
        self.begin = op.squeeze(op.non_zero(starts), ints(0))
        """(W,)"""
        self.end = op.concat([op.slice(self.begin, ints(1), ints(2**31)), op.shape(code)], axis=0)
        self.length = op.sub(self.end, self.begin)
        self.of = op.sub(op.cumsum(op.cast(starts, to=np.int64), integer(0)), integer(1))
        """(T,): the word of each character."""
        self.place = op.sub(count(op.shape(code)), op.gather(self.begin, self.of))
        """(T,): within its word."""
        terms = op.mul(code, op.gather(_powers(BASE), op.min([self.place, integer(LONGEST_WORD)])))
        self._sums = op.cumsum(op.concat([ints(0), terms], axis=0), integer(0))  # (T + 1,)

    def hashes(self) -> spox.Var:
        """Of whole words, (W,)."""
        return op.sub(op.gather(self._sums, self.end), op.gather(self._sums, self.begin))

    def hashes_from(self, at: spox.Var, word: spox.Var, sizes: spox.Var) -> spox.Var:
        """Of the parts of so many characters from those at (S,) on, within their words (S,): (S, sizes). What would lie beyond
        the word's end has a hash of its own."""
        stop = op.add(op.unsqueeze(at, ints(1)), sizes)
        end = op.unsqueeze(op.gather(self.end, word), ints(1))
        sums = op.gather(self._sums, op.min([stop, end]))
        place = op.min([op.gather(self.place, at), integer(LONGEST_WORD)])
        inverse = op.gather(_powers(pow(BASE, -1, 1 << 64)), place)
        hashes = op.mul(op.sub(sums, op.unsqueeze(op.gather(self._sums, at), ints(1))), op.unsqueeze(inverse, ints(1)))
        return op.where(op.greater(stop, end), integer(BEYOND), hashes)


class _Vocabulary:
    """Hash → token id, −1 where there is none."""

    def __init__(self, pieces: WordPieces, coded: Codes) -> None:
        # Words of one unknown character are many in a text of another script: they need no splitting.
        self.unknown = dict.fromkeys((coded.unknown, UNKNOWN_ISOLATED), pieces.id_of(UNKNOWN))
        self.ids: dict[int, int] = {}
        for at, token in enumerate(pieces.vocabulary):
            text = _text(token)
            if all(character in coded.of for character in text):
                self.ids[signed(coded.hash(text) + (CONTINUES if text != token else 0))] = at
        longest = max(len(_text(token)) for token in pieces.vocabulary)
        self.sizes = op.const(np.arange(1, longest + 1, dtype=np.int64))

    def __call__(self, hashes: spox.Var, continues: spox.Var | None = None) -> spox.Var:
        """
        Args:
            hashes: of whole words (W,), or of parts of words (S, sizes).
            continues: of parts, the place of each first character in its word (S,).
        """
        if continues is not None:
            salt = op.where(op.greater(continues, integer(0)), integer(CONTINUES), integer(0))
            hashes = op.add(hashes, op.unsqueeze(salt, ints(1)))
        ids = self.ids if continues is not None else self.ids | self.unknown
        return ml.label_encoder(hashes, keys_int64s=list(ids), values_int64s=list(ids.values()), default_int64=-1)


def _visited(begins: spox.Var, size: spox.Var) -> spox.Var:
    """Which characters (S,) a walk from the beginnings comes to, by steps of the size at each: after k turns, 2ᵏ − 1 steps far.

    A walk goes on into the next word, which it enters where that one's own begins.
    """
    step = op.min([op.add(count(op.shape(size)), size), op.shape(size)])
    step = op.concat([step, op.shape(size)], axis=0)  # the place behind the last leads nowhere
    visited = op.concat([begins, ints(0)], axis=0)
    for turn in range(N_TURNS):
        visited = op.scatter_elements(visited, step, visited, reduction="max")
        if turn < N_TURNS - 1:
            step = op.gather(step, step)
    return op.slice(visited, ints(0), ints(-1))


def _powers(base: int) -> spox.Var:
    return op.const(np.array([signed(pow(base, at, 1 << 64)) for at in range(LONGEST_WORD + 1)], np.int64))
