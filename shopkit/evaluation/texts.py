"""Where in a text its tokens and terms stand, so that what they add to a score can be shown on the text itself."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_UNSPACED = r"぀-ヿ㐀-䶿一-鿿豈-﫿"
"""Characters of scripts without spaces between words: each is a piece of its own."""
_PIECES = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|\s+|.", re.DOTALL)
_SPECIAL = re.compile(r"\[[A-Z]+\]|<[a-z/]+>")
_CONTINUES = re.compile(r"^(##|▁|Ġ)(?=.)")
"""What tokenisers put before a piece to say whether it begins a word."""
UNKNOWN = ("[UNK]", "<unk>")


def is_special(token: str) -> bool:
    """A token that stands for no part of the text: `[CLS]`, `[SEP]`, …, but not the unknown one."""
    return _SPECIAL.fullmatch(token) is not None and token not in UNKNOWN


@dataclass(frozen=True)
class Marked:
    """A text in pieces (words, single characters, what is between them), each with what it adds."""

    pieces: list[tuple[str, float]]
    rest: float
    """Of tokens and terms that were not found in the text."""


def mark_terms(text: str, terms: Sequence[tuple[str, float]], analyzer: str) -> Marked:
    """A text by its terms: n-grams of words or of characters. What a term adds is shared by its occurrences.

    Args:
        analyzer: what the n-grams are made of. Words are written with single spaces, and words of one letter may have been
            passed over between them, as between each `letter` may all that is none.
    """
    plain, origin = _plain(text)
    by_character, rest = np.zeros(len(text)), 0.0
    for term, value in terms:
        found = [match for match in _pattern(term, analyzer).finditer(plain) if match.group()]
        if not found:
            rest += value
        for match in found:
            _share(by_character, origin[match.start() : match.end()], value / len(found))
    return _marked(text, by_character, rest)


def _pattern(term: str, analyzer: str) -> re.Pattern[str]:
    wanted, _ = _plain(term)
    if analyzer == "letter":
        return re.compile(r"\W*".join(map(re.escape, wanted)))
    if analyzer != "word":
        return re.compile(re.escape(wanted.strip() or wanted))
    return re.compile(r"(?<!\w)" + r"\W+(?:\w\W+)*?".join(map(re.escape, wanted.split())) + r"(?!\w)")


def mark_tokens(text: str, tokens: Sequence[tuple[str, float]]) -> Marked:
    """A text by its tokens, which stand in it one after the other; of a text that was cut, from its start or from its end."""
    plain, origin = _plain(text)
    pieces = ["" if token in UNKNOWN else _plain(_CONTINUES.sub("", token))[0] for token, _ in tokens]
    spans = min((_forward(plain, pieces), _backward(plain, pieces)), key=_looseness)
    by_character, rest = np.zeros(len(text)), 0.0
    for (_, value), span in zip(tokens, spans, strict=True):
        if span is None or span[0] == span[1]:
            rest += value
        else:
            _share(by_character, origin[span[0] : span[1]], value)
    return _marked(text, by_character, rest)


Spans = list[tuple[int, int] | None]


def _forward(text: str, pieces: Sequence[str]) -> Spans:
    """Each piece at its first place after the one before it; an unknown one ("") takes the next word."""
    spans: Spans = []
    cursor = 0
    for piece in pieces:
        if piece:
            at = text.find(piece, cursor)
            span = (at, at + len(piece)) if at >= 0 else None
        else:
            word = re.compile(r"\w+|[^\w\s]").search(text, cursor)
            span = word.span() if word else None
        spans.append(span)
        cursor = span[1] if span else cursor
    return spans


def _backward(text: str, pieces: Sequence[str]) -> Spans:
    mirrored = _forward(text[::-1], [piece[::-1] for piece in reversed(pieces)])
    return [None if span is None else (len(text) - span[1], len(text) - span[0]) for span in reversed(mirrored)]


def _looseness(spans: Spans) -> int:
    """How many characters lie from the first piece to the last, and a lot for each piece that was not found."""
    found = [span for span in spans if span is not None]
    reach = found[-1][1] - found[0][0] if found else 0
    return reach + 1_000 * (len(spans) - len(found))


def _plain(text: str) -> tuple[str, np.ndarray]:
    """The text in lower case without accents, and for each of its characters the place it has in the original."""
    letters: list[str] = []
    origin: list[int] = []
    for place, letter in enumerate(text):
        bare = [part for part in unicodedata.normalize("NFKD", letter.lower()) if unicodedata.category(part) != "Mn"]
        letters += bare
        origin += [place] * len(bare)
    return "".join(letters), np.array(origin, np.int64)


def _share(by_character: np.ndarray, places: np.ndarray, value: float) -> None:
    if len(places):
        np.add.at(by_character, places, value / len(places))


def _marked(text: str, by_character: np.ndarray, rest: float) -> Marked:
    pieces = [(match.group(), float(by_character[match.start() : match.end()].sum())) for match in _PIECES.finditer(text)]
    return Marked(pieces, rest)
