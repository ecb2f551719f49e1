"""Texts as tokens, in the graph: lower-cased, cut, and split into words or characters as scikit-learn's vectorizers do.

Fitting runs the very same graph (`token_batches`), so that what is counted is what is looked up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import ndonnx as ndx
import numpy as np
import spox
import spox.opset.ai.onnx.ml.v4 as ml
import spox.opset.ai.onnx.v21 as op

from shopkit.features.aggregates import answers
from shopkit.features.base import FitContext
from shopkit.features.contrib_ops import tokenize
from shopkit.features.flat import ONE, as_long_as, firsts, flatten, head, lasts, part, running_sum, tail, zeros
from shopkit.features.settings import TextSettings
from shopkit.onnx_format import pin_versions
from shopkit.runtime.artifact import open_session
from shopkit.runtime.blocks import like_length

LOCALE = "C.UTF-8"
"""Lower-cases alike in every runtime, and exists where no language pack is installed."""
LETTER = r"\p{L}\p{N}_"
r"""In RE2, where `\w` is ASCII only: what `\w` is in Python."""
SPACES = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
r"""All that `\s` is in Python."""
PIECE = 100
"""Characters of the pieces that a text is cut into before they are split further, so that one long text, whose tokens stand in a
row, does not lengthen all others by as many. RE2 is slow with much longer ones."""
PIECES = {
    "char": f"(?s:.{{1,{PIECE}}})",
    # The longest match: up to the last character that is no letter, or a whole word.
    "word": f"(?s:.{{0,{PIECE - 1}}}[^{LETTER}])|[{LETTER}]+",
}
TOKENS = {"word": f"[{LETTER}]{{2,}}", "letter": f"[{LETTER}]"}
BATCH_ROWS = 8192
BUDGET = 1 << 20
"""Characters that go through the graph at once in fitting, padding included."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of N texts, end to end: nothing is padded, so that one long text does not lengthen all."""

    texts: spox.Var
    """string (total,): words, or characters."""
    rows: spox.Var
    """int64 (total,), ascending: the text it is of."""
    groups: spox.Var
    """int64 (total,), ascending: an n-gram is made of neighbours of one group, a text, or of `char_wb` a word."""


def tokens(column: ndx.Array, settings: TextSettings) -> Tokens:
    """Strings (N,) → their tokens. N may be 0."""
    # An empty text after the last: StringNormalizer takes no empty array, Tokenizer would lose a dimension.
    texts = op.concat([column.unwrap_spox(), op.const(np.array([""]))], axis=0)
    if settings.lowercase:
        texts = op.string_normalizer(texts, case_change_action="LOWER", locale=LOCALE)
    unit = "word" if settings.analyzer == "word" else "char"
    pieces = tokenize(texts, PIECES[unit])
    pieces, rows = _flat(part(pieces, 0, n_pieces(settings), axis=1) if settings.max_characters else pieces)
    # Again a last one, as all texts may be empty.
    found, piece = _flat(tokenize(op.concat([pieces, op.const(np.array([""]))], axis=0), TOKENS.get(settings.analyzer)))
    rows = op.gather(rows, piece)
    if settings.analyzer in TOKENS:
        return Tokens(found, rows, rows)
    spaces = ml.label_encoder(found, keys_strings=list(SPACES), values_int64s=[1] * len(SPACES), default_int64=0)
    return (_in_words if settings.analyzer == "char_wb" else _in_texts)(found, rows, spaces)


