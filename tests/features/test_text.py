"""Texts as tokens: the graph splits as plain Python does, whatever the text."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkit.errors import ConfigError
from shopkit.features.settings import TextSettings
from shopkit.features.text import PIECE, SPACES, Tokenizer, token_groups
from tests.features.fitting import texts
from tests.features.texts import ANY_TEXT, TRAIN

SETTINGS = [
    TextSettings(analyzer=analyzer, max_characters=limit)
    for analyzer in ("word", "char", "char_wb", "letter")
    for limit in (0, PIECE, 1000)
]


@cache
def tokenizer_of(analyzer: str, limit: int) -> Tokenizer:
    return Tokenizer(TextSettings(analyzer=analyzer, max_characters=limit))


def require_equal(given: TextSettings, values: np.ndarray) -> None:
    found, rows, groups = tokenizer_of(given.analyzer, given.max_characters)(values)
    expected = [token_groups(text, given) for text in values]
    assert list(zip(found, rows, strict=True)) == [
        (token, row) for row, of_row in enumerate(expected) for group in of_row for token in group
    ]
    sizes = [len(group) for of_row in expected for group in of_row if group]
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    np.testing.assert_array_equal(np.diff([*starts, len(groups)]) if len(groups) else [], sizes)


@pytest.mark.parametrize("given_settings", SETTINGS, ids=lambda one: f"{one.analyzer}-{one.max_characters}")
@settings(max_examples=40, deadline=None)
@given(values=st.lists(ANY_TEXT, max_size=4))
def test_the_graph_splits_as_python_does(given_settings, values):
    require_equal(given_settings, texts(values))


@pytest.mark.parametrize("given_settings", SETTINGS, ids=lambda one: f"{one.analyzer}-{one.max_characters}")
def test_no_rows_empty_rows_and_long_rows(given_settings):
    long = "ab中 c" * 300 + "x" * 500 + " ends"
    for values in ([], [""], ["", " "], [*TRAIN], ["", long, "x yz"], [long[:PIECE], long[: PIECE + 1]]):
        require_equal(given_settings, texts(values))


def test_a_limit_cuts_where_a_word_ends():
    """Of the two pieces that are read, the second has room for one more letter only if the first is too long."""
    words = ["x" * (PIECE - 1), "y" * 50, "z" * 49, "w" * 30]
    given_settings = TextSettings(max_characters=2 * PIECE)
    assert token_groups(" ".join(words), given_settings) == [words[:2]]
    require_equal(given_settings, texts([" ".join(words), " ".join(words[1:])]))


def test_words_and_spaces_are_those_of_python():
    known = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    known = [character for character in known if unicodedata.category(character) not in ("Cn", "Co")]
    found, rows, _ = Tokenizer(TextSettings(lowercase=False))(texts([f"aa{character}b" for character in known]))
    whole = {int(row) for token, row in zip(found, rows, strict=True) if len(token) == 4}
    assert whole == {at for at, character in enumerate(known) if re.match(r"\w", character)}
    assert set(SPACES) == {character for character in known if re.match(r"\s", character)}


def test_lower_case_is_that_of_python():
    known = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    known = [character for character in known if unicodedata.category(character) not in ("Cn", "Co") and character != "İ"]
    found, _, _ = Tokenizer(TextSettings(analyzer="char"))(texts(known))
    assert found.tolist() == [character.lower() for character in known]


@pytest.mark.parametrize("analyzer", ["word", "char", "char_wb", "letter"])
def test_a_text_of_a_megabyte_is_read_up_to_the_limit(analyzer):
    tokenizer = Tokenizer(TextSettings(analyzer=analyzer, max_characters=1000))
    text = "word 中文 " * 125_000
    found, rows, _ = tokenizer(texts(["short text", text, "short text"]))
    assert len(text) == 1_000_000
    read = "".join(found[rows == 1])
    assert read == "".join(tokenizer(texts([text[:1000]]))[0])[: len(read)]
    assert 600 < len(read) <= 1300  # without the spaces between words, or with two around each
    assert found[rows == 0].tolist() == found[rows == 2].tolist() != []


def test_settings_are_checked():
    with pytest.raises(ConfigError, match=r"text\.max_characters is -1; it must be at least 0"):
        TextSettings(max_characters=-1)
