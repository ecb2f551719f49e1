"""Tokens and terms on the text they come from."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shopkit.evaluation.texts import Marked, is_special, mark_terms, mark_tokens

ANALYZERS = st.sampled_from(["word", "char", "char_wb", "letter"])


def shown(marked: Marked) -> dict[str, float]:
    return {piece: value for piece, value in marked.pieces if value}


def test_terms_of_words_are_shared_by_their_occurrences_and_by_their_characters():
    marked = mark_terms("Good, very GOOD. No goods", [("good", 1.0), ("very good", 0.9), ("bad", 0.5)], "word")
    assert marked.rest == 0.5
    assert [piece for piece, value in marked.pieces if value] == ["Good", "very", " ", "GOOD"]
    assert sum(value for _, value in marked.pieces) == pytest.approx(1.9)
    assert marked.pieces[0] == ("Good", 0.5)


def test_a_term_may_pass_over_words_of_one_letter_and_accents_count_for_nothing():
    assert shown(mark_terms("not a Café", [("not cafe", 1.0)], "word")).keys() == {"not", " ", "a", "Café"}


def test_terms_of_characters():
    assert shown(mark_terms("不好看，好", [("好", 1.0), ("不好", -1.0)], "char")) == pytest.approx({"不": -0.5, "好": 0.5})
    assert mark_terms("tea", [(" tea", 1.0), (" ", 0.25)], "char") == Marked([("tea", 1.0)], 0.25)


def test_terms_of_letters_reach_across_what_is_none():
    marked = mark_terms("不 好，看。(好)", [("不好看", 1.5), ("好好", 1.0)], "letter")
    assert [piece for piece, value in marked.pieces if value] == ["不", " ", "好", "，", "看"]
    assert marked.rest == 1.0


def test_tokens_stand_one_after_the_other():
    tokens = [("un", 1.0), ("##happy", 2.0), ("[UNK]", 3.0), ("buy", 4.0), ("nowhere", 5.0)]
    marked = mark_tokens("Unhappy \u2603 BÜY buyer", [*tokens])
    assert shown(marked) == pytest.approx({"Unhappy": 3.0, "\u2603": 3.0, "BÜY": 4.0})
    assert marked.rest == 5.0


def test_of_a_text_cut_at_its_start_the_tokens_are_those_of_its_end():
    marked = mark_tokens("a b c d e a b", [("a", 1.0), ("b", 2.0)])
    assert [value for _, value in marked.pieces][:3] == [1.0, 0.0, 2.0]
    marked = mark_tokens("b x x x a b", [("a", 1.0), ("b", 2.0)])
    assert marked.pieces[0][1] == 0.0


def test_special_tokens():
    assert [is_special(token) for token in ("[CLS]", "[SEP]", "<s>", "[UNK]", "[", "cls")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


@example("", [("\r", 1.0)], "word")
@given(st.text(max_size=40), st.lists(st.tuples(st.text(min_size=1, max_size=4), st.floats(-9, 9)), max_size=6), ANALYZERS)
def test_nothing_is_lost(text, parts, analyzer):
    total = sum(value for _, value in parts)
    for marked in (mark_terms(text, parts, analyzer), mark_tokens(text, parts)):
        assert "".join(piece for piece, _ in marked.pieces) == text
        assert sum(value for _, value in marked.pieces) + marked.rest == pytest.approx(total, abs=1e-6)