def n_pieces(settings: TextSettings) -> int:
    return -(-settings.max_characters // PIECE)


def _flat(found: spox.Var) -> tuple[spox.Var, spox.Var]:
    """Strings (M, T) padded with "" → those that are not "" (total,), and the row of each."""
    there = op.not_(op.equal(found, op.const(np.array(""))))
    return op.compress(flatten(found), flatten(there), axis=0), op.gather(op.non_zero(there), op.const(np.int64(0)), axis=0)


def _in_texts(characters: spox.Var, rows: spox.Var, spaces: spox.Var) -> Tokens:
    """Characters with every run of two spaces or more made one blank, as scikit-learn's `char`."""
    is_space = op.cast(spaces, to=np.bool_)
    pair = op.and_(op.and_(head(is_space), tail(is_space)), op.equal(head(rows), tail(rows)))
    no = op.const(np.array([False]))
    goes_on = as_long_as(op.concat([pair, no], axis=0), rows)
    went_on = as_long_as(op.concat([no, pair], axis=0), rows)
    characters = op.where(goes_on, op.const(np.array(" ")), characters)
    kept = op.not_(went_on)
    rows = op.compress(rows, kept, axis=0)
    return Tokens(op.compress(characters, kept, axis=0), rows, rows)


def _in_words(characters: spox.Var, rows: spox.Var, spaces: spox.Var) -> Tokens:
    """What stands between spaces, each with a blank before and after, as scikit-learn's `char_wb`."""
    kept = op.equal(spaces, op.const(np.int64(0)))
    # A word of its own with each text, and after each space.
    most = op.add(op.reduce_sum(spaces), op.const(np.int64(1)))
    words = op.add(op.mul(rows, most), running_sum(spaces))
    characters, rows, words = (op.compress(x, kept, axis=0) for x in (characters, rows, words))
    first, last = firsts(words), lasts(words)
    n_before, n_after = op.cast(first, to=np.int64), op.cast(last, to=np.int64)
    one = op.const(np.int64(1))
    # Two blanks more for each word that has ended, and one for its own.
    places = op.add(running_sum(op.add(n_before, one)), op.sub(running_sum(n_after, exclusive=True), one))
    total = op.add(op.shape(words), op.reshape(op.add(op.reduce_sum(n_before), op.reduce_sum(n_after)), op.const(ONE)))
    starts = op.sub(op.compress(places, first, axis=0), one)
    began = op.scatter_elements(zeros(total), starts, op.expand(op.const(ONE), op.shape(starts)))
    groups = op.sub(running_sum(began), one)
    blanks = op.expand(op.const(np.array([" "])), total)
    return Tokens(op.scatter_elements(blanks, places, characters), op.gather(op.compress(rows, first, axis=0), groups), groups)


def token_groups(text: str, settings: TextSettings) -> list[list[str]]:
    """The same of one text in plain Python: its groups of tokens."""
    if settings.lowercase:
        text = "".join(_LOWER.get(character, character.lower()) for character in text)
    if settings.max_characters:
        text = "".join(islice(_pieces(text, settings.analyzer == "word"), n_pieces(settings)))
    if settings.analyzer == "word":
        return [re.findall(r"\w\w+", text)]
    if settings.analyzer == "letter":
        return [re.findall(r"\w", text)]
    if settings.analyzer == "char":
        return [list(re.sub(r"\s\s+", " ", text))]
    return [list(f" {word} ") for word in text.split()]


def _pieces(text: str, whole_words: bool) -> Iterator[str]:
    while text:
        size = PIECE
        if whole_words:
            ends = [at for at, character in enumerate(text[:PIECE], 1) if not re.match(r"\w", character)]
            size = max([*ends, *(len(word) for word in re.findall(r"^\w+", text))])
        yield text[:size]
        text = text[size:]


_LOWER = {"İ": "i"}
"""Where one character does not become one."""


class Tokenizer:
    """The graph of `tokens`, run on its own."""

    def __init__(self, settings: TextSettings) -> None:
        x = ndx.argument(shape=("N",), dtype=ndx.utf8)
        found = tokens(x, settings)
        model = spox.build({"x": x.unwrap_spox()}, {"texts": found.texts, "rows": found.rows, "groups": found.groups})
        pin_versions(model)
        self.session = open_session(model.SerializeToString())

    def __call__(self, texts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Strings (N,) → tokens, rows and groups, as `Tokens`."""
        found, rows, groups = self.session.run(["texts", "rows", "groups"], {"x": texts})
        return found, rows, groups


def token_batches(
    column: str, context: FitContext, settings: TextSettings
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, int]]:
    """The training part's tokens, rows and groups, with the number of texts, by batches that one long text does not lengthen."""
    tokenizer = Tokenizer(settings)
    table = context.table.select(context.row, column)
    last = answers(context, last=context.table[context.row].max())["last"]
    for start in range(0, int(last) + 1, BATCH_ROWS):
        row = table[context.row]
        found = table.filter(row >= start, row < start + BATCH_ROWS)[column].to_pyarrow()
        texts = np.array(found.to_pylist(), object)
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        for rows in like_length(lengths, BUDGET, BATCH_ROWS):
            yield *tokenizer(texts[rows]), len(rows)
